//! All services, the coordinator and a NATS server in one process.

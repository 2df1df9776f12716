//! The saga core on NATS JetStream: log, participant, client, coordinator.

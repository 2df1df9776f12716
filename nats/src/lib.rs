//! NATS for Jetsaga: topology as a value, server configurations, and the server launcher.

pub mod launcher;

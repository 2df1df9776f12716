//! NATS for Jetsaga: topology as a value, server configurations, and the server launcher.

mod connection;
pub mod launcher;
#[cfg(feature = "testing")]
pub mod testing;
pub mod topology;

pub use connection::{ConnectError, connect, connect_as};

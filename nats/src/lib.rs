//! NATS for Jetsaga: topology as a value, server configurations, and the server launcher.
//!
//! - [`launcher`] finds a server, or gets and starts one that never outlives this process.
//! - [`topology`] compares what the definitions need with what the server has, and applies it.
//! - [`connect`] reads the credentials out of a URL, which the client library does not.
//! - `testing` (a feature) is the server of integration suites: an account for each test.
//! - `server/` beside the sources holds configurations for one server and for three.
//!
//! From nothing to a server that has what a saga needs:
//!
//! ```
//! use async_nats::{ConnectOptions, jetstream};
//! use jetsaga_nats::launcher::{Launcher, Options};
//! use jetsaga_nats::topology;
//! use saga_core::{Definition, Plan, Step};
//! use saga_engine::Topology;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! let store = directory.path().join("nats");
//! let server = Launcher::new(Options::from_env(store)).start().await?;
//!
//! let trip = Definition::new("trip", 1)
//!     .step(Step::compensable("flight", "airline").timeout_ms(5_000))
//!     .step(Step::compensable("hotel", "hotels").timeout_ms(5_000));
//! let wanted = Topology::of(&[&Plan::new(trip)?], &[], 1);
//! let client = jetsaga_nats::connect(server.url(), ConnectOptions::new()).await?;
//! let jetstream = jetstream::new(client);
//! let changes = topology::apply(&jetstream, &wanted).await?;
//! assert!(changes.to_string().contains("create stream SAGA_TRIP"));
//! topology::check(&jetstream, &wanted).await?;
//!
//! server.stop().await;
//! # Ok(())
//! # }
//! ```

mod connection;
pub mod launcher;
#[cfg(feature = "testing")]
pub mod testing;
pub mod topology;

pub use connection::{ConnectError, connect, connect_as};

//! What becomes of an append, row by row of the protocol's table, on every log there is.
//!
//! [`conformance`] holds for any log: it is run on the one in memory, on a stream with one replica
//! and on a stream with three. [`jetstream`] is about what only a server can do.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test's helpers cannot do, the test cannot either"
)]

mod advancing;
mod appending;
pub(crate) mod bed;
mod conformance;
mod jetstream;
mod meddler;
mod proxy;
mod replicas;
mod slips;

//! The promises of the pure core, walked completely and not sampled.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed; its helpers are part of it"
)]

mod definitions;
mod golden;
mod limits;
mod promises;
mod subjects;
mod table;
mod validation;
mod walk;

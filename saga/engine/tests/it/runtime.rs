//! Participants on a real server: what comes to them, what becomes of it, and what survives.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test's helpers cannot do, the test cannot either"
)]

mod bad_input;
mod batching;
pub(crate) mod books;
mod cluster;
mod endings;
mod idle;
mod life;
mod service;
pub(crate) mod world;

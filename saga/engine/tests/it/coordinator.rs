//! The coordinator on a real server; participants are played by the tests.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test's helpers cannot do, the test cannot either"
)]

mod alarms;
mod hold;
mod many;
mod page;
mod restart;
mod retention;
mod time;
mod wishes;
pub(crate) mod world;

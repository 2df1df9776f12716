//! The suites that need the whole shop or the whole repository: one binary, a module for each
//! promise.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed; its helpers are part of it"
)]

mod audit;
mod bad_input;
mod kill;
mod nats_cli;
mod outcomes;
mod overload;
mod processes;
mod quickstart;
mod relay;
mod tidy;
mod twice;

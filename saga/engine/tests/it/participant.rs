//! Whole sagas, played by participants on a real server: every shape of graph and every kind of
//! step, forward and back, under faults at every point, and with effects outside the database.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test's helpers cannot do, the test cannot either"
)]

mod acts;
mod attempts;
mod faults;
mod hold;
mod late;
mod outside;
mod overtaking;
mod path;
mod provider;
mod stage;
mod undo;

//! The saga protocol under a model checker.
//!
//! Participants with their barriers and providers, coordinators, operators and clients move one
//! saga through a log that delivers at least once, and anything that can go wrong does, at every
//! point. What they decide is not modelled: the product's own functions of `saga-core` decide,
//! compute each record and read the barrier's table. `docs/model.md` says what is checked.

pub mod book;
pub mod cases;
pub mod check;
mod eager;
pub mod event;
mod inbox;
pub mod model;
mod outside;
mod promise;
pub mod reach;
pub mod setup;
pub mod state;
mod step;
mod world;

pub use model::Saga;
pub use promise::Promise;
pub use setup::{Flaw, Setup};

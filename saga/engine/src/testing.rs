//! For tests: the saga kit, a log and a barrier in memory, and fail-points.
//!
//! [`SagaKit`] asks whether a service's steps keep the promises of a saga. [`Faults`] come between
//! a running participant and its effects, at named points. [`MemoryLog`] and [`MemoryBarrier`]
//! stand in for a stream and a database.

pub mod fault;
pub mod kit;
mod memory_barrier;
mod memory_log;

pub use fault::{Fault, Faults, Place, Point};
pub use kit::{Broken, Report, SagaKit};
pub use memory_barrier::MemoryBarrier;
pub use memory_log::MemoryLog;

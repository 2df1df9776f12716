//! For tests: fail-points, and the saga kit.

pub mod fault;

pub use fault::{Fault, Faults, Place, Point};

//! Integration suites, benchmarks and repository checks of Jetsaga.

pub mod harness;
pub mod tidy;

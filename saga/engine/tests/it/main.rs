//! Integration tests of the engine on a real server: one binary, an account per test.

mod coordinator;
mod example;
mod log;

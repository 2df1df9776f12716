//! Integration tests of the engine on a real server: one binary, an account per test.

mod audit;
mod client;
mod coordinator;
mod example;
mod follow;
mod lag;
mod log;
mod participant;
mod runtime;

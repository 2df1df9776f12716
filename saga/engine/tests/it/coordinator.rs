//! The coordinator on a real server; participants are played by the tests.

mod alarms;
mod hold;
mod many;
mod restart;
mod retention;
mod time;
mod wishes;
mod world;

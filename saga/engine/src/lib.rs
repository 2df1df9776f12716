//! Sagas on NATS JetStream: every saga is a short sequence of messages in one stream, and there is
//! no other store of its state, no lock and no leader.
//!
//! This is a whole program, `examples/trip.rs`; `cargo run -p saga-engine --example trip` runs it:
//!
#![doc = "```no_run"]
#![doc = include_str!("../examples/trip.rs")]
#![doc = "```"]
//!
//! # Who is who
//!
//! - [`Engine`] is one connection to the log, shared by everything in a process.
//! - [`Participant`] is a service's part: it runs and undoes its [`Step`]s, and may follow endings
//!   by a [`Mirror`]. A step answers with what came of it ([`Answer`], [`UndoAnswer`]).
//! - [`Barrier`] is the store in which a participant notes what it did, in one transaction with the
//!   business change. [`KvBarrier`] is the one for services without a database.
//! - [`coordinator::Coordinator`] owns what no service can see: time-outs, deadlines and timers,
//!   operators' [`wishes`], retention and alarms. It is on no saga's way, and any number may run.
//! - [`Sagas`] starts, reads and follows sagas of one type. [`Hub`] follows all sagas of a type for
//!   many who wait, and hands a [`Follower`] the events of one.
//! - [`Topology`] is what the server must have: streams, consumers, buckets. The crate
//!   `jetsaga-nats` applies it.
//! - [`audit`](mod@audit) reads a whole stream again and says what is wrong with it.
//! - [`testing`] has the [`testing::SagaKit`], which asks whether one's own steps keep the promises
//!   of a saga under repetition, interruption and reordering, without a server.
//!
//! What a saga *is*, its definition, its record and what an event makes of it, is pure and lives
//! in [`saga_core`].
//!
//! # The log is the lock
//!
//! Each message is an event and the complete record of the saga after it, so the last message of a
//! saga is its state. Whoever moves a saga appends the next record with the sequence of the message
//! that it was derived from, and the server accepts it only if that still is the saga's last one.
//! So of two who move the same saga at once one is refused, reads one message and decides again; a
//! program that was paused for an hour can do no harm, and nobody ever holds a lock. An effect is
//! noted by its service's barrier before its event is appended, so a crash in between leads to the
//! same event again and never to the same effect twice. A service is told by the message that makes
//! its step ready, straight from the stream: no coordinator decides whose turn it is.

pub mod audit;
pub mod barrier;
mod bucket;
pub mod client;
pub mod coordinator;
pub mod dead_letter;
pub mod engine;
pub mod follow;
pub mod kv_barrier;
pub mod log;
pub mod participant;
#[cfg(test)]
mod schedules;
pub mod step;
pub mod testing;
pub mod topology;
pub mod wishes;

pub use barrier::{Barrier, Change, CommitError};
pub use client::{Sagas, StartError, Started};
pub use engine::{DefinitionError, Engine};
pub use follow::{Follower, Hub};
pub use kv_barrier::KvBarrier;
pub use log::{Log, Stored, Tail, Trace};
pub use participant::{Participant, ParticipantHandle, Valve};
pub use saga_core;
pub use step::{
    Answer, Check, Ending, Expected, Job, Mirror, MirrorAnswer, Resolution, Step, Undo, UndoAnswer,
};
pub use topology::Topology;

//! The saga core on NATS JetStream: log, participant, client, coordinator.

pub mod audit;
pub mod barrier;
pub mod client;
pub mod coordinator;
pub mod dead_letter;
pub mod engine;
pub mod follow;
pub mod kv_barrier;
pub mod log;
pub mod participant;
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
pub use step::{Answer, Ending, Job, Mirror, MirrorAnswer, Resolution, Step, Undo, UndoAnswer};
pub use topology::Topology;

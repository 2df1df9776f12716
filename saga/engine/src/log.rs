//! The log of sagas: the port that everybody who moves a saga goes through.
//!
//! [`Log`] is one publish or one read. [`Advance`](advance) on top of it is the outcome table of
//! the protocol: what a caller does about a conflict, a lost acknowledgement, a stale read.

use async_trait::async_trait;
use saga_core::{Plan, Record};

pub mod advance;
mod inbox;
pub mod jetstream;

/// A record as the stream stored it.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// The record.
    pub record: Record,
    /// Its stream sequence.
    pub sequence: u64,
    /// When the server stored it: milliseconds since the epoch, by the server's clock.
    pub at_ms: i64,
    /// The `Saga-Append` id of the append attempt that wrote it.
    pub append_id: Option<String>,
    /// W3C trace context.
    pub trace: Trace,
}

/// W3C trace context, kept through every hop of a saga.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    /// `traceparent`.
    pub parent: Option<String>,
    /// `tracestate`.
    pub state: Option<String>,
}

/// One append attempt. Publishing it again means publishing the same bytes again.
#[derive(Debug, Clone)]
pub struct Append {
    /// The record to append.
    pub record: Record,
    /// Sequence of the saga's last message; 0 for `started`.
    pub expected: u64,
    /// A random id of this attempt.
    pub append_id: String,
    /// Trace context.
    pub trace: Trace,
}

/// What became of one publish.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The saga's last message is another one (server error 10071).
    #[error("the saga has moved on")]
    Conflict,
    /// Another append of this saga is in flight (10164): wait a few milliseconds, then read.
    #[error("another append of this saga is in flight")]
    InFlight,
    /// No answer: it may have been stored.
    #[error("no answer from the stream: {0}")]
    Unanswered(String),
    /// The server refused it: nothing was stored.
    #[error("the stream refused the append: {0}")]
    Refused(String),
}

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The server does not answer, or answers with an error.
    #[error("the stream could not be read: {0}")]
    Unavailable(String),
    /// The last message of a saga is not a record that this program can act on.
    #[error("message {sequence} of the stream is not a record that this program reads")]
    Unreadable {
        /// Its sequence.
        sequence: u64,
        /// Why.
        #[source]
        source: saga_core::record::Unreadable,
    },
}

/// As `at_least` of a read: the stream's leader is asked how far the saga is, which is one request
/// more. For whoever must not miss an event.
pub const NEWEST: u64 = u64::MAX;

/// One stream per saga type (per shard), read and appended to.
#[async_trait]
pub trait Log: Send + Sync + 'static {
    /// Publishes once, guarded by the saga's filter, and awaits the acknowledgement. Returns the
    /// sequence.
    async fn append(&self, plan: &Plan, append: &Append) -> Result<u64, AppendError>;

    /// The last *accepted* event of a saga, and the sequence of its last message (the two differ
    /// only after a write slipped past the check). `None`: there is no such saga (any more). Never
    /// answers with anything older than sequence `at_least`.
    async fn last(&self, plan: &Plan, id: &str, at_least: u64) -> Result<Option<Tail>, ReadError>;

    /// All accepted events of a saga that the stream still has, in order; empty: there is none.
    /// Never ends before sequence `at_least`, nor, for [`NEWEST`], before any event that was stored
    /// when this was called.
    async fn history(&self, plan: &Plan, id: &str, at_least: u64)
    -> Result<Vec<Stored>, ReadError>;
}

/// Where a saga stands, and where its next event goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Tail {
    /// The last accepted event: the saga's state, and the `base` of the next event.
    pub stored: Stored,
    /// Sequence of the last message: what the next append expects.
    pub last_sequence: u64,
}

impl From<Stored> for Tail {
    fn from(stored: Stored) -> Self {
        Self { last_sequence: stored.sequence, stored }
    }
}

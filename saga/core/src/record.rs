//! The record: the complete state of a saga after an event, and the payload of every message.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::{Author, EventKind, wire_words};
use crate::json::Json;
use crate::limits;

mod read;

/// The version of the record's form that this crate writes and reads.
pub const VERSION: u32 = 1;

/// Everything known of a saga after one event. The last one is the saga's state.
///
/// Times are not in it: an event's time is the time at which the server stored it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Record {
    /// Version of this form: [`VERSION`].
    pub v: u32,
    /// The saga type, without a shard.
    #[serde(rename = "type")]
    pub saga_type: String,
    /// The saga's id: `[A-Za-z0-9_-]{1,64}`.
    pub id: String,
    /// Number of this event, from 1.
    pub n: u64,
    /// The saga's status after the event.
    pub status: Status,
    /// The event.
    pub event: EventInfo,
    /// Which definition the saga follows.
    pub definition: DefinitionRef,
    /// Digest of what the caller asked for; set by `started`, never changed.
    pub request: String,
    /// Stream sequence of the event that this one was derived from; 0 for `started`.
    pub base: u64,
    /// What was given at the start; never changed.
    pub input: Json,
    /// States of the steps; an absent step is waiting or ready.
    pub steps: BTreeMap<String, StepRecord>,
    /// Why the saga rolls back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// Fields of later versions: kept and passed on.
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

/// The definition that a saga follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefinitionRef {
    /// Version of the definition of the record's type.
    pub version: u32,
    /// Digest over its canonical JSON.
    pub digest: String,
}

/// The event that a record is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventInfo {
    /// The step, or `saga`.
    pub step: String,
    /// What happened.
    pub kind: EventKind,
    /// Who says so.
    pub by: Author,
    /// Which attempt at the step, from 1.
    #[serde(default = "first")]
    pub attempt: u32,
    /// The person behind a wish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Why that person wished it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

fn first() -> u32 {
    1
}

wire_words! {
    /// A saga's status, as subjects and records write it.
    Status {
        /// On its way forward.
        Running = "running",
        /// On its way back.
        RollingBack = "rolling_back",
        /// Every step done, skipped or omitted.
        Completed = "completed",
        /// Every effect undone.
        RolledBack = "rolled_back",
        /// An undo failed: a person is needed.
        Stuck = "stuck",
    }
}

impl Status {
    /// Whether nothing happens after it.
    pub fn is_end(self) -> bool {
        matches!(self, Self::Completed | Self::RolledBack)
    }
}

wire_words! {
    /// What became of a step.
    StepState {
        /// Its effect is committed.
        Done = "done",
        /// It was refused; nothing remains.
        Failed = "failed",
        /// Its outcome is unknown.
        Timedout = "timedout",
        /// It was ready when the rollback began.
        Unsettled = "unsettled",
        /// An operator put an output in its place.
        Skipped = "skipped",
        /// Its condition was false.
        Omitted = "omitted",
        /// It was undone, or settled by hand.
        Undone = "undone",
        /// Its undo was given up, or is late.
        Undofailed = "undofailed",
    }
}

/// The state of one step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepRecord {
    /// What became of it.
    pub state: StepState,
    /// What it put out, once done or skipped; kept through the rollback.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Json>,
    /// Why it is in this state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// Who put it there, where that matters: `undone`, `undofailed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<Author>,
    /// Fields of later versions: kept and passed on.
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

impl StepRecord {
    /// A step in `state`, with nothing else known.
    pub fn new(state: StepState) -> Self {
        Self { state, output: None, reason: None, by: None, extra: BTreeMap::new() }
    }
}

/// Why something was refused or failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// For programs: `[a-z0-9_]+`, at most 64 bytes.
    pub code: String,
    /// For people: at most 1 KiB.
    pub detail: String,
}

impl Reason {
    /// A reason, cut to its limits.
    pub fn new(code: &str, detail: &str) -> Self {
        Self {
            code: limits::cut(code, limits::REASON_CODE_MAX),
            detail: limits::cut(detail, limits::REASON_DETAIL_MAX),
        }
    }
}

/// Why a saga rolls back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// The step that began the rollback, or `saga` (cancelled, expired).
    pub step: String,
    /// The reason's code; `cancelled`, `expired` for the saga itself.
    pub code: String,
    /// The reason's detail.
    pub detail: String,
}

/// Why a payload is not a record that this program can act on.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// Not JSON, or not of a record's shape.
    #[error("the payload is not a record")]
    Shape(#[source] serde_json::Error),
    /// A later form of the record.
    #[error("the record has version {0}; this program reads version {VERSION}")]
    Version(u64),
}

#[derive(Deserialize)]
struct Versioned {
    v: u64,
}

impl Record {
    /// Reads a message's payload.
    pub fn from_json(payload: &[u8]) -> Result<Self, Unreadable> {
        match serde_json::from_slice::<Self>(payload) {
            Ok(record) if record.v == VERSION => Ok(record),
            Ok(record) => Err(Unreadable::Version(record.v.into())),
            // A later version may have another shape: name the version where there is one.
            Err(error) => match serde_json::from_slice::<Versioned>(payload) {
                Ok(versioned) if versioned.v != u64::from(VERSION) => {
                    Err(Unreadable::Version(versioned.v))
                }
                _ => Err(Unreadable::Shape(error)),
            },
        }
    }

    /// The payload of the message: one line of JSON that begins with what people look for.
    pub fn to_json(&self) -> Vec<u8> {
        // Maps have string keys and numbers came from JSON: this cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// What became of a step; `None` while it is waiting or ready.
    pub fn state(&self, step: &str) -> Option<StepState> {
        self.steps.get(step).map(|record| record.state)
    }

    /// What a step put out.
    pub fn output(&self, step: &str) -> Option<&Value> {
        self.steps.get(step).and_then(|record| record.output.as_deref())
    }
}

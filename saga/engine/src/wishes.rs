//! Wishes: what people and programs may ask of a coordinator, on the NATS service protocol.
//!
//! Each wish is one request on `saga_coordinator.<name>` ([`Wish::NAME`]) with a JSON object, and is
//! answered with a JSON object, or with the headers `Nats-Service-Error` (text for people),
//! `Nats-Service-Error-Code` (a number, as HTTP uses them) and [`ERROR_HEADER`] (the code for
//! programs). Any coordinator answers. A repeated wish is answered like the first, with
//! [`Moved::repeated`].

use saga_core::record::{Cause, DefinitionRef, EventInfo, Reason};
use saga_core::{Record, Status, StepState};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

mod alarm;
mod client;

pub use alarm::{Alarm, AlarmKind, Alarms, AlarmsFound};
pub use client::{WishClient, WishError};

/// Name of the service that answers wishes.
pub const SERVICE: &str = "saga-coordinator";
/// First token of every wish's subject. Not `saga`: nothing but events lies below that.
pub const GROUP: &str = "saga_coordinator";
/// Header of a refused wish: its code for programs.
pub const ERROR_HEADER: &str = "Saga-Error";

/// A wish's request.
pub trait Wish: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The endpoint's name, and the last token of its subject.
    const NAME: &'static str;
    /// What it is answered with.
    type Answer: Serialize + DeserializeOwned + Send + 'static;
}

/// The subject of a wish.
pub fn subject(name: &str) -> String {
    format!("{GROUP}.{name}")
}

macro_rules! wish {
    ($request:ident, $name:literal, $answer:ident) => {
        impl Wish for $request {
            const NAME: &'static str = $name;
            type Answer = $answer;
        }
    };
}

wish!(Start, "start", Moved);
wish!(Get, "get", Found);
wish!(List, "list", Listed);
wish!(History, "history", Story);
wish!(Cancel, "cancel", Moved);
wish!(Nudge, "nudge", Moved);
wish!(Skip, "skip", Moved);
wish!(Settle, "settle", Moved);
wish!(Signal, "signal", Moved);
wish!(Pause, "pause", Paused);
wish!(Resume, "resume", Paused);
wish!(Alarms, "alarms", AlarmsFound);

/// Start a saga. The same id with the same input again is a repeat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// The saga type.
    #[serde(rename = "type")]
    pub saga_type: String,
    /// Version of the definition; absent: the newest that the coordinator knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// The saga's id; absent: a random one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What the saga is about; the definition limits its size.
    pub input: Value,
}

/// The last record of a saga.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Get {
    /// The saga type.
    #[serde(rename = "type")]
    pub saga_type: String,
    /// The saga's id.
    pub id: String,
}

/// Sagas, newest start first: all open ones and the last ended ones.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// Only this type.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub saga_type: Option<String>,
    /// Only these statuses; empty: every status.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub status: Vec<Status>,
    /// Most sagas to answer with, 1 to 1000; absent: 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// [`Listed::cursor`] of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// Every event of a saga, and what comes next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct History {
    /// The saga type.
    #[serde(rename = "type")]
    pub saga_type: String,
    /// The saga's id.
    pub id: String,
}

/// Call a saga off; possible until a pivot or retriable step is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cancel {
    /// The saga type.
    #[serde(rename = "type")]
    pub saga_type: String,
    /// The saga's id.
    pub id: String,
    /// Who wishes it.
    pub actor: String,
    /// Why.
    pub reason: String,
}

/// Try again: a ready step, whose time-out starts again, or an undo that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nudge {
    /// The saga type.
    #[serde(rename = "type")]
    pub saga_type: String,
    /// The saga's id.
    pub id: String,
    /// The step.
    pub step: String,
    /// Who wishes it.
    pub actor: String,
    /// Why.
    pub reason: String,
}

/// Put an output in a ready step's place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Skip {
    /// The saga type.
    #[serde(rename = "type")]
    pub saga_type: String,
    /// The saga's id.
    pub id: String,
    /// The step.
    pub step: String,
    /// The output that its successors will see.
    pub output: Value,
    /// Who wishes it.
    pub actor: String,
    /// Why.
    pub reason: String,
}

/// State that a step was undone by hand, after its service gave the undo up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settle {
    /// The saga type.
    #[serde(rename = "type")]
    pub saga_type: String,
    /// The saga's id.
    pub id: String,
    /// The step.
    pub step: String,
    /// Also though the service has not given up itself. Only for a service that never comes back:
    /// one that does would undo the step a second time.
    #[serde(default)]
    pub force: bool,
    /// Who wishes it.
    pub actor: String,
    /// Why.
    pub reason: String,
}

/// Report a signal step as done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signal {
    /// The saga type.
    #[serde(rename = "type")]
    pub saga_type: String,
    /// The saga's id.
    pub id: String,
    /// The step.
    pub step: String,
    /// What the signal says.
    pub output: Value,
    /// Who wishes it.
    pub actor: String,
    /// Why.
    pub reason: String,
}

/// Hold a type: its consumers deliver nothing and its time-outs do not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pause {
    /// The saga type.
    #[serde(rename = "type")]
    pub saga_type: String,
    /// Who wishes it.
    pub actor: String,
    /// Why.
    pub reason: String,
}

/// Let a held type go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resume {
    /// The saga type.
    #[serde(rename = "type")]
    pub saga_type: String,
    /// Who wishes it.
    pub actor: String,
    /// Why.
    pub reason: String,
}

/// Where a saga stands after a wish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// The saga type.
    #[serde(rename = "type")]
    pub saga_type: String,
    /// The saga's id.
    pub id: String,
    /// Number of the saga's last event.
    pub n: u64,
    /// Its stream sequence.
    pub sequence: u64,
    /// The saga's status.
    pub status: Status,
    /// The wish had been granted before: nothing was appended now.
    pub repeated: bool,
}

/// The last record of a saga.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// The record.
    pub record: Record,
    /// Its stream sequence.
    pub sequence: u64,
    /// When it was stored: milliseconds since the epoch, by the server's clock.
    pub at_ms: i64,
}

/// A page of sagas.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Listed {
    /// Newest start first.
    pub sagas: Vec<Summary>,
    /// Where the next page begins; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// One saga in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The saga type.
    #[serde(rename = "type")]
    pub saga_type: String,
    /// The saga's id.
    pub id: String,
    /// Its status.
    pub status: Status,
    /// Number of its last event.
    pub n: u64,
    /// Stream sequence of that event.
    pub sequence: u64,
    /// When it started: milliseconds since the epoch, by the server's clock. When only its last
    /// message was left for the coordinator to read, that message's time.
    pub started_ms: i64,
    /// When its last event was stored: milliseconds since the epoch, by the server's clock.
    pub at_ms: i64,
    /// Why it rolls or rolled back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
}

/// Every event of a saga that the stream still has, and what comes next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Story {
    /// The saga type.
    #[serde(rename = "type")]
    pub saga_type: String,
    /// The saga's id.
    pub id: String,
    /// The definition that it follows.
    pub definition: DefinitionRef,
    /// Its status.
    pub status: Status,
    /// Its events, oldest first. After retention only the last one is left.
    pub events: Vec<Told>,
    /// What it waits for.
    pub next: Vec<Next>,
    /// The server's time at which this was answered: milliseconds since the epoch.
    pub now_ms: i64,
}

/// One event of a saga.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// Its number.
    pub n: u64,
    /// Its stream sequence.
    pub sequence: u64,
    /// When it was stored: milliseconds since the epoch, by the server's clock.
    pub at_ms: i64,
    /// The event.
    pub event: EventInfo,
    /// The saga's status after it.
    pub status: Status,
    /// The step's state after it; absent for events of the saga itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<StepState>,
    /// What the step put out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// Why the step is in this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}

/// Something that a saga waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Next {
    /// The step, or `saga` for the deadline.
    pub step: String,
    /// `run`, `undo`, `timer`, `signal` or `deadline`.
    #[serde(rename = "for")]
    pub what: String,
    /// The service that it waits for; absent for timers, signals and the deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Since when: milliseconds since the epoch, by the server's clock.
    pub since_ms: i64,
    /// When it is over: milliseconds since the epoch; absent: never, or the type is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_ms: Option<i64>,
    /// What happens then: `true` an event is appended, `false` an alarm is raised.
    pub appends: bool,
}

/// Whether a type is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paused {
    /// The saga type.
    #[serde(rename = "type")]
    pub saga_type: String,
    /// Since when it is held: milliseconds since the epoch; absent: it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<i64>,
    /// It had been so before.
    pub repeated: bool,
}

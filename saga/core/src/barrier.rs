//! The barrier: what a participant's own database remembers of a step, and what that means for a
//! `run` or an `undo` that arrives (perhaps again, perhaps late, perhaps in the wrong order).
//!
//! One row per (type, saga, step). Pure: the store only reads rows and commits changes, each of
//! which holds only if the row still is as it was read.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::record::Reason;

mod agree;

pub use agree::{contradiction, mirror_contradiction};

/// Which row: one per saga type, saga and step.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// The saga type, without a shard.
    pub saga_type: String,
    /// The saga's id.
    pub id: String,
    /// The step.
    pub step: String,
}

impl Key {
    /// A key.
    pub fn new(saga_type: &str, id: &str, step: &str) -> Self {
        Self { saga_type: saga_type.to_owned(), id: id.to_owned(), step: step.to_owned() }
    }

    /// The idempotency key of the step's effect: `<type>.<id>.<step>`.
    pub fn effect_id(&self) -> String {
        format!("{}.{}.{}", self.saga_type, self.id, self.step)
    }

    /// The idempotency key of the effect's undo: `<type>.<id>.<step>.undo`.
    pub fn undo_id(&self) -> String {
        format!("{}.undo", self.effect_id())
    }
}

/// A row of the barrier.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The saga's request digest: a row of another request is never touched.
    pub request: String,
    /// Where the step stands.
    pub state: State,
    /// When `begun` or `undoing` may be looked at by somebody else: milliseconds since the epoch,
    /// by the participants' clocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<i64>,
    /// What the step put out; kept until the end, since the undo needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// Why the step was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// For `held`: the number of the event on which the undo was given up. For the row of an
    /// ending: the number of the last event that was mirrored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<u64>,
}

/// Where a step stands in its participant's database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// A call outside the database may be under way.
    Begun,
    /// The effect is committed.
    Done,
    /// The step was refused; nothing remains.
    Failed,
    /// The undo came first: the step never runs.
    Void,
    /// A call that undoes may be under way.
    Undoing,
    /// The effect is gone.
    Undone,
    /// The undo was given up.
    Held,
}

impl State {
    /// The word in the row's JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Void => "void",
            Self::Undoing => "undoing",
            Self::Undone => "undone",
            Self::Held => "held",
        }
    }
}

impl Row {
    /// A row in `state`, with nothing else known.
    pub fn new(request: &str, state: State) -> Self {
        let request = request.to_owned();
        Self { request, state, until_ms: None, output: None, reason: None, n: None }
    }

    /// The row of a step that is done.
    pub fn done(request: &str, output: Value) -> Self {
        Self { output: Some(output), ..Self::new(request, State::Done) }
    }

    /// The row of a step that was refused.
    pub fn failed(request: &str, reason: Reason) -> Self {
        Self { reason: Some(reason), ..Self::new(request, State::Failed) }
    }

    /// The row of a call that may be under way until `until_ms`.
    pub fn begun(request: &str, until_ms: i64) -> Self {
        Self { until_ms: Some(until_ms), ..Self::new(request, State::Begun) }
    }

    /// This row while a call that undoes may be under way until `until_ms`.
    #[must_use]
    pub fn undoing(&self, until_ms: i64) -> Self {
        Self { state: State::Undoing, until_ms: Some(until_ms), n: None, ..self.clone() }
    }

    /// This row once the effect is gone.
    #[must_use]
    pub fn undone(&self) -> Self {
        Self { state: State::Undone, until_ms: None, n: None, ..self.clone() }
    }

    /// This row once the undo was given up on event `n`.
    #[must_use]
    pub fn held(&self, n: u64) -> Self {
        Self { state: State::Held, until_ms: None, n: Some(n), ..self.clone() }
    }
}

/// What a `run` that arrives has to do.
#[derive(Debug, Clone, PartialEq)]
pub enum OnRun {
    /// Nothing happened yet: run it (an effect outside commits `begun` first).
    Run,
    /// Somebody may be in the middle until then (milliseconds since the epoch): come again; this
    /// was not an attempt.
    Wait(i64),
    /// A call outside may have happened and nobody is in the middle any more: resolve it, or commit
    /// a new `begun` and call again with the same effect id.
    Resolve,
    /// It was done before: append this output.
    AppendDone(Value),
    /// It was refused before: append this reason.
    AppendFailed(Reason),
    /// The saga has moved on: no effect, append nothing.
    Stop,
}

/// What a `run` does about the row that it found; `now_ms` is milliseconds since the epoch.
pub fn on_run(row: Option<&Row>, request: &str, now_ms: i64) -> OnRun {
    let Some(row) = row else { return OnRun::Run };
    if row.request != request {
        let detail = "the saga's id was used before, by another request";
        return OnRun::AppendFailed(Reason::new("id_reused", detail));
    }
    match row.state {
        State::Begun => match row.until_ms {
            Some(until_ms) if now_ms < until_ms => OnRun::Wait(until_ms),
            _ => OnRun::Resolve,
        },
        State::Done => OnRun::AppendDone(row.output.clone().unwrap_or(Value::Null)),
        State::Failed => OnRun::AppendFailed(row.reason.clone().unwrap_or_else(unknown_reason)),
        State::Void | State::Undoing | State::Undone | State::Held => OnRun::Stop,
    }
}

fn unknown_reason() -> Reason {
    Reason::new("refused", "")
}

/// What an `undo` that arrives has to do.
#[derive(Debug, Clone, PartialEq)]
pub enum OnUndo {
    /// Nothing happened, and nothing ever will: commit this row, append `undone`.
    Void(Row),
    /// Nothing remains, and the row says so: append `undone`.
    AppendUndone,
    /// Somebody may be in the middle until then (milliseconds since the epoch): come again.
    Wait(i64),
    /// Undo it (an effect outside commits `undoing` first). The row's output, if one is known.
    Undo(Option<Value>),
    /// The undo was given up on the event that this was decided on, or on a later one: decide anew
    /// on the last record.
    DecideAnew,
}

/// What an `undo` decided on event number `n` does about the row that it found.
pub fn on_undo(row: Option<&Row>, request: &str, n: u64, now_ms: i64) -> OnUndo {
    let Some(row) = row else { return OnUndo::Void(Row::new(request, State::Void)) };
    if row.request != request {
        return OnUndo::AppendUndone;
    }
    match row.state {
        State::Begun | State::Undoing => match row.until_ms {
            Some(until_ms) if now_ms < until_ms => OnUndo::Wait(until_ms),
            _ => OnUndo::Undo(row.output.clone()),
        },
        State::Failed | State::Void | State::Undone => OnUndo::AppendUndone,
        State::Held if row.n.is_some_and(|held| held >= n) => OnUndo::DecideAnew,
        State::Done | State::Held => OnUndo::Undo(row.output.clone()),
    }
}

/// The row to commit after an operator skipped the step; `None`: leave it as it is.
pub fn on_skip(row: Option<&Row>, request: &str) -> Option<Row> {
    row.is_none().then(|| Row::new(request, State::Void))
}

/// The row to commit after an operator undid the step by hand; `None`: leave it as it is.
pub fn on_settle(row: Option<&Row>, request: &str) -> Option<Row> {
    match row {
        None => Some(Row::new(request, State::Undone)),
        Some(row) if row.request != request || row.state == State::Undone => None,
        Some(row) => Some(row.undone()),
    }
}

/// Whether an ending of event number `n` is still to be mirrored.
pub fn on_ending(row: Option<&Row>, request: &str, n: u64) -> Option<Row> {
    let is_new = match row {
        None => true,
        Some(row) => row.request == request && row.n.is_none_or(|mirrored| mirrored < n),
    };
    is_new.then(|| Row { n: Some(n), ..Row::new(request, State::Done) })
}

//! What a coordinator keeps of one open saga: enough to know when something is due.

use std::sync::Arc;

use saga_core::record::Cause;
use saga_core::{EventKind, Plan, Record, Status, WaitingFor, waiting};
use serde::{Deserialize, Serialize};

use super::holds::Holds;

/// One open saga.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Sequence of its last accepted event.
    pub(super) sequence: u64,
    /// When that was stored, by the server's clock.
    pub(super) at_ms: i64,
    /// When `started` was stored.
    pub(super) started_ms: i64,
    /// Sequence of its first event; 0: not known.
    #[serde(default)]
    pub(super) first: u64,
    /// Number of the last event.
    pub(super) n: u64,
    /// Its status.
    pub(super) status: Status,
    /// Why it rolls back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cause: Option<Cause>,
    /// What it waits for.
    pub(super) waits: Vec<Wait>,
    /// The definition is not known yet: what it waits for will be worked out when it is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_unplanned: bool,
    /// Some of its events could not be checked as they came: its history is folded at its end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_unproven: bool,
    /// The last record, kept while memory allows, to check that the next one follows from it.
    #[serde(skip)]
    pub(super) record: Option<(Arc<Record>, usize)>,
}

/// Something that a saga waits for, and since when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Wait {
    /// The step, or `saga`.
    #[serde(rename = "s")]
    pub(super) step: String,
    /// What it waits for.
    #[serde(rename = "w", with = "word")]
    pub(super) what: WaitingFor,
    /// Since when, by the server's clock.
    #[serde(rename = "t")]
    pub(super) since_ms: i64,
    /// For how long.
    #[serde(rename = "l", default, skip_serializing_if = "Option::is_none")]
    pub(super) limit_ms: Option<u64>,
    /// Whether an event is appended then, or only an alarm raised.
    #[serde(rename = "a")]
    pub(super) appends: bool,
    /// The alarm was raised.
    #[serde(skip)]
    pub(super) is_alarmed: bool,
}

impl Wait {
    /// When it is over; `None`: never, or not while the type is held.
    pub(super) fn due(&self, holds: &Holds) -> Option<i64> {
        holds.due(self.since_ms, self.limit_ms?)
    }
}

/// The word for what a saga waits for, as answers and checkpoints write it.
pub(super) fn word_of(what: WaitingFor) -> &'static str {
    match what {
        WaitingFor::Run => "run",
        WaitingFor::Undo => "undo",
        WaitingFor::Timer => "timer",
        WaitingFor::Signal => "signal",
        WaitingFor::Deadline => "deadline",
    }
}

mod word {
    use saga_core::WaitingFor;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    pub(super) fn serialize<S: Serializer>(what: &WaitingFor, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(super::word_of(*what))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<WaitingFor, D::Error> {
        let word = String::deserialize(from)?;
        let all = [
            WaitingFor::Run,
            WaitingFor::Undo,
            WaitingFor::Timer,
            WaitingFor::Signal,
            WaitingFor::Deadline,
        ];
        let found = all.into_iter().find(|&what| super::word_of(what) == word);
        found.ok_or_else(|| D::Error::custom(format!("{word:?} is nothing to wait for")))
    }
}

/// What a saga waits for after an event, given what it waited for before. Whatever it already
/// waited for goes on waiting; a nudge starts its step's time again.
pub(super) fn waits_after(
    plan: &Plan,
    before: &[Wait],
    record: &Record,
    at_ms: i64,
    started_ms: i64,
) -> Vec<Wait> {
    let is_nudge = record.event.kind == EventKind::Nudged;
    let found = waiting(plan, record).into_iter().map(|now| {
        let known = before.iter().find(|wait| wait.step == now.step && wait.what == now.what);
        let is_restarted = is_nudge && record.event.step == now.step;
        let (since_ms, is_alarmed) = match known {
            _ if now.what == WaitingFor::Deadline => (started_ms, false),
            Some(known) if !is_restarted => (known.since_ms, known.is_alarmed),
            _ => (at_ms, false),
        };
        let (limit_ms, appends) = (now.limit_ms, now.appends);
        Wait { step: now.step, what: now.what, since_ms, limit_ms, appends, is_alarmed }
    });
    found.collect()
}

/// What a saga waits for, worked out from its whole history: (record, stored time) in order.
pub(super) fn waits_of<'a>(
    plan: &Plan,
    history: impl IntoIterator<Item = (&'a Record, i64)>,
) -> Vec<Wait> {
    let mut waits = Vec::new();
    let mut started_ms = None;
    for (record, at_ms) in history {
        let started_ms = *started_ms.get_or_insert(at_ms);
        waits = waits_after(plan, &waits, record, at_ms, started_ms);
    }
    waits
}

impl Entry {
    /// The earliest moment at which something of it is due, and not yet alarmed.
    pub(super) fn due(&self, holds: &Holds) -> Option<i64> {
        self.waits.iter().filter(|wait| !wait.is_alarmed).filter_map(|wait| wait.due(holds)).min()
    }

    /// What is due at `now_ms`, the longest due first.
    pub(super) fn overdue(&self, now_ms: i64, holds: &Holds) -> Option<&Wait> {
        let open = self.waits.iter().filter(|wait| !wait.is_alarmed);
        let due = open.filter_map(|wait| Some((wait.due(holds)?, wait)));
        due.filter(|(due, _)| *due <= now_ms).min_by_key(|(due, _)| *due).map(|(_, wait)| wait)
    }
}

#[cfg(test)]
mod tests;

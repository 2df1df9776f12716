//! Whether a record is the fold of its history.

use crate::apply::Refusal;
use crate::event::{Change, Event, EventKind};
use crate::plan::Plan;
use crate::record::Record;

/// Why a record does not follow from the one before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lie {
    /// Its number does not follow.
    #[error("event number {found} does not follow {before}")]
    Number {
        /// The number before.
        before: u64,
        /// The number found.
        found: u64,
    },
    /// It was derived from another event.
    #[error("it was derived from sequence {found}, but the last accepted event is {before}")]
    Base {
        /// Sequence of the last accepted event.
        before: u64,
        /// The base found.
        found: u64,
    },
    /// Its event could not happen then.
    #[error("its event could not happen")]
    Impossible(#[from] Refusal),
    /// Its event says less than it must.
    #[error("its event {0} does not carry what it must")]
    Incomplete(EventKind),
    /// Something in it is not what its event makes of the record before.
    #[error("{0} is not what the event makes of the record before")]
    Differs(&'static str),
}

/// Checks the first record of a saga.
///
/// # Errors
/// What is wrong with it.
pub fn verify_start(plan: &Plan, found: &Record) -> Result<(), Lie> {
    if found.event.kind != EventKind::Started {
        return Err(Lie::Incomplete(found.event.kind));
    }
    let mut expected = Record::start(plan, &found.id, found.input.clone())?;
    expected.event.clone_from(&found.event);
    expected.event.kind = EventKind::Started;
    crate::event::SAGA.clone_into(&mut expected.event.step);
    same(&expected, found)
}

/// Checks that `found` is what its event makes of `before`, which is stored at sequence `sequence`.
///
/// # Errors
/// What is wrong with it.
pub fn verify(plan: &Plan, before: Record, sequence: u64, found: &Record) -> Result<(), Lie> {
    if found.base != sequence {
        return Err(Lie::Base { before: sequence, found: found.base });
    }
    if found.n != before.n + 1 {
        return Err(Lie::Number { before: before.n, found: found.n });
    }
    let event = event_of(&before, found).ok_or(Lie::Incomplete(found.event.kind))?;
    same(&before.into_next(plan, sequence, event)?, found)
}

/// The event that a record says it is about.
fn event_of(before: &Record, found: &Record) -> Option<Event> {
    let step = found.event.step.clone();
    let after = found.steps.get(&step);
    let output = || after?.output.clone();
    let reason = || after?.reason.clone();
    let change = match found.event.kind {
        EventKind::Started => return None,
        EventKind::Cancelled => Change::Cancelled,
        EventKind::Expired => Change::Expired,
        EventKind::Done => Change::Done { output: output()?, step },
        EventKind::Failed => Change::Failed { reason: reason()?, step },
        EventKind::Timedout => Change::Timedout { reason: reason()?, step },
        EventKind::Undone => Change::Undone { step },
        EventKind::Undofailed => Change::Undofailed { reason: reason()?, step },
        EventKind::Nudged => Change::Nudged { step },
        EventKind::Skipped => Change::Skipped { output: output()?, step },
        EventKind::Settled => {
            // Force is not in the record: that it was settled though the service had not given up is.
            let force = crate::apply::gave_up(before, &step) != Some(true);
            Change::Settled { force, step }
        }
    };
    let info = found.event.clone();
    let (by, attempt, actor, note) = (info.by, info.attempt, info.actor, info.note);
    Some(Event { by, change, attempt, actor, note })
}

fn same(expected: &Record, found: &Record) -> Result<(), Lie> {
    let differences = [
        ("the input", expected.input != found.input),
        ("the request digest", expected.request != found.request),
        ("the definition", expected.definition != found.definition),
        ("the id", expected.id != found.id || expected.saga_type != found.saga_type),
        ("the status", expected.status != found.status),
        ("a step's state", expected.steps != found.steps),
        ("the cause", expected.cause != found.cause),
        ("the event", expected.event != found.event),
        ("the number", expected.n != found.n || expected.base != found.base),
    ];
    match differences.into_iter().find(|(_, differs)| *differs) {
        None => Ok(()),
        Some((what, _)) => Err(Lie::Differs(what)),
    }
}

//! What the barrier's table asks for each kind of operation. Pure: rows in, intentions out.

use std::sync::Arc;
use std::time::Duration;

use saga_core::barrier::{self, Key, OnRun, OnUndo, Row, State};
use saga_core::{Json, Kind, Plan, Reason, Step, limits};
use serde_json::Value;

use crate::step::{Answer, Ending, Job, MirrorAnswer, Undo, UndoAnswer};

/// An outside call that may be under way is given this much longer than the call itself, so that
/// committing `begun` does not eat the call's own time.
const SLACK_MS: i64 = 1_000;
/// Marks a `begun` row whose call said that nothing remains: it may be called again at once.
const RELEASED: &str = "again";

/// Something to do under the protection of one row.
pub(crate) struct Op<W> {
    pub(crate) plan: Arc<Plan>,
    pub(crate) key: Key,
    /// The saga's request digest.
    pub(crate) request: String,
    /// Number of the event that this was decided on.
    pub(crate) n: u64,
    /// Take it that there is no row: the guarded commit finds out if there is one.
    pub(crate) assume_absent: bool,
    pub(crate) task: Task<W>,
}

/// What to do.
pub(crate) enum Task<W> {
    /// Run a local step.
    Run(Box<Job<Json>>),
    /// Prepare to call an outside step, which takes this long at most.
    Begin(Duration),
    /// Undo a local step.
    Undo(Box<Undo<Json, Value>>),
    /// Prepare to undo an outside step, which takes this long at most.
    BeginUndo(Duration),
    /// Close the row of a step that an operator skipped.
    Skip,
    /// Close the row of a step that an operator settled.
    Settle,
    /// Mirror an ending.
    Mirror(Box<Ending<Json>>),
    /// Commit what came of an outside call: the row as it was left, the row to be.
    Put(Box<Put<W>>),
}

pub(crate) struct Put<W> {
    pub(crate) seen: Option<Row>,
    pub(crate) row: Row,
    /// Taken when it is committed.
    pub(crate) work: W,
}

/// What came of an operation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reply {
    /// The step is done: append this output.
    Done(Value),
    /// The step was refused: append this reason.
    Failed(Reason),
    /// Nobody will ever know, or the attempts are used up.
    Unknown(String),
    /// The saga has moved on, or there is nothing to do.
    Nothing,
    /// Somebody may be in the middle until then: milliseconds since the epoch.
    Wait(i64),
    /// Not now.
    Again(Option<Duration>, String),
    /// Call the outside step; this row was committed.
    Call(Row),
    /// A call outside may have happened: resolve it; this is the row.
    Resolve(Row),
    /// Call the outside undo with this output; this row was committed.
    CallUndo(Row),
    /// Nothing of the step remains: append `undone`.
    Undone,
    /// The undo was given up on this event: append `undofailed`.
    GaveUp(Reason),
    /// The undo was given up before, on event `n`.
    Held { n: u64, reason: Reason },
    /// A [`Task::Put`] was committed.
    Committed,
    /// The row of a [`Task::Put`] is not as it was left: start over from the row.
    Raced,
}

/// What is to be done about an operation once its row is known.
pub(crate) enum Next<W> {
    /// Nothing more.
    Reply(Reply),
    /// Commit this, then answer.
    Commit { row: Row, work: W, reply: Reply },
    /// Ask the handler.
    Ask,
}

impl<W: Default> Op<W> {
    /// The first look at the row.
    pub(crate) fn first(&mut self, row: Option<&Row>, now_ms: i64) -> Next<W> {
        let commit = |row: Row, reply: Reply| Next::Commit { row, work: W::default(), reply };
        match &mut self.task {
            Task::Run(_) => match barrier::on_run(row, &self.request, now_ms) {
                // Resolve: a step that was outside in an earlier release. Nobody can be asked any
                // more, and its effect now is its work.
                OnRun::Run | OnRun::Resolve => Next::Ask,
                other => Next::Reply(settled_run(other)),
            },
            Task::Begin(limit) => match barrier::on_run(row, &self.request, now_ms) {
                OnRun::Run => {
                    let row = Row::begun(&self.request, until(now_ms, *limit));
                    commit(row.clone(), Reply::Call(row))
                }
                OnRun::Resolve => resolve(row, &self.request, until(now_ms, *limit)),
                other => Next::Reply(settled_run(other)),
            },
            Task::Undo(undo) => match barrier::on_undo(row, &self.request, self.n, now_ms) {
                OnUndo::Undo(output) => {
                    undo.output = output;
                    Next::Ask
                }
                OnUndo::Void(row) => commit(row, Reply::Undone),
                other => Next::Reply(settled_undo(&other, row)),
            },
            Task::BeginUndo(limit) => match barrier::on_undo(row, &self.request, self.n, now_ms) {
                OnUndo::Undo(_) => {
                    let undoing = row.map(|row| row.undoing(until(now_ms, *limit)));
                    let undoing =
                        undoing.unwrap_or_else(|| Row::new(&self.request, State::Undoing));
                    commit(undoing.clone(), Reply::CallUndo(undoing))
                }
                OnUndo::Void(row) => commit(row, Reply::Undone),
                other => Next::Reply(settled_undo(&other, row)),
            },
            Task::Skip => match barrier::on_skip(row, &self.request) {
                Some(row) => commit(row, Reply::Nothing),
                None => Next::Reply(Reply::Nothing),
            },
            Task::Settle => match barrier::on_settle(row, &self.request) {
                Some(row) => commit(row, Reply::Nothing),
                None => Next::Reply(Reply::Nothing),
            },
            Task::Mirror(_) => match barrier::on_ending(row, &self.request, self.n) {
                Some(_) => Next::Ask,
                None => Next::Reply(Reply::Nothing),
            },
            Task::Put(put) => {
                if put.seen.as_ref() != row {
                    return Next::Reply(Reply::Raced);
                }
                let work = std::mem::take(&mut put.work);
                Next::Commit { row: put.row.clone(), work, reply: Reply::Committed }
            }
        }
    }

    /// What the answer of a local step means.
    pub(crate) fn after_run(&self, job: &Job<Json>, answer: Answer<Value, W>) -> Next<W> {
        let Some(step) = self.plan.step(&self.key.step) else {
            return Next::Reply(Reply::Nothing);
        };
        match checked(step, answer) {
            Answer::Done(output, work) => {
                let row = Row::done(&self.request, output.clone());
                Next::Commit { row, work, reply: Reply::Done(output) }
            }
            Answer::Refused(reason, work) => {
                let row = Row::failed(&self.request, reason.clone());
                Next::Commit { row, work, reply: Reply::Failed(reason) }
            }
            Answer::Again(_, why) if is_last(step, job.attempt) => Next::Reply(Reply::Unknown(why)),
            Answer::Again(pause, why) => Next::Reply(Reply::Again(pause, why)),
            // Its only effect would have been its work, and that was not committed.
            Answer::Unknown(why) => Next::Reply(Reply::Again(None, why)),
        }
    }

    /// What the answer of a local undo means.
    pub(crate) fn after_undo(
        &self,
        undo: &Undo<Json, Value>,
        row: Option<&Row>,
        answer: UndoAnswer<W>,
    ) -> Next<W> {
        // A handler is asked only about a row that is there.
        let Some(row) = row else { return Next::Reply(Reply::Nothing) };
        let step = self.plan.step(&self.key.step);
        match given_up(step, undo.job.attempt, answer) {
            UndoAnswer::Undone(work) => {
                Next::Commit { row: row.undone(), work, reply: Reply::Undone }
            }
            UndoAnswer::Again(pause, why) => Next::Reply(Reply::Again(pause, why)),
            UndoAnswer::GiveUp(reason) => {
                let row = held(row, self.n, &reason);
                Next::Commit { row, work: W::default(), reply: Reply::GaveUp(reason) }
            }
        }
    }

    /// What the answer of a mirror means.
    pub(crate) fn after_mirror(&self, row: Option<&Row>, answer: MirrorAnswer<W>) -> Next<W> {
        match (answer, barrier::on_ending(row, &self.request, self.n)) {
            (MirrorAnswer::Commit(work), Some(row)) => {
                Next::Commit { row, work, reply: Reply::Nothing }
            }
            (MirrorAnswer::Commit(_), None) => Next::Reply(Reply::Nothing),
            (MirrorAnswer::Again(pause, why), _) => Next::Reply(Reply::Again(pause, why)),
        }
    }
}

/// An answer that fits the step: an output over its limit is a refusal, and its work is dropped.
pub(crate) fn checked<W: Default>(step: &Step, answer: Answer<Value, W>) -> Answer<Value, W> {
    let answer = match answer {
        Answer::Done(output, work) => match limits::check(&output, step.output_max) {
            Ok(()) => Answer::Done(output, work),
            Err(why) => Answer::refused("output_too_large", &why.to_string()),
        },
        other => other,
    };
    match answer {
        Answer::Refused(reason, _) if step.kind == Kind::Retriable => {
            let why =
                format!("a retriable step cannot refuse ({}: {})", reason.code, reason.detail);
            Answer::Again(None, why)
        }
        other => other,
    }
}

/// An undo whose attempts are used up is given up.
pub(crate) fn given_up<W>(
    step: Option<&Step>,
    attempt: u32,
    answer: UndoAnswer<W>,
) -> UndoAnswer<W> {
    match answer {
        UndoAnswer::Again(_, why) if step.is_some_and(|step| is_last(step, attempt)) => {
            UndoAnswer::GiveUp(Reason::new("attempts_exhausted", &why))
        }
        other => other,
    }
}

/// Whether no further attempt is allowed.
pub(crate) fn is_last(step: &Step, attempt: u32) -> bool {
    step.attempts.is_some_and(|limit| attempt >= limit)
}

/// The row of an undo that was given up on event `n`. It keeps the reason, so that whoever finds
/// it can append what a crash kept from being appended.
pub(crate) fn held(row: &Row, n: u64, reason: &Reason) -> Row {
    Row { reason: Some(reason.clone()), ..row.held(n) }
}

/// The `begun` row of a call after which nothing remains: nobody is in the middle any more.
pub(crate) fn released(row: &Row, now_ms: i64) -> Row {
    let reason = Some(Reason::new(RELEASED, "the call said that nothing remains"));
    Row { until_ms: Some(now_ms), reason, ..row.clone() }
}

fn until(now_ms: i64, limit: Duration) -> i64 {
    let limit_ms = i64::try_from(limit.as_millis()).unwrap_or(i64::MAX);
    now_ms.saturating_add(limit_ms).saturating_add(SLACK_MS)
}

fn resolve<W: Default>(row: Option<&Row>, request: &str, until_ms: i64) -> Next<W> {
    match row {
        Some(row) if row.reason.as_ref().is_none_or(|reason| reason.code != RELEASED) => {
            Next::Reply(Reply::Resolve(row.clone()))
        }
        _ => {
            let row = Row::begun(request, until_ms);
            Next::Commit { row: row.clone(), work: W::default(), reply: Reply::Call(row) }
        }
    }
}

fn settled_run(found: OnRun) -> Reply {
    match found {
        OnRun::AppendDone(output) => Reply::Done(output),
        OnRun::AppendFailed(reason) => Reply::Failed(reason),
        OnRun::Wait(until_ms) => Reply::Wait(until_ms),
        OnRun::Stop | OnRun::Run | OnRun::Resolve => Reply::Nothing,
    }
}

fn settled_undo(found: &OnUndo, row: Option<&Row>) -> Reply {
    match found {
        OnUndo::Wait(until_ms) => Reply::Wait(*until_ms),
        OnUndo::DecideAnew => {
            let reason = row.and_then(|row| row.reason.clone());
            let reason = reason.unwrap_or_else(|| Reason::new("given_up", "the undo was given up"));
            Reply::Held { n: row.and_then(|row| row.n).unwrap_or(0), reason }
        }
        OnUndo::AppendUndone | OnUndo::Void(_) | OnUndo::Undo(_) => Reply::Undone,
    }
}

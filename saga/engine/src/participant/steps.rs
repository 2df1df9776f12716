//! Running and undoing one step: the barrier, the call, the event.

use std::time::Duration;

use saga_core::barrier::{Row, State};
use saga_core::{Change, Json, Kind, Reason};
use serde_json::Value;

use super::executor::Clock;
use super::handler::{Handler, guarded};
use super::op::{Put, Reply, Task, checked, given_up, held, is_last, released};
use super::worker::{Appended, Outcome, Turn, Worker};
use crate::barrier::Barrier;
use crate::step::{Answer, Job, Resolution, Undo, UndoAnswer};
use crate::testing::fault::Point;

/// How long a `resolve` may take when the call itself may take no time at all.
const RESOLVE_LEAST: Duration = Duration::from_secs(1);
/// How often one message starts over from a row that others keep changing.
const RACES: u32 = 8;

impl<B: Barrier<Work: Default>> Worker<B> {
    /// Runs a step and appends `done`, `failed` or `timedout`.
    pub(crate) async fn run(&self, mut turn: Turn<'_>) -> Outcome {
        let Some(handler) = self.bench.steps.get(&turn.step.name) else {
            return self.later(&turn, None, "no handler");
        };
        let reply = loop {
            let reply = match handler.outside() {
                None => {
                    let job = Box::new(turn.job(&self.bench.clock));
                    self.forward.perform(turn.op(Task::Run(job))).await
                }
                Some(limit) => match self.run_outside(&mut turn, handler.as_ref(), limit).await {
                    Ok(reply) => reply,
                    Err(outcome) => return outcome,
                },
            };
            match reply {
                Reply::Wait(until_ms) if is_limited(turn.step) => self.sit_out(until_ms).await,
                other => break other,
            }
        };
        let step = turn.step.name.clone();
        match reply {
            Reply::Done(output) => {
                self.put(&mut turn, Change::Done { step, output: output.into() }).await
            }
            Reply::Failed(_) if turn.step.kind == Kind::Retriable => {
                tracing::error!(step, "a retriable step was refused: it comes again");
                self.later(&turn, None, "refused")
            }
            Reply::Failed(reason) => self.put(&mut turn, Change::Failed { step, reason }).await,
            Reply::Unknown(why) if turn.step.kind == Kind::Compensable => {
                let reason = Reason::new("unknown", &why);
                self.put(&mut turn, Change::Timedout { step, reason }).await
            }
            Reply::Wait(until_ms) => self.wait(until_ms),
            Reply::Again(pause, why) => self.later(&turn, pause, &why),
            Reply::Unknown(why) => self.later(&turn, None, &why),
            _ => Outcome::Finished,
        }
    }

    /// An outside step: `begun`, the call, then `done` or `failed`.
    async fn run_outside(
        &self,
        turn: &mut Turn<'_>,
        handler: &dyn Handler<B::Work>,
        limit: Duration,
    ) -> Result<Reply, Outcome> {
        // Waiting for a turn happens before `begun`, whose time is the call's alone.
        let Ok(_permit) = self.outside.acquire().await else {
            return Err(self.later(turn, None, "the participant is stopping"));
        };
        let job = turn.job(&self.bench.clock);
        for _ in 0..RACES {
            let begun = self.forward.perform(turn.op(Task::Begin(limit))).await;
            let settled = match begun {
                Reply::Call(row) => {
                    self.before_call(turn).await?;
                    self.call(turn, handler, &job, &row).await
                }
                Reply::Resolve(row) => {
                    let call_again = turn.step.kind == Kind::Retriable;
                    self.resolve(turn, handler, &job, &row, call_again).await
                }
                other => return Ok(other),
            };
            // Start over from the row, whatever it is by now.
            turn.assume_absent = false;
            match settled {
                Settled::Reply(reply) => return Ok(reply),
                Settled::StartOver => self.meter.raced(),
            }
        }
        Ok(Reply::Again(None, "the row keeps changing".to_owned()))
    }

    async fn before_call(&self, turn: &Turn<'_>) -> Result<(), Outcome> {
        match self.fault_in(turn, Point::BeforeCall).await {
            None => Ok(()),
            Some(outcome) => Err(outcome),
        }
    }

    /// Calls, and commits what came of it.
    async fn call(
        &self,
        turn: &Turn<'_>,
        handler: &dyn Handler<B::Work>,
        job: &Job<Json>,
        row: &Row,
    ) -> Settled {
        let began = std::time::Instant::now();
        let limit = handler.outside().unwrap_or(RESOLVE_LEAST);
        let answer = match guarded(limit, handler.run_all(&[job])).await {
            Ok(answers) => answers.into_iter().next(),
            Err(why) => {
                self.meter.panicked(&turn.step.name);
                Some(Answer::Unknown(why))
            }
        };
        self.meter.took(&turn.step.name, began.elapsed());
        let answer = answer.unwrap_or_else(|| Answer::Unknown("no answer".to_owned()));
        match answer {
            Answer::Done(output, work) => self.keep(turn, row, output, work).await,
            Answer::Refused(reason, work) => self.refuse(turn, row, reason, work).await,
            Answer::Again(_, why) if is_last(turn.step, turn.attempt) => {
                Settled::Reply(Reply::Unknown(why))
            }
            Answer::Again(pause, why) => self.release(turn, row, pause, why).await,
            Answer::Unknown(why) => {
                tracing::warn!(saga = job.saga_id, step = job.step, why, "unknown: resolving");
                self.resolve(turn, handler, job, row, false).await
            }
        }
    }

    /// Finds out what became of a call.
    async fn resolve(
        &self,
        turn: &Turn<'_>,
        handler: &dyn Handler<B::Work>,
        job: &Job<Json>,
        row: &Row,
        call_again: bool,
    ) -> Settled {
        let limit = handler.outside().unwrap_or_default().max(RESOLVE_LEAST);
        let found = guarded(limit, handler.resolve(job)).await;
        match found.unwrap_or_else(Resolution::Unknown) {
            Resolution::Done(output, work) => self.keep(turn, row, output, work).await,
            Resolution::Refused(reason, work) => self.refuse(turn, row, reason, work).await,
            Resolution::NotHappened => {
                self.release(turn, row, None, "it did not happen".to_owned()).await
            }
            // A step that cannot fail is called again under the same effect id.
            Resolution::Unknown(_) if call_again => {
                self.release(turn, row, None, "unknown".to_owned()).await
            }
            Resolution::Unknown(why) => Settled::Reply(Reply::Unknown(why)),
        }
    }

    async fn keep(&self, turn: &Turn<'_>, row: &Row, output: Value, work: B::Work) -> Settled {
        match checked(turn.step, Answer::Done(output, work)) {
            Answer::Done(output, work) => {
                let done = Row::done(&row.request, output.clone());
                self.settle(turn, row, done, work, Reply::Done(output)).await
            }
            // It happened, but what it put out can never stand in a record: its undo removes it.
            Answer::Refused(reason, _) => Settled::Reply(Reply::Unknown(reason.detail)),
            Answer::Again(_, why) | Answer::Unknown(why) => Settled::Reply(Reply::Unknown(why)),
        }
    }

    async fn refuse(&self, turn: &Turn<'_>, row: &Row, reason: Reason, work: B::Work) -> Settled {
        match checked(turn.step, Answer::Refused(reason, work)) {
            Answer::Refused(reason, work) => {
                let failed = Row::failed(&row.request, reason.clone());
                self.settle(turn, row, failed, work, Reply::Failed(reason)).await
            }
            Answer::Again(pause, why) => {
                tracing::error!(step = turn.step.name, why, "comes again");
                self.release(turn, row, pause, why).await
            }
            Answer::Done(..) | Answer::Unknown(_) => Settled::StartOver,
        }
    }

    /// Nothing remains of the call: whoever comes next need not wait for its time to pass.
    async fn release(
        &self,
        turn: &Turn<'_>,
        row: &Row,
        pause: Option<Duration>,
        why: String,
    ) -> Settled {
        let free = match row.state {
            State::Begun => released(row, (self.bench.clock)()),
            _ => Row { until_ms: Some((self.bench.clock)()), ..row.clone() },
        };
        self.settle(turn, row, free, B::Work::default(), Reply::Again(pause, why)).await
    }

    /// Commits a row that follows from the one that this turn left.
    async fn settle(
        &self,
        turn: &Turn<'_>,
        seen: &Row,
        row: Row,
        work: B::Work,
        reply: Reply,
    ) -> Settled {
        let put = Task::Put(Box::new(Put { seen: Some(seen.clone()), row, work }));
        let executor = match turn.lane {
            saga_core::Lane::Forward => &self.forward,
            saga_core::Lane::Backward => &self.backward,
        };
        match executor.perform(turn.op(put)).await {
            Reply::Committed => Settled::Reply(reply),
            Reply::Raced => Settled::StartOver,
            other => Settled::Reply(other),
        }
    }

    /// Undoes a step and appends `undone` or `undofailed`.
    pub(crate) async fn undo(&self, mut turn: Turn<'_>) -> Outcome {
        let Some(handler) = self.bench.steps.get(&turn.step.name) else {
            return self.later(&turn, None, "no handler");
        };
        let step = turn.step.name.clone();
        loop {
            let reply = match handler.outside() {
                None => {
                    let undo = Box::new(turn.undo(&self.bench.clock));
                    self.backward.perform(turn.op(Task::Undo(undo))).await
                }
                Some(limit) => match self.undo_outside(&turn, handler.as_ref(), limit).await {
                    Ok(reply) => reply,
                    Err(outcome) => return outcome,
                },
            };
            let reason = match reply {
                Reply::Undone => return self.put(&mut turn, Change::Undone { step }).await,
                Reply::GaveUp(reason) => {
                    if let Some(died) = self.fault_in(&turn, Point::AfterEffect).await {
                        return died;
                    }
                    reason
                }
                Reply::Held { n, reason } => match self.after_held(&mut turn, n).await {
                    Ok(true) => reason,
                    Ok(false) => continue,
                    Err(outcome) => return outcome,
                },
                Reply::Wait(until_ms) if is_limited(turn.step) => {
                    self.sit_out(until_ms).await;
                    continue;
                }
                Reply::Wait(until_ms) => return self.wait(until_ms),
                Reply::Again(pause, why) => return self.later(&turn, pause, &why),
                _ => return Outcome::Finished,
            };
            // Never put again after a conflict: the undo goes through the barrier anew.
            let change = Change::Undofailed { step: step.clone(), reason };
            match self.append(&mut turn, change).await {
                Appended::Moved if turn.is_still_due(&self.service) => {}
                Appended::Yes => return self.after_append(&turn).await,
                Appended::Gone | Appended::Moved => return Outcome::Finished,
                Appended::Later(outcome) => return outcome,
            }
        }
    }

    /// The undo was given up on event `n`: decide anew on the last record. `true`: that is still
    /// event `n`, so its `undofailed` was never appended and is to be appended now.
    async fn after_held(&self, turn: &mut Turn<'_>, n: u64) -> Result<bool, Outcome> {
        let (id, at_least) = (turn.tail.stored.record.id.clone(), turn.tail.last_sequence);
        match self.last(turn.plan, &id, at_least).await {
            Ok(Some(tail)) => turn.tail = tail,
            Ok(None) => return Err(Outcome::Finished),
            Err(error) => return Err(self.later(turn, None, &error.to_string())),
        }
        if turn.is_still_due(&self.service) {
            Ok(turn.tail.stored.record.n <= n)
        } else {
            Err(Outcome::Finished)
        }
    }

    /// An outside undo: `undoing`, the call, then `undone`.
    async fn undo_outside(
        &self,
        turn: &Turn<'_>,
        handler: &dyn Handler<B::Work>,
        limit: Duration,
    ) -> Result<Reply, Outcome> {
        let Ok(_permit) = self.outside.acquire().await else {
            return Err(self.later(turn, None, "the participant is stopping"));
        };
        for _ in 0..RACES {
            let row = match self.backward.perform(turn.op(Task::BeginUndo(limit))).await {
                Reply::CallUndo(row) => row,
                other => return Ok(other),
            };
            self.before_call(turn).await?;
            let undo = Undo { output: row.output.clone(), ..turn.undo(&self.bench.clock) };
            let began = std::time::Instant::now();
            let answer = match guarded(limit, handler.undo_all(&[&undo])).await {
                Ok(answers) => answers.into_iter().next(),
                Err(why) => Some(UndoAnswer::Again(None, why)),
            };
            self.meter.took(&turn.step.name, began.elapsed());
            let answer = answer.unwrap_or_else(|| UndoAnswer::Again(None, "no answer".to_owned()));
            let settled = match given_up(Some(turn.step), turn.attempt, answer) {
                UndoAnswer::Undone(work) => {
                    self.settle(turn, &row, row.undone(), work, Reply::Undone).await
                }
                UndoAnswer::Again(pause, why) => self.release(turn, &row, pause, why).await,
                UndoAnswer::GiveUp(reason) => {
                    let held = held(&row, turn.tail.stored.record.n, &reason);
                    let gave_up = Reply::GaveUp(reason);
                    self.settle(turn, &row, held, B::Work::default(), gave_up).await
                }
            };
            match settled {
                Settled::Reply(reply) => return Ok(reply),
                Settled::StartOver => self.meter.raced(),
            }
        }
        Ok(Reply::Again(None, "the row keeps changing".to_owned()))
    }
}

/// Whether deliveries are counted against a limit. To wait for somebody else is no attempt, so such
/// a step's message waits in hand instead of coming again.
fn is_limited(step: &saga_core::Step) -> bool {
    step.attempts.is_some()
}

/// What came of a call outside.
enum Settled {
    Reply(Reply),
    /// The row is not as this turn left it: start over from it.
    StartOver,
}

impl Turn<'_> {
    fn job(&self, clock: &Clock) -> Job<Json> {
        let record = &self.tail.stored.record;
        let age_ms = u64::try_from(clock().saturating_sub(self.at_ms)).unwrap_or(0);
        let left_ms = self.step.timeout_ms.map_or(0, |limit| limit.saturating_sub(age_ms));
        let outputs = record.steps.iter().filter_map(|(step, it)| {
            use saga_core::StepState::{Done, Skipped};
            let output = it.output.as_ref().filter(|_| matches!(it.state, Done | Skipped))?;
            Some((step.clone(), output.clone()))
        });
        Job {
            saga_type: record.saga_type.clone(),
            saga_id: record.id.clone(),
            step: self.step.name.clone(),
            effect_id: self.key().effect_id(),
            attempt: self.attempt,
            left: Duration::from_millis(left_ms),
            at_ms: self.at_ms,
            input: record.input.clone(),
            outputs: outputs.collect(),
            traceparent: self.tail.stored.trace.parent.clone(),
        }
    }

    fn undo(&self, clock: &Clock) -> Undo<Json, Value> {
        Undo {
            job: self.job(clock),
            undo_id: self.key().undo_id(),
            output: None,
            cause: self.tail.stored.record.cause.clone(),
        }
    }

    fn key(&self) -> saga_core::barrier::Key {
        let record = &self.tail.stored.record;
        saga_core::barrier::Key::new(&record.saga_type, &record.id, &self.step.name)
    }
}

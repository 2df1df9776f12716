//! What a participant does about one message: decide, act, append, until nothing of ours remains.
//!
//! Nothing here knows how the message came or how it is acknowledged: the participant's pulls and
//! the saga kit drive the same code.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use saga_core::barrier::Key;
use saga_core::{Action, Backoff, Event, Lane, Plan, Record, decide, subject};

use super::executor::{Bench, Executor};
use super::meter::Meter;
use super::op::{Op, Reply, Task};
use crate::barrier::Barrier;
use crate::engine::Engine;
use crate::log::advance::{AdvanceError, Advanced, advance};
use crate::log::{Log, ReadError, Stored, Tail};
use crate::testing::fault::{Fault, Faults, Place, Point};

/// The row of a service's mirror; also the step of events of the saga itself.
const SAGA: &str = saga_core::event::SAGA;
/// Pauses where no step says how long: a log that cannot be read, a mirror that cannot commit.
const BACKOFF: Backoff = Backoff { first_ms: 100, max_ms: 5_000 };
/// A message that another release of the service has to handle is handed back for this long.
const FOREIGN_PAUSE: Duration = Duration::from_secs(5);

/// Which of a service's consumers a message came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Role {
    Forward,
    Backward,
    Ending,
}

/// A message as the worker sees it.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) stored: Stored,
    pub(crate) role: Role,
    /// Which delivery of the message this is, from 1.
    pub(crate) attempt: u32,
}

impl Delivery {
    /// Which way it asks to go; `None`: it tells of an ending.
    fn lane(&self) -> Option<Lane> {
        match self.role {
            Role::Forward => Some(Lane::Forward),
            Role::Backward => Some(Lane::of(Lane::Backward, &self.stored.record)),
            Role::Ending => None,
        }
    }

    fn trigger(&self) -> Trigger {
        let (lane, message) = (self.lane(), self.stored.sequence);
        Trigger { lane, message, attempt: self.attempt }
    }
}

/// What becomes of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing of ours remains.
    Ack,
    /// It comes again after this pause.
    Nak(Duration),
    /// Nobody can ever act on it.
    Dead(&'static str, String),
    /// As if the process died: neither acknowledged nor handed back.
    Died,
}

/// What became of one action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing of it remains.
    Finished,
    /// Not now: after this pause.
    Later(Duration),
    /// A fail-point says that the process died here.
    Died,
}

/// One service's part in its sagas.
pub(crate) struct Worker<B: Barrier> {
    pub(crate) service: String,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) plans: Vec<Arc<Plan>>,
    /// Where definitions are found that this participant does not serve.
    pub(crate) engine: Option<Engine>,
    pub(crate) bench: Arc<Bench<B>>,
    pub(crate) forward: Executor<B::Work>,
    pub(crate) backward: Executor<B::Work>,
    pub(crate) ending: Executor<B::Work>,
    /// Calls outside that may be under way at the same time.
    pub(crate) outside: tokio::sync::Semaphore,
    pub(crate) faults: Faults,
    pub(crate) meter: Arc<Meter>,
}

/// One action of one message, and where its saga stands.
pub(crate) struct Turn<'a> {
    pub(crate) plan: &'a Arc<Plan>,
    pub(crate) step: &'a saga_core::Step,
    pub(crate) action: Action,
    pub(crate) lane: Lane,
    pub(crate) tail: Tail,
    /// Take it that the barrier has no row yet.
    pub(crate) assume_absent: bool,
    /// The sequence of the message.
    pub(crate) message: u64,
    /// When the message was stored.
    pub(crate) at_ms: i64,
    pub(crate) attempt: u32,
}

/// What a fail-point is told of the message in hand.
#[derive(Clone, Copy)]
struct Trigger {
    lane: Option<Lane>,
    message: u64,
    attempt: u32,
}

impl<B: Barrier<Work: Default>> Worker<B> {
    /// Handles one message.
    pub(crate) async fn handle(&self, delivery: Delivery) -> Verdict {
        let (saga_id, trigger) = (delivery.stored.record.id.clone(), delivery.trigger());
        let verdict = self.act_on(delivery).await;
        if verdict != Verdict::Ack {
            return verdict;
        }
        match self.fault(Point::BeforeAck, &saga_id, SAGA, trigger).await {
            None => Verdict::Ack,
            Some(Outcome::Later(pause)) => Verdict::Nak(pause),
            Some(_) => Verdict::Died,
        }
    }

    async fn act_on(&self, delivery: Delivery) -> Verdict {
        let record = &delivery.stored.record;
        let Some(plan) = self.plans.iter().find(|plan| plan.serves(record)) else {
            return self.foreign(record, delivery.role).await;
        };
        let lane = delivery.lane();
        // Whatever becomes due later has a message of its own. In a rollback nearly all messages
        // are for others.
        let asks_something = match lane {
            Some(lane) => {
                !decide(plan, record, &self.service, lane).is_empty()
                    && (delivery.role == Role::Forward
                        || subject::asks_back(plan, &self.service, record))
            }
            None => self.is_mirrored(record),
        };
        if !asks_something {
            return Verdict::Ack;
        }
        let (is_fresh, trigger) = (self.is_fresh(plan, &delivery), delivery.trigger());
        let Delivery { stored, attempt, .. } = delivery;
        let (record, message, at_ms) = (&stored.record, stored.sequence, stored.at_ms);
        let tail = if is_fresh {
            Tail::from(stored)
        } else {
            match self.last(plan, &record.id, stored.sequence).await {
                Ok(Some(tail)) if self.is_same(plan, record, &tail) => tail,
                Ok(_) => return Verdict::Ack,
                Err(error) => return self.unreadable(&error, attempt),
            }
        };
        let Some(lane) = lane else { return self.mirror(plan, &tail, trigger, is_fresh).await };
        let mut actions = decide(plan, &tail.stored.record, &self.service, lane);
        let turn = |action: Action, tail: Tail| {
            let step = plan.step(action.step())?;
            let assume_absent = is_fresh;
            Some(Turn { plan, step, action, lane, tail, assume_absent, message, at_ms, attempt })
        };
        // Nearly always there is one, which needs no copy of the record.
        let last = actions.pop();
        let mut turns: Vec<_> =
            actions.into_iter().filter_map(|action| turn(action, tail.clone())).collect();
        turns.extend(last.and_then(|action| turn(action, tail)));
        let outcomes = join_all(turns.into_iter().map(|turn| self.take(turn))).await;
        verdict(outcomes)
    }

    /// Whether a message may be decided on its own record: it comes for the first time, and no
    /// time-out can have passed. What ended stays as it is.
    fn is_fresh(&self, plan: &Plan, delivery: &Delivery) -> bool {
        let record = &delivery.stored.record;
        let age_ms = (self.bench.clock)().saturating_sub(delivery.stored.at_ms);
        let is_young = |action: Action| {
            let step = plan.step(action.step());
            let timeout_ms = step.and_then(|step| step.timeout_ms);
            let timeout_ms = timeout_ms.and_then(|limit| i64::try_from(limit).ok());
            timeout_ms.is_none_or(|limit| age_ms < limit)
        };
        let own = || decide(plan, record, &self.service, Lane::Forward);
        delivery.attempt == 1
            && match delivery.lane() {
                Some(Lane::Forward) => own().into_iter().all(is_young),
                Some(Lane::Backward) => false,
                None => record.status.is_end(),
            }
    }

    /// Carries one action to its end.
    async fn take(&self, turn: Turn<'_>) -> Outcome {
        if let Some(outcome) = self.fault_in(&turn, Point::BeforeEffect).await {
            return outcome;
        }
        // Each of these is boxed: a message that does nothing does not pay for the largest.
        match &turn.action {
            Action::Run(_) => Box::pin(self.run(turn)).await,
            Action::Undo(_) => Box::pin(self.undo(turn)).await,
            Action::CloseSkipped(_) => self.close(&turn, Task::Skip).await,
            Action::CloseSettled(_) => self.close(&turn, Task::Settle).await,
        }
    }

    async fn close(&self, turn: &Turn<'_>, task: Task<B::Work>) -> Outcome {
        match self.backward.perform(turn.op(task)).await {
            Reply::Again(pause, why) => self.later(turn, pause, &why),
            _ => Outcome::Finished,
        }
    }

    /// Appends what came of an action, and decides anew whenever somebody else moved the saga.
    pub(crate) async fn put(&self, turn: &mut Turn<'_>, change: saga_core::Change) -> Outcome {
        if let Some(died) = self.fault_in(turn, Point::AfterEffect).await {
            return died;
        }
        loop {
            match self.append(turn, change.clone()).await {
                Appended::Yes => break,
                Appended::Moved if turn.is_still_due(&self.service) => {}
                Appended::Moved | Appended::Gone => return Outcome::Finished,
                Appended::Later(outcome) => return outcome,
            }
        }
        self.after_append(turn).await
    }

    /// The fail-point after an event of this turn was appended.
    pub(crate) async fn after_append(&self, turn: &Turn<'_>) -> Outcome {
        self.fault_in(turn, Point::AfterAppend).await.unwrap_or(Outcome::Finished)
    }

    /// One guarded append; afterwards `turn.tail` is the saga's tail.
    pub(crate) async fn append(&self, turn: &mut Turn<'_>, change: saga_core::Change) -> Appended {
        let author = saga_core::Author::service(&self.service);
        let kind = change.kind();
        let event = Event::new(author, change).attempt(turn.attempt);
        match advance(self.log.as_ref(), turn.plan, &turn.tail, event).await {
            Ok(Advanced::Appended(tail)) => {
                self.meter.appended(turn.plan.name(), &turn.step.name, kind);
                turn.tail = tail;
                Appended::Yes
            }
            Ok(Advanced::Moved(tail)) => {
                self.meter.conflict();
                if !self.is_same(turn.plan, &turn.tail.stored.record, &tail) {
                    return Appended::Gone;
                }
                turn.tail = tail;
                Appended::Moved
            }
            Ok(Advanced::Gone) => {
                self.meter.gone();
                Appended::Gone
            }
            Err(error) => {
                if let AdvanceError::Impossible(_) | AdvanceError::Refused(_) = error {
                    let saga = &turn.tail.stored.record.id;
                    tracing::error!(saga, step = turn.step.name, %kind, %error, "not appended");
                }
                Appended::Later(self.later(turn, None, &error.to_string()))
            }
        }
    }

    /// The saga's last accepted event; `None`: retention took it.
    pub(crate) async fn last(
        &self,
        plan: &Plan,
        id: &str,
        at_least: u64,
    ) -> Result<Option<Tail>, ReadError> {
        let tail = self.log.last(plan, id, at_least).await?;
        if tail.is_none() {
            self.meter.gone();
        }
        Ok(tail)
    }

    /// Whether a tail belongs to the saga in hand: an id may be used again after retention.
    fn is_same(&self, plan: &Plan, record: &Record, tail: &Tail) -> bool {
        let found = &tail.stored.record;
        let is_same = plan.serves(found) && found.request == record.request;
        if !is_same {
            tracing::warn!(saga = %record.id, "the id belongs to another saga by now");
            self.meter.gone();
        }
        is_same
    }

    fn unreadable(&self, error: &ReadError, attempt: u32) -> Verdict {
        tracing::warn!(%error, "a saga cannot be read: its message comes again");
        self.meter.again();
        Verdict::Nak(self.backoff(BACKOFF, attempt))
    }

    /// A record of a definition that this participant does not serve.
    async fn foreign(&self, record: &Record, role: Role) -> Verdict {
        let (saga_type, version) = (&record.saga_type, record.definition.version);
        if role != Role::Ending
            && let Some(engine) = &self.engine
            && let Ok(plan) = engine.plan_of(record).await
            && plan.serves(record)
            && !plan.services().contains(self.service.as_str())
        {
            return Verdict::Ack;
        }
        let saga = &record.id;
        tracing::error!(
            saga,
            saga_type,
            version,
            "this service does not serve that definition: the message is handed back. Roll the \
             service out before the definition.",
        );
        self.meter.foreign();
        Verdict::Nak(FOREIGN_PAUSE)
    }

    /// The outcome of an action that comes again, after `pause` or the step's own backoff.
    pub(crate) fn later(&self, turn: &Turn<'_>, pause: Option<Duration>, why: &str) -> Outcome {
        let saga = &turn.tail.stored.record.id;
        tracing::debug!(saga, step = turn.step.name, why, "comes again");
        self.meter.again();
        Outcome::Later(pause.unwrap_or_else(|| self.backoff(turn.step.backoff, turn.attempt)))
    }

    fn backoff(&self, backoff: Backoff, attempt: u32) -> Duration {
        super::backoff::pause(&self.bench.jitter, backoff, attempt)
    }

    /// Somebody may be in the middle until then: not an attempt, only a wait.
    pub(crate) fn wait(&self, until_ms: i64) -> Outcome {
        Outcome::Later(self.left(until_ms))
    }

    /// [`Worker::wait`] with the message in hand.
    pub(crate) async fn sit_out(&self, until_ms: i64) {
        tokio::time::sleep(self.left(until_ms)).await;
    }

    fn left(&self, until_ms: i64) -> Duration {
        let left = until_ms.saturating_sub((self.bench.clock)()).max(0);
        super::backoff::after(&self.bench.jitter, u64::try_from(left).unwrap_or(0))
    }

    /// Asks the fail-point about one action; `None`: go on.
    pub(crate) async fn fault_in(&self, turn: &Turn<'_>, point: Point) -> Option<Outcome> {
        let (saga_id, step) = (&turn.tail.stored.record.id, turn.action.step());
        let (lane, message) = (Some(turn.lane), turn.message);
        self.fault(point, saga_id, step, Trigger { lane, message, attempt: turn.attempt }).await
    }

    /// Asks the fail-point; `None`: go on.
    async fn fault(
        &self,
        point: Point,
        saga_id: &str,
        step: &str,
        Trigger { lane, message, attempt }: Trigger,
    ) -> Option<Outcome> {
        let place = || Place {
            point,
            service: self.service.clone(),
            saga_id: saga_id.to_owned(),
            step: step.to_owned(),
            lane,
            message,
            attempt,
        };
        match self.faults.ask(place).await {
            Fault::Proceed => None,
            Fault::Die => Some(Outcome::Died),
            Fault::HandBack(pause) => Some(Outcome::Later(pause)),
        }
    }

    /// Whether it is an ending that the service takes note of.
    fn is_mirrored(&self, record: &Record) -> bool {
        let is_ending = record.status.is_end() || record.status == saga_core::Status::Stuck;
        let mirror = self.bench.mirror.as_ref();
        is_ending && mirror.is_some_and(|mirror| mirror.concerns(record.status))
    }

    /// Follows an ending into the service's own database.
    async fn mirror(
        &self,
        plan: &Arc<Plan>,
        tail: &Tail,
        trigger: Trigger,
        is_fresh: bool,
    ) -> Verdict {
        let record = &tail.stored.record;
        let Some(mirror) = self.bench.mirror.as_ref().filter(|_| self.is_mirrored(record)) else {
            return Verdict::Ack;
        };
        if let Err(why) = mirror.reads_input(&record.input) {
            return Verdict::Dead(super::handler::BAD_INPUT, why);
        }
        let op = Op {
            plan: Arc::clone(plan),
            key: Key::new(&record.saga_type, &record.id, SAGA),
            request: record.request.clone(),
            n: record.n,
            // A saga that rolled back may have been stuck before, and mirrored as such.
            assume_absent: is_fresh && record.status == saga_core::Status::Completed,
            task: Task::Mirror(Box::new(crate::step::Ending {
                record: record.clone(),
                input: record.input.clone(),
                at_ms: tail.stored.at_ms,
                effect_id: format!("{}.{}.{}", record.saga_type, record.id, record.status),
                traceparent: tail.stored.trace.parent.clone(),
            })),
        };
        let id = record.id.clone();
        if let Some(outcome) = self.fault(Point::BeforeEffect, &id, SAGA, trigger).await {
            return verdict(vec![outcome]);
        }
        let outcome = if let Reply::Again(pause, _) = self.ending.perform(op).await {
            self.meter.again();
            Outcome::Later(pause.unwrap_or_else(|| self.backoff(BACKOFF, trigger.attempt)))
        } else {
            let died = self.fault(Point::AfterEffect, &id, SAGA, trigger).await;
            died.unwrap_or(Outcome::Finished)
        };
        verdict(vec![outcome])
    }
}

/// What came of one append.
pub(crate) enum Appended {
    Yes,
    Moved,
    Gone,
    Later(Outcome),
}

impl Turn<'_> {
    /// An operation on this step's row.
    pub(crate) fn op<W>(&self, task: Task<W>) -> Op<W> {
        let record = &self.tail.stored.record;
        Op {
            plan: Arc::clone(self.plan),
            key: Key::new(&record.saga_type, &record.id, &self.step.name),
            request: record.request.clone(),
            n: record.n,
            assume_absent: self.assume_absent,
            task,
        }
    }

    /// Whether the saga, where it stands now, still asks for this action.
    pub(crate) fn is_still_due(&self, service: &str) -> bool {
        decide(self.plan, &self.tail.stored.record, service, self.lane).contains(&self.action)
    }
}

fn verdict(outcomes: Vec<Outcome>) -> Verdict {
    let mut verdict = Verdict::Ack;
    for outcome in outcomes {
        verdict = match (outcome, verdict) {
            (Outcome::Died, _) | (_, Verdict::Died) => Verdict::Died,
            (Outcome::Finished, verdict) => verdict,
            (Outcome::Later(pause), Verdict::Nak(other)) => Verdict::Nak(pause.min(other)),
            (Outcome::Later(pause), _) => Verdict::Nak(pause),
        };
    }
    verdict
}

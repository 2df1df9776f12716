//! Playing one saga: messages are delivered by hand, everybody else is played.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use saga_core::{Author, Change, Event, Kind, Lane, Plan, Record, Status, decide, subject};
use serde_json::{Value, json};

use crate::audit::ask::{Ask, Asked, Finding};
use crate::barrier::Barrier;
use crate::log::advance::{Advanced, advance, start};
use crate::log::{Log as _, Stored, Tail, Trace};
use crate::participant::Participant;
use crate::participant::backoff::random;
use crate::participant::wall_clock;
use crate::participant::worker::{Delivery, Role, Verdict, Worker};
use crate::testing::MemoryLog;
use crate::testing::fault::{Fault, Faults, Place, Point};

/// Deliveries of one message, and rounds of one saga, that are enough for everything.
const ENOUGH: u32 = 64;

/// Where sagas are played: a worker, a log, and a clock that jumps over every pause.
pub(super) struct Stage<B: Barrier> {
    worker: Worker<B>,
    log: MemoryLog,
    plan: Arc<Plan>,
    service: String,
    outputs: BTreeMap<String, Value>,
    skipped_ms: Arc<AtomicI64>,
    trap: Arc<Mutex<Option<Trap>>>,
}

/// What happens the next time a step reaches a point.
#[derive(Debug, Clone)]
pub(super) struct Trap {
    pub(super) point: Point,
    pub(super) step: String,
    pub(super) what: What,
}

/// What a [`Trap`] does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// The process dies.
    Die,
    /// The step is timed out by the coordinator at that moment.
    TimeOut,
}

impl<B: Barrier<Work: Default>> Stage<B> {
    pub(super) fn new(
        participant: Participant<B>,
        plan: Arc<Plan>,
        service: String,
        outputs: BTreeMap<String, Value>,
    ) -> Self {
        let skipped_ms = Arc::new(AtomicI64::new(0));
        let skipped = Arc::clone(&skipped_ms);
        let clock = move || wall_clock().saturating_add(skipped.load(Ordering::Relaxed));
        let log = MemoryLog::new(clock.clone());
        let trap: Arc<Mutex<Option<Trap>>> = Arc::default();
        let faults = faults(Arc::clone(&trap), log.clone(), Arc::clone(&plan));
        let worker = participant.faults(faults).worker(
            Arc::new(clock),
            Arc::new(random),
            Arc::new(log.clone()),
        );
        Self { worker, log, plan, service, outputs, skipped_ms, trap }
    }

    pub(super) async fn start(&self, id: &str, input: Value) -> Result<(), String> {
        *self.trap.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let record = Record::start(&self.plan, id, input).map_err(|error| error.to_string())?;
        let started = start(&self.log, &self.plan, record, Trace::default()).await;
        started.map(drop).map_err(|error| error.to_string())
    }

    pub(super) fn set(&self, trap: Trap) {
        *self.trap.lock().unwrap_or_else(PoisonError::into_inner) = Some(trap);
    }

    /// Plays until the saga ends: `fails` is the step of somebody else that fails when it is ready.
    pub(super) async fn play(&self, id: &str, fails: Option<&str>) -> Result<Status, String> {
        let mut seen = BTreeMap::from([(Role::Forward, 0), (Role::Backward, 0)]);
        for _ in 0..ENOUGH {
            if self.last(id).await?.stored.record.status.is_end() {
                break;
            }
            let mut is_moved = false;
            for (role, seen) in &mut seen {
                for message in self.messages(id, *role, *seen) {
                    *seen = message.sequence;
                    is_moved = true;
                    self.deliver(message, *role, 1).await?;
                }
            }
            let is_played = !is_moved && self.play_others(id, fails).await?;
            if !is_moved && !is_played {
                break;
            }
        }
        // What was delivered too late to matter is delivered all the same.
        for (role, seen) in seen {
            for message in self.messages(id, role, seen) {
                self.deliver(message, role, 1).await?;
            }
        }
        Ok(self.last(id).await?.stored.record.status)
    }

    /// Plays until `step` is ready and none of its messages was delivered.
    pub(super) async fn play_until_ready(&self, id: &str, step: &str) -> Result<(), String> {
        let mut seen = 0;
        for _ in 0..ENOUGH {
            let tail = self.last(id).await?;
            let own = decide(&self.plan, &tail.stored.record, &self.service, Lane::Forward);
            if own.iter().any(|action| action.step() == step) {
                return Ok(());
            }
            let mut is_moved = false;
            for message in self.messages(id, Role::Forward, seen) {
                seen = message.sequence;
                is_moved = true;
                self.deliver(message, Role::Forward, 1).await?;
            }
            if !is_moved && !self.play_others(id, None).await? {
                break;
            }
        }
        Err(format!("step {step} never becomes ready with this input and these outputs"))
    }

    /// Delivers every forward message there is, once.
    pub(super) async fn deliver_forward(&self, id: &str) -> Result<(), String> {
        for message in self.messages(id, Role::Forward, 0) {
            self.deliver(message, Role::Forward, 1).await?;
        }
        Ok(())
    }

    /// Every message of the saga once more, backward ones first.
    pub(super) async fn repeat_everything(&self, id: &str) -> Result<(), String> {
        for role in [Role::Backward, Role::Forward, Role::Backward] {
            for message in self.messages(id, role, 0) {
                self.deliver(message, role, 2).await?;
            }
        }
        Ok(())
    }

    /// What the participant's own audit finds wrong with the saga, once everything was delivered.
    pub(super) async fn audit(&self, id: &str) -> Result<Vec<String>, String> {
        let stored = self.last(id).await?.stored;
        let (sequence, at_ms) = (stored.sequence, stored.at_ms);
        let saga = Asked { sequence, at_ms, record: stored.record };
        let told = self.worker.audit(&Ask { sagas: vec![saga], sums: true }).await;
        let line = |finding: Finding| {
            let step = finding.step.unwrap_or_default();
            format!("{step}: {}", finding.detail)
        };
        Ok(told.findings.into_iter().map(line).collect())
    }

    /// Delivers a message until it is acknowledged; the clock jumps over the pauses.
    async fn deliver(&self, message: Stored, role: Role, first: u32) -> Result<(), String> {
        for attempt in first..first + ENOUGH {
            let delivery = Delivery { stored: message.clone(), role, attempt };
            match self.worker.handle(delivery).await {
                Verdict::Ack => return Ok(()),
                Verdict::Nak(pause) => {
                    let pause_ms = i64::try_from(pause.as_millis()).unwrap_or(i64::MAX);
                    self.skipped_ms.fetch_add(pause_ms, Ordering::Relaxed);
                }
                Verdict::Died => {}
                Verdict::Dead(code, why) => return Err(format!("dead letter {code}: {why}")),
            }
        }
        Err(format!("message {} is never acknowledged", message.record.n))
    }

    fn messages(&self, id: &str, role: Role, after: u64) -> Vec<Stored> {
        let token = subject::type_token(self.plan.name(), self.plan.shard(id));
        let filters = match role {
            Role::Backward => {
                let consumers = subject::backward_consumers(&self.plan, &token, &self.service);
                consumers.into_iter().map(|(_, filter)| filter).collect()
            }
            _ => subject::forward_filters(&self.plan, &token, &self.service),
        };
        self.log.delivered(id, after, &filters)
    }

    pub(super) async fn last(&self, id: &str) -> Result<Tail, String> {
        let tail = self.log.last(&self.plan, id, 0).await.map_err(|error| error.to_string())?;
        tail.ok_or_else(|| "the saga is gone".to_owned())
    }

    pub(super) async fn append(&self, id: &str, by: Author, change: Change) -> Result<(), String> {
        let tail = self.last(id).await?;
        match advance(&self.log, &self.plan, &tail, Event::new(by, change)).await {
            Ok(Advanced::Appended(_)) => Ok(()),
            Ok(other) => Err(format!("not appended: {other:?}")),
            Err(error) => Err(error.to_string()),
        }
    }

    /// One event of somebody else, if one is due.
    async fn play_others(&self, id: &str, fails: Option<&str>) -> Result<bool, String> {
        let record = self.last(id).await?.stored.record;
        for step in self.plan.steps().iter().filter(|step| step.service != self.service) {
            let (by, is_ready) = match step.kind {
                Kind::Timer => (Author::Coordinator, is_ready(&self.plan, &record, &step.name)),
                Kind::Signal => (Author::Client, is_ready(&self.plan, &record, &step.name)),
                _ => {
                    let by = Author::service(&step.service);
                    let forward = decide(&self.plan, &record, &step.service, Lane::Forward);
                    (by, forward.iter().any(|action| action.step() == step.name))
                }
            };
            if is_ready && fails == Some(step.name.as_str()) {
                let change = match step.kind {
                    Kind::Signal => Change::timedout(&step.name, "kit", "it comes too late"),
                    _ => Change::failed(&step.name, "kit", "the kit lets it fail"),
                };
                let by = if step.kind == Kind::Signal { Author::Coordinator } else { by };
                return self.append(id, by, change).await.map(|()| true);
            }
            if is_ready {
                let output = self.outputs.get(&step.name).cloned().unwrap_or_else(|| json!({}));
                return self.append(id, by, Change::done(&step.name, output)).await.map(|()| true);
            }
            let backward = decide(&self.plan, &record, &step.service, Lane::Backward);
            if backward.contains(&saga_core::Action::Undo(step.name.clone())) {
                return self.append(id, by, Change::undone(&step.name)).await.map(|()| true);
            }
        }
        Ok(false)
    }
}

/// Whether a timer or a signal is ready.
fn is_ready(plan: &Plan, record: &Record, step: &str) -> bool {
    let is_it = |waiting: &saga_core::Waiting| waiting.step == step;
    saga_core::waiting(plan, record).iter().any(is_it)
}

fn faults(trap: Arc<Mutex<Option<Trap>>>, log: MemoryLog, plan: Arc<Plan>) -> Faults {
    Faults::new(move |place: Place| {
        let mut trap = trap.lock().unwrap_or_else(PoisonError::into_inner);
        let is_here = |trap: &Trap| trap.point == place.point && is_at(&trap.step, &place);
        let sprung = trap.take_if(|trap| is_here(trap));
        let (log, plan) = (log.clone(), Arc::clone(&plan));
        async move {
            match sprung.map(|trap| trap.what) {
                None => Fault::Proceed,
                Some(What::Die) => Fault::Die,
                Some(What::TimeOut) => {
                    if let Ok(Some(tail)) = log.last(&plan, &place.saga_id, 0).await {
                        let change = Change::timedout(&place.step, "late", "the kit's coordinator");
                        let event = Event::new(Author::Coordinator, change);
                        // Refused where a step cannot time out: then nothing happens here.
                        if let Err(error) = advance(&log, &plan, &tail, event).await {
                            tracing::debug!(%error, "not timed out");
                        }
                    }
                    Fault::Proceed
                }
            }
        }
    })
}

/// A message as a whole is acknowledged, not one step of it.
fn is_at(step: &str, place: &Place) -> bool {
    place.point == Point::BeforeAck || place.step == step
}

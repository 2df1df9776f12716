//! The way to the log: what is sent may be lost, late or answered by nobody, and what is read may
//! be old.

use std::sync::Arc;

use async_trait::async_trait;
use saga_core::barrier::Key;
use saga_core::{EventKind, Plan, verify, verify_start};

use super::cases::Flaw;
use super::ledger::Promise;
use super::stage::{Adrift, Process, Stage};
use super::weather::{Gate, Luck};
use crate::log::{Append, AppendError, Log, ReadError, Stored, Tail};
use crate::testing::MemoryLog;

/// One process's way to the log.
pub(super) struct Wire {
    pub(super) stage: Arc<Stage>,
    pub(super) process: Process,
    pub(super) log: MemoryLog,
}

/// An append reaches the log.
pub(super) async fn store(
    stage: &Stage,
    log: &MemoryLog,
    append: &Append,
) -> Result<u64, AppendError> {
    let plan = &stage.plan;
    let mut append = append.clone();
    let is_checked = stage.state().flaw != Flaw::NoCheck;
    if !is_checked && let Ok(Some(tail)) = log.last(plan, &append.record.id, 0).await {
        append.expected = tail.last_sequence;
    }
    let outcome = log.append(plan, &append).await;
    let mut held = stage.state();
    match &outcome {
        Ok(sequence) => {
            let record = append.record;
            let event = &record.event;
            held.say(|| {
                let (id, n, status) = (&record.id, record.n, record.status);
                format!("  {id}.{n}.{}.{}.{status} is stored as {sequence}", event.step, event.kind)
            });
            if event.kind == EventKind::Settled {
                let key = Key::new(&record.saga_type, &record.id, &event.step);
                let found = held.ledger.undo_by_hand(&key.effect_id());
                held.check(found);
            }
            let stored = Arc::new(Stored {
                record,
                sequence: *sequence,
                at_ms: stage.now_ms(),
                append_id: Some(append.append_id),
                trace: append.trace,
            });
            let before = held.last(&stored.record.id);
            let folded = match before {
                None => verify_start(plan, &stored.record),
                Some(before) => {
                    verify(plan, before.record.clone(), before.sequence, &stored.record)
                }
            };
            held.check(folded.map_err(|lie| (Promise::Folded, lie.to_string())));
            held.post.put(plan, &stored);
            held.stored.push(stored);
        }
        Err(error) => {
            let error = error.to_string();
            held.say(|| format!("  {}.{}: {error}", append.record.id, append.record.n));
        }
    }
    outcome
}

impl Wire {
    fn unanswered<T>() -> Result<T, AppendError> {
        Err(AppendError::Unanswered("nobody answers".to_owned()))
    }

    /// How much of a saga a read sees: all of it, or what a replica has of it.
    fn seen(&self, mut history: Vec<Stored>, at_least: u64, luck: Luck) -> Vec<Stored> {
        if luck != Luck::Stale {
            return history;
        }
        let is_enough = |stored: &Stored| stored.sequence >= at_least;
        // Where nothing is enough, the leader is asked, who has everything.
        let first = history.iter().position(is_enough).map_or(history.len(), |first| first + 1);
        let first = if at_least == 0 { 0 } else { first };
        let more = self.stage.state().dice.index(history.len() - first + 1);
        history.truncate(first + more);
        history
    }

    async fn read(&self, plan: &Plan, id: &str, at_least: u64) -> Result<Option<Luck>, ReadError> {
        let label = || format!("{id} from {at_least}");
        let luck = self.stage.touch(self.process, Gate::Read, label).await;
        match luck {
            Luck::Fails => Err(ReadError::Unavailable(format!("{} is away", plan.name()))),
            // Only the leader's answer will do.
            _ if at_least == crate::log::NEWEST => Ok(None),
            luck => Ok(Some(luck).filter(|luck| *luck == Luck::Stale)),
        }
    }
}

#[async_trait]
impl Log for Wire {
    async fn append(&self, _: &Plan, append: &Append) -> Result<u64, AppendError> {
        let label = || {
            let record = &append.record;
            let (id, n, event) = (&record.id, record.n, &record.event);
            format!("{id}.{n}.{}.{} on {}", event.step, event.kind, append.expected)
        };
        let late = || Some(Adrift::Append(Box::new(append.clone())));
        let luck = self.stage.touch_late(self.process, Gate::Append, label, late).await;
        match luck {
            Luck::Fails => Self::unanswered(),
            Luck::Silent => {
                let unheard = store(&self.stage, &self.log, append).await;
                drop(unheard);
                Self::unanswered()
            }
            Luck::Adrift => {
                self.stage.state().adrift.push(Adrift::Append(Box::new(append.clone())));
                Self::unanswered()
            }
            Luck::Refused => Err(AppendError::Refused("the disk is full".to_owned())),
            Luck::InFlight => Err(AppendError::InFlight),
            _ => {
                let outcome = store(&self.stage, &self.log, append).await;
                self.stage.touch(self.process, Gate::Answer, || "of the log".to_owned()).await;
                if let Ok(sequence) = outcome {
                    let acknowledged = (sequence, append.append_id.clone());
                    self.stage.state().acknowledged.push(acknowledged);
                }
                outcome
            }
        }
    }

    async fn last(&self, plan: &Plan, id: &str, at_least: u64) -> Result<Option<Tail>, ReadError> {
        match self.read(plan, id, at_least).await? {
            None => self.log.last(plan, id, at_least).await,
            Some(luck) => {
                let history = self.log.history(plan, id, at_least).await?;
                Ok(self.seen(history, at_least, luck).pop().map(Tail::from))
            }
        }
    }

    async fn history(
        &self,
        plan: &Plan,
        id: &str,
        at_least: u64,
    ) -> Result<Vec<Stored>, ReadError> {
        let luck = self.read(plan, id, at_least).await?;
        let history = self.log.history(plan, id, at_least).await?;
        Ok(luck.map_or_else(|| history.clone(), |luck| self.seen(history.clone(), at_least, luck)))
    }
}

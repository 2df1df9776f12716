//! A service's database: rows of the barrier, and the effects that are committed with them.

use std::sync::Arc;

use saga_core::barrier::{Key, Row, State as RowState};
use serde_json::Value;

use super::cases::Flaw;
use super::stage::{Process, Stage};
use super::weather::{Gate, Luck};
use crate::barrier::{Barrier, Change, CommitError};
use crate::testing::MemoryBarrier;

/// A business change.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) enum Work {
    #[default]
    Nothing,
    Happens(String, Value),
    Unhappens(String),
    /// The ending of a saga at this event was mirrored.
    Mirrored(String, u64),
}

/// One process's way to its service's database.
pub(super) struct Store {
    pub(super) stage: Arc<Stage>,
    pub(super) process: Process,
    pub(super) rows: MemoryBarrier<Work>,
}

fn away() -> CommitError {
    CommitError::Unavailable("the database is away".to_owned())
}

impl Store {
    fn flaw(&self) -> Flaw {
        self.stage.state().flaw
    }

    fn enter(&self, work: &Work) {
        let mut state = self.stage.state();
        let ledger = &mut state.ledger;
        let found = match work {
            Work::Nothing => return,
            Work::Happens(effect, output) => ledger.happens(effect, output.clone()),
            Work::Unhappens(effect) => ledger.unhappens(effect),
            Work::Mirrored(saga, n) => ledger.mirror(saga, *n),
        };
        state.say(|| format!("  {work:?}"));
        state.check(found);
    }

    /// Commits one change, effect and row together.
    async fn put(&self, change: Change<Work>) -> Result<(), CommitError> {
        let (key, row, work) = (change.key.clone(), change.row.state, change.work.clone());
        let committed = self.rows.commit(vec![change]).await.into_iter().next();
        let outcome = committed.unwrap_or_else(|| Err(away()));
        let mut state = self.stage.state();
        match &outcome {
            Ok(()) => {
                state.say(|| format!("  the row of {}.{} is {}", key.id, key.step, row.as_str()));
                drop(state);
                self.enter(&work);
            }
            Err(error) => state.say(|| format!("  {}.{}: {error}", key.id, key.step)),
        }
        outcome
    }

    /// What a change becomes where something is built wrongly; `None`: it is left out.
    async fn flawed(&self, mut change: Change<Work>) -> Option<Change<Work>> {
        match self.flaw() {
            Flaw::NoVoid if change.row.state == RowState::Void => return None,
            Flaw::SettledPastBarrier
                if change.row.state == RowState::Undone && change.work == Work::Nothing =>
            {
                return None;
            }
            Flaw::HeldForNobody => {
                let found = self.rows.read(std::slice::from_ref(&change.key)).await;
                let row = found.into_iter().flatten().next().flatten();
                let is_held = row.as_ref().is_some_and(|row| row.state == RowState::Held);
                if is_held && change.seen.as_ref().is_some_and(|it| it.state == RowState::Done) {
                    change.seen = row;
                }
            }
            Flaw::RowApart => {
                // The effect is committed before, in a transaction of its own.
                self.enter(&std::mem::take(&mut change.work));
                let label = || "between effect and row".to_owned();
                self.stage.touch(self.process, Gate::Answer, label).await;
            }
            _ => {}
        }
        Some(change)
    }
}

impl Barrier for Store {
    type Work = Work;

    async fn read(&self, keys: &[Key]) -> Result<Vec<Option<Row>>, CommitError> {
        let label = || keys.iter().map(Key::effect_id).collect::<Vec<_>>().join(", ");
        if self.stage.touch(self.process, Gate::Rows, label).await == Luck::Fails {
            return Err(away());
        }
        let mut rows = self.rows.read(keys).await?;
        if self.flaw() == Flaw::HeldForNobody {
            for row in rows.iter_mut().flatten().filter(|row| row.state == RowState::Held) {
                (row.state, row.n, row.reason) = (RowState::Done, None, None);
            }
        }
        Ok(rows)
    }

    async fn commit(&self, changes: Vec<Change<Work>>) -> Vec<Result<(), CommitError>> {
        let label = || {
            let each = changes
                .iter()
                .map(|it| format!("{}.{} {}", it.key.id, it.key.step, it.row.state.as_str()));
            each.collect::<Vec<_>>().join(", ")
        };
        let luck = self.stage.touch(self.process, Gate::Commit, label).await;
        let mut outcomes = Vec::with_capacity(changes.len());
        let is_alone = changes.len() == 1;
        for change in changes {
            // One that fails must not keep the others from being committed.
            let fails = luck == Luck::Fails && (is_alone || self.stage.state().dice.chance(500));
            outcomes.push(match self.flawed(change).await {
                _ if fails => Err(away()),
                Some(change) => self.put(change).await,
                None => Ok(()),
            });
        }
        self.stage.touch(self.process, Gate::Answer, || "of the database".to_owned()).await;
        outcomes
    }
}

//! Steps whose effect is a call: `begun`, the call, then what came of it.

use saga_core::Kind;
use saga_core::barrier::{OnRun, State as RowState, on_run};

use crate::book::RecordId;
use crate::event::Move;
use crate::model::Luck;
use crate::state::{Effect, MRow, Phase};
use crate::step::Place;
use crate::world::World;

impl World<'_> {
    /// The first look at the row of a run.
    pub(crate) fn begin(&mut self, at: Place, on: RecordId) -> Option<()> {
        let request = &self.saga.request;
        let side = self.state.steps[usize::from(at.step)];
        let (row, now_ms) = side.seen(request);
        let is_released = side.row.is_some_and(|row| row.released);
        match on_run(row.as_ref(), request, now_ms) {
            OnRun::Resolve if !is_released => {
                let row = side.row?;
                self.go(at, Phase::Resolve(on, row))
            }
            OnRun::Run | OnRun::Resolve => {
                let row = MRow::until(RowState::Begun, self.free_time(at.step));
                self.side(at).put(row);
                self.go(at, Phase::Call(on, row))
            }
            other => self.known(at, on, &other),
        }
    }

    /// Calls the provider, which is idempotent by the effect's id.
    pub(crate) fn call(&mut self, at: Place, on: RecordId, row: MRow, luck: Luck) -> Option<()> {
        let effect = self.side(at).effect;
        match luck {
            Luck::Good => {
                (effect != Effect::Refused).then_some(())?;
                self.reaches(at.step);
                self.answered(at, on, row)
            }
            Luck::Refused => {
                let may_refuse = self.kind(at.step) != Kind::Retriable;
                (may_refuse && matches!(effect, Effect::Never | Effect::Refused)).then_some(())?;
                self.side(at).effect = Effect::Refused;
                self.answered(at, on, row)
            }
            Luck::Silent => {
                self.reaches(at.step);
                self.go(at, Phase::Resolve(on, row))
            }
            Luck::Adrift => {
                self.side(at).is_late = true;
                self.go(at, Phase::Resolve(on, row))
            }
            Luck::Unknown => None,
        }
    }

    /// Asks what became of a call.
    pub(crate) fn resolve(&mut self, at: Place, on: RecordId, row: MRow, luck: Luck) -> Option<()> {
        let kind = self.kind(at.step);
        match (luck, self.side(at).effect) {
            (Luck::Good, Effect::Never) => self.release(at, on, row),
            (Luck::Good, _) => self.answered(at, on, row),
            (Luck::Unknown, _) if kind == Kind::Compensable => {
                self.go(at, self.put(on, Move::Unknown(at.step)))
            }
            (Luck::Unknown, _) if kind == Kind::Retriable => self.release(at, on, row),
            (Luck::Unknown, _) => self.later(at),
            _ => None,
        }
    }

    /// The provider said what it did.
    fn answered(&mut self, at: Place, on: RecordId, row: MRow) -> Option<()> {
        let (state, event) = match self.side(at).effect {
            Effect::Live => (RowState::Done, Move::Done(at.step)),
            // Also when it was cancelled meanwhile: then the row is another one.
            _ => (RowState::Failed, Move::Failed(at.step)),
        };
        self.go(at, Phase::Settle(on, row, MRow::new(state), Some(event)))
    }

    /// Nothing remains of the call: who comes next need not wait.
    fn release(&mut self, at: Place, on: RecordId, row: MRow) -> Option<()> {
        let free = MRow { released: true, ..row };
        self.settle(at, on, row, free, None)
    }

    /// Commits a row if it still is as it was seen, and starts over from it if not.
    pub(crate) fn settle(
        &mut self,
        at: Place,
        on: RecordId,
        seen: MRow,
        row: MRow,
        event: Option<Move>,
    ) -> Option<()> {
        if self.side(at).row != Some(seen) {
            return self.go(at, Phase::Decided(on));
        }
        self.side(at).put(row);
        self.side(at).is_over = row.released;
        match event {
            None => self.later(at),
            Some(Move::GaveUp(_)) => self.go(at, Phase::GiveUp(on)),
            Some(event) => self.go(at, self.put(on, event)),
        }
    }

    /// Calls the provider to undo, which works also where nothing happened, and makes a call that
    /// arrives later harmless.
    pub(crate) fn call_undo(
        &mut self,
        at: Place,
        on: RecordId,
        row: MRow,
        luck: Luck,
    ) -> Option<()> {
        let request = &self.saga.request;
        let (after, event) = match luck {
            Luck::Good => {
                self.unhappens(at.step, true);
                (row.to_row(request).undone(), Move::Undone(at.step))
            }
            Luck::Refused => {
                let left = &mut self.state.left;
                left.give_ups = left.give_ups.checked_sub(1)?;
                let n = self.saga.book.page(on).record.n;
                (row.to_row(request).held(n), Move::GaveUp(at.step))
            }
            _ => return None,
        };
        self.go(at, Phase::Settle(on, row, MRow::of(&after), Some(event)))
    }
}

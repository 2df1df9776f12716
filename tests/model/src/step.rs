//! What a worker does about one action: the barrier, the effect, the event.

use saga_core::Kind;
use saga_core::barrier::{OnRun, OnUndo, State as RowState, on_run, on_settle, on_skip, on_undo};

use crate::book::{RecordId, StepId, Task};
use crate::event::Move;
use crate::model::Luck;
use crate::promise::Promise;
use crate::setup::Flaw;
use crate::state::{Effect, Flight, MRow, Phase, Side};
use crate::world::World;

/// A job: number of its message in hand, its number there, its step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) hand: usize,
    pub(crate) job: usize,
    pub(crate) step: StepId,
}

#[expect(clippy::unnecessary_wraps, reason = "they end branches of which others are impossible")]
impl World<'_> {
    /// A job goes on.
    pub(crate) fn work(&mut self, hand: usize, job: usize, luck: Luck) -> Option<()> {
        let it = self.state.hands[hand].jobs[job];
        let at = Place { hand, job, step: it.step };
        let is_plain = luck == Luck::Good;
        match it.phase {
            Phase::Decided(on) => match it.task {
                Task::Run if self.is_outside(it.step) => {
                    is_plain.then_some(())?;
                    self.begin(at, on)
                }
                Task::Run => self.run(at, on, luck),
                Task::Undo => self.undo(at, on, luck),
                Task::CloseSkipped | Task::CloseSettled => self.close(at, it.task, luck),
            },
            Phase::RowLater(on, row) => {
                is_plain.then_some(())?;
                self.side(at).put(row);
                self.go(at, self.put(on, Move::Done(at.step)))
            }
            Phase::Call(on, row) => self.call(at, on, row, luck),
            Phase::Resolve(on, row) => self.resolve(at, on, row, luck),
            Phase::Settle(on, seen, row, event) => {
                is_plain.then_some(())?;
                self.settle(at, on, seen, row, event)
            }
            Phase::CallUndo(on, row) => self.call_undo(at, on, row, luck),
            Phase::Put(on, event) => self.append(at, on, event, luck),
            Phase::GiveUp(on) => self.append_gave_up(at, on, luck),
            Phase::Sent(_) => None,
        }
    }

    pub(crate) fn is_outside(&self, step: StepId) -> bool {
        self.saga.setup.outside.contains(&step)
    }

    pub(crate) fn side(&mut self, at: Place) -> &mut Side {
        &mut self.state.steps[usize::from(at.step)]
    }

    pub(crate) fn kind(&self, step: StepId) -> Kind {
        self.saga.book.plan().steps()[usize::from(step)].kind
    }

    pub(crate) fn go(&mut self, at: Place, phase: Phase) -> Option<()> {
        self.state.hands[at.hand].jobs[at.job].phase = phase;
        Some(())
    }

    pub(crate) fn over(&mut self, at: Place) -> Option<()> {
        self.finish(at.hand, at.job);
        Some(())
    }

    pub(crate) fn later(&mut self, at: Place) -> Option<()> {
        self.hand_back(at.hand, at.job);
        Some(())
    }

    /// The phase of an event that is to be appended; decided on `on`.
    pub(crate) fn put(&self, on: RecordId, event: Move) -> Phase {
        let has_check = self.saga.setup.flaw != Flaw::NoCheck;
        Phase::Put(if has_check { 0 } else { on }, event)
    }

    /// Runs a step in the participant's own database.
    fn run(&mut self, at: Place, on: RecordId, luck: Luck) -> Option<()> {
        let request = &self.saga.request;
        let (row, now_ms) = self.state.steps[usize::from(at.step)].seen(request);
        let next = on_run(row.as_ref(), request, now_ms);
        match (next, luck) {
            (OnRun::Run | OnRun::Resolve, Luck::Good) => {
                self.happens(at.step);
                let row = MRow::new(RowState::Done);
                if self.saga.setup.flaw == Flaw::RowApart {
                    return self.go(at, Phase::RowLater(on, row));
                }
                self.side(at).put(row);
                self.go(at, self.put(on, Move::Done(at.step)))
            }
            (OnRun::Run | OnRun::Resolve, Luck::Refused) => {
                (self.kind(at.step) != Kind::Retriable).then_some(())?;
                self.side(at).put(MRow::new(RowState::Failed));
                self.go(at, self.put(on, Move::Failed(at.step)))
            }
            (next, Luck::Good) => self.known(at, on, &next),
            _ => None,
        }
    }

    /// What a run does about a row that says it all.
    pub(crate) fn known(&mut self, at: Place, on: RecordId, next: &OnRun) -> Option<()> {
        match next {
            OnRun::Wait(_) => self.later(at),
            OnRun::AppendDone(_) => self.go(at, self.put(on, Move::Done(at.step))),
            OnRun::AppendFailed(_) if self.kind(at.step) == Kind::Retriable => self.later(at),
            OnRun::AppendFailed(_) => self.go(at, self.put(on, Move::Failed(at.step))),
            OnRun::Stop | OnRun::Run | OnRun::Resolve => self.over(at),
        }
    }

    /// Undoes a step, or prepares to call its provider.
    fn undo(&mut self, at: Place, on: RecordId, luck: Luck) -> Option<()> {
        let request = &self.saga.request;
        let (row, now_ms) = self.state.steps[usize::from(at.step)].seen(request);
        let n = match self.saga.setup.flaw {
            Flaw::HeldForNobody => u64::MAX,
            _ => self.saga.book.page(on).record.n,
        };
        let gives_up = luck == Luck::Refused;
        match on_undo(row.as_ref(), request, n, now_ms) {
            OnUndo::Undo(_) if self.is_outside(at.step) => {
                (luck == Luck::Good).then_some(())?;
                if self.saga.setup.flaw == Flaw::BelievesProvider
                    && self.side(at).effect == Effect::Never
                {
                    self.side(at).put(MRow::new(RowState::Void));
                    return self.go(at, self.put(on, Move::Undone(at.step)));
                }
                let until = self.free_time(at.step);
                let undoing = MRow::of(&row?.undoing(i64::from(until) * 2));
                self.side(at).put(undoing);
                self.go(at, Phase::CallUndo(on, undoing))
            }
            OnUndo::Undo(_) if gives_up => {
                let left = &mut self.state.left;
                left.give_ups = left.give_ups.checked_sub(1)?;
                let held = self.saga.book.page(on).record.n;
                self.side(at).put(MRow::of(&row?.held(held)));
                self.go(at, Phase::GiveUp(on))
            }
            _ if luck != Luck::Good => None,
            OnUndo::Undo(_) => {
                self.unhappens(at.step, false);
                self.side(at).put(MRow::of(&row?.undone()));
                self.go(at, self.put(on, Move::Undone(at.step)))
            }
            OnUndo::Void(row) => {
                if self.saga.setup.flaw != Flaw::NoVoid {
                    self.side(at).put(MRow::of(&row));
                }
                self.side(at).effect = Effect::Forsworn;
                self.go(at, self.put(on, Move::Undone(at.step)))
            }
            OnUndo::AppendUndone => self.go(at, self.put(on, Move::Undone(at.step))),
            OnUndo::Wait(_) => self.later(at),
            OnUndo::DecideAnew => self.after_held(at),
        }
    }

    /// The undo was given up before, on event number `n` of the row: decide anew on the last
    /// record. Where that is still the same one, the event was never appended.
    fn after_held(&mut self, at: Place) -> Option<()> {
        let held = self.state.steps[usize::from(at.step)].row.map_or(0, |row| u64::from(row.n));
        let Some(last) = self.due(at) else { return self.over(at) };
        if self.saga.book.page(last).record.n <= held {
            self.go(at, Phase::GiveUp(last))
        } else {
            self.go(at, Phase::Decided(last))
        }
    }

    /// Closes the row of a step that an operator skipped or settled.
    fn close(&mut self, at: Place, task: Task, luck: Luck) -> Option<()> {
        (luck == Luck::Good).then_some(())?;
        let request = &self.saga.request;
        let (row, _) = self.state.steps[usize::from(at.step)].seen(request);
        let row = match task {
            Task::CloseSkipped => on_skip(row.as_ref(), request),
            _ if self.saga.setup.flaw == Flaw::SettledPastBarrier => None,
            _ => on_settle(row.as_ref(), request),
        };
        if let Some(row) = row {
            self.side(at).put(MRow::of(&row));
        }
        self.over(at)
    }

    /// The last record, if it still asks for this job.
    fn due(&self, at: Place) -> Option<RecordId> {
        let last = self.state.tail?;
        let hand = &self.state.hands[at.hand];
        let job = hand.jobs[at.job];
        let page = self.saga.book.page(last);
        page.asks(hand.service, hand.lane(), job.step, job.task).then_some(last)
    }

    /// Appends what came of a job. Refused appends change nothing, so only the last attempt is a
    /// step of the model: on the saga's last record, if that still asks for it.
    fn append(&mut self, at: Place, on: RecordId, event: Move, luck: Luck) -> Option<()> {
        if self.saga.setup.flaw == Flaw::NoCheck {
            (luck == Luck::Good).then_some(())?;
            if self.state.tail == Some(on) {
                self.store(on, event)?;
            } else {
                // The server took it, and no reader accepts it.
                self.breaks(Promise::Kept);
            }
            return self.over(at);
        }
        match self.due(at) {
            Some(last) => self.send(at, last, event, luck),
            None if luck == Luck::Good => self.over(at),
            None => None,
        }
    }

    /// Never put again after a conflict: the undo goes through the barrier anew.
    fn append_gave_up(&mut self, at: Place, on: RecordId, luck: Luck) -> Option<()> {
        match self.due(at) {
            Some(last) if last == on || self.is_put_again() => {
                self.send(at, last, Move::GaveUp(at.step), luck)
            }
            _ if luck != Luck::Good => None,
            Some(last) => self.go(at, Phase::Decided(last)),
            None => self.over(at),
        }
    }

    fn is_put_again(&self) -> bool {
        matches!(self.saga.setup.flaw, Flaw::NoCheck | Flaw::GivesUpAgain)
    }

    fn send(&mut self, at: Place, last: RecordId, event: Move, luck: Luck) -> Option<()> {
        if self.saga.book.next(last, event).is_none() {
            self.breaks(Promise::Accepted);
            return self.later(at);
        }
        let hand = &self.state.hands[at.hand];
        let by = Some((hand.service, hand.lane));
        if self.saga.setup.replicated {
            (luck == Luck::Good).then_some(())?;
            self.publish(Flight { on: last, event, spelling: hand.service, by })?;
            return self.go(at, Phase::Sent(event));
        }
        match luck {
            Luck::Good => {
                self.store(last, event)?;
                self.over(at)
            }
            Luck::Silent if self.saga.setup.floats && self.state.flights.is_empty() => {
                self.state.flights.push(Flight { on: last, event, spelling: 0, by: None });
                Some(())
            }
            _ => None,
        }
    }
}

//! What becomes of a state: messages, the log, time.

use saga_core::barrier::State as RowState;

use crate::book::{Appended, RecordId, StepId};
use crate::event::Move;
use crate::model::{Act, Saga};
use crate::promise::Promise;
use crate::setup::Flaw;
use crate::state::{Effect, Flight, Inbox, Job, Phase, State};

/// A state that something happens to. Each method answers `None` where that is not possible.
pub(crate) struct World<'a> {
    pub(crate) saga: &'a Saga,
    pub(crate) state: &'a mut State,
}

impl World<'_> {
    pub(crate) fn act(&mut self, act: Act) -> Option<()> {
        match act {
            Act::Deliver(service, steps) => self.deliver(service, steps),
            Act::Redeliver(service, lane) => self.redeliver(service, lane),
            Act::Work(hand, job, luck) => self.work(hand, job, luck),
            Act::Acknowledge(hand) => {
                let hand = self.state.hands.remove(hand);
                let inbox = &mut self.state.inboxes[usize::from(hand.service)];
                inbox.old[hand.lane] &= !hand.acks;
                Some(())
            }
            Act::Die(hand) => {
                self.state.hands.remove(hand);
                Some(())
            }
            Act::Write(event) => self.write(event),
            Act::Land(flight) => self.land(flight),
            Act::Vanish(flight) => {
                let flight = self.state.flights.remove(flight);
                self.answer(&flight, false);
                Some(())
            }
            Act::Pass(step) => {
                self.state.steps[usize::from(step)].is_over = true;
                Some(())
            }
            Act::Arrive(step) => {
                self.state.steps[usize::from(step)].is_late = false;
                self.reaches(step);
                Some(())
            }
            Act::Repeat => {
                self.state.left.repeats -= 1;
                if self.state.tail.is_none() {
                    self.breaks(Promise::StartedOnce);
                    self.start();
                }
                Some(())
            }
            Act::Purge => {
                self.state.tail = None;
                self.state.inboxes.fill(Inbox::default());
                self.state.hands.iter_mut().for_each(|hand| hand.acks = false);
                self.state.flights.clear();
                Some(())
            }
        }
    }

    pub(crate) fn breaks(&mut self, promise: Promise) {
        self.state.broken |= promise.bit();
    }

    /// Appends `started`.
    pub(crate) fn start(&mut self) {
        let started = self.saga.book.start();
        self.accept(&started);
    }

    /// A coordinator, an operator or a client appends.
    fn write(&mut self, event: Move) -> Option<()> {
        let on = self.state.tail?;
        self.saga.book.next(on, event)?;
        let left = &mut self.state.left;
        match event {
            Move::Nudged(_) => left.nudges = left.nudges.checked_sub(1)?,
            Move::Skipped(_) => left.skips = left.skips.checked_sub(1)?,
            Move::UndoLate(_) => left.lates = left.lates.checked_sub(1)?,
            _ => {}
        }
        if self.saga.setup.replicated {
            return self.publish(Flight { on, event, spelling: u8::MAX, by: None });
        }
        self.store(on, event)
    }

    /// The leader of a replicated log takes an append, unless one of the same filter is in flight.
    pub(crate) fn publish(&mut self, mut flight: Flight) -> Option<()> {
        if self.saga.setup.flaw != Flaw::TwoSpellings {
            flight.spelling = 0;
        }
        let is_in_flight = self.state.flights.iter().any(|it| it.spelling == flight.spelling);
        if is_in_flight {
            return None;
        }
        self.state.flights.push(flight);
        Some(())
    }

    /// An append reaches the log.
    fn land(&mut self, index: usize) -> Option<()> {
        let flight = self.state.flights.remove(index);
        if self.state.tail == Some(flight.on) {
            self.store(flight.on, flight.event)?;
        } else if self.saga.setup.replicated {
            // It was checked when it came; now it stands in the log, and no reader accepts it.
            self.breaks(Promise::Kept);
        }
        self.answer(&flight, true);
        Some(())
    }

    /// Whoever waits for an append hears of it.
    fn answer(&mut self, flight: &Flight, is_stored: bool) {
        let Some((service, lane)) = flight.by else { return };
        let hands = self.state.hands.iter().enumerate();
        let hands = hands.filter(|(_, hand)| (hand.service, hand.lane) == (service, lane));
        let is_it = |job: &Job| job.phase == Phase::Sent(flight.event);
        let found =
            hands.filter_map(|(index, hand)| Some((index, hand.jobs.iter().position(is_it)?)));
        let Some((hand, job)) = found.into_iter().next() else { return };
        if is_stored {
            self.finish(hand, job);
        } else {
            let it = &mut self.state.hands[hand].jobs[job];
            it.phase = match flight.event {
                Move::GaveUp(_) => Phase::GiveUp(flight.on),
                event => Phase::Put(0, event),
            };
        }
    }

    /// The log stores an event on the record that is the saga's last.
    pub(crate) fn store(&mut self, on: RecordId, event: Move) -> Option<()> {
        let appended = self.saga.book.next(on, event)?;
        if !appended.is_fold {
            self.breaks(Promise::Folded);
        }
        if let Move::Settled(step) = event {
            let effect = self.state.steps[usize::from(step)].effect;
            self.state.steps[usize::from(step)].effect = match effect {
                Effect::Live => Effect::GoneByHand,
                Effect::Never | Effect::Refused => Effect::Forsworn,
                other => other,
            };
            // At a provider a person sees that an undo came through although nobody answered.
            if effect == Effect::Gone && !self.is_outside(step) {
                self.breaks(Promise::UndoneOnce);
            }
        }
        self.accept(&appended);
        Some(())
    }

    /// An event is the saga's last: it goes to all consumers that filter it.
    fn accept(&mut self, appended: &Appended) {
        self.state.tail = Some(appended.record);
        let page = self.saga.book.page(appended.record);
        for (service, delivered) in (0..).zip(&appended.delivered) {
            let inbox = &mut self.state.inboxes[usize::from(service)];
            let runs = page.actions(service, saga_core::Lane::Forward).iter();
            let steps = runs.fold(0_u8, |steps, (step, _)| steps | (1 << step));
            let is_fresh = delivered[0] && steps != 0;
            if is_fresh {
                inbox.fresh.push(steps);
                inbox.fresh.sort_unstable();
            }
            for lane in [0, 1] {
                if delivered[lane] && !(lane == 0 && is_fresh) {
                    inbox.old[lane] = true;
                    let hands = self.state.hands.iter_mut();
                    let hands = hands.filter(|it| it.service == service && it.lane == lane);
                    hands.for_each(|hand| hand.acks = false);
                }
            }
        }
        if !self.saga.setup.replicated {
            // The check refuses them from now on.
            self.state.flights.retain(|flight| flight.on == appended.record);
        }
    }

    /// A call reaches the step's provider.
    pub(crate) fn reaches(&mut self, step: StepId) {
        let side = &mut self.state.steps[usize::from(step)];
        // Idempotent by its effect id, and harmless after its undo.
        if side.effect == Effect::Never {
            side.effect = Effect::Live;
        }
    }

    /// The effect of a step in the participant's own database.
    pub(crate) fn happens(&mut self, step: StepId) {
        let effect = &mut self.state.steps[usize::from(step)].effect;
        let before = std::mem::replace(effect, Effect::Live);
        match before {
            Effect::Never | Effect::Refused => {}
            Effect::Live => self.breaks(Promise::Once),
            Effect::Gone | Effect::GoneByHand | Effect::Forsworn => self.breaks(Promise::Forsworn),
        }
    }

    /// The undo of a step, at the provider or in the participant's own database.
    pub(crate) fn unhappens(&mut self, step: StepId, is_idempotent: bool) {
        let effect = &mut self.state.steps[usize::from(step)].effect;
        let before = *effect;
        *effect = match before {
            Effect::Live | Effect::Gone => Effect::Gone,
            Effect::GoneByHand => Effect::GoneByHand,
            Effect::Never | Effect::Refused | Effect::Forsworn => Effect::Forsworn,
        };
        if before == Effect::GoneByHand || (before == Effect::Gone && !is_idempotent) {
            self.breaks(Promise::UndoneOnce);
        }
    }

    /// A time for a new call that no other call of the step has.
    pub(crate) fn free_time(&self, step: StepId) -> u8 {
        let jobs = self.state.hands.iter().flat_map(|hand| &hand.jobs);
        let held = jobs.filter(|job| job.step == step).filter_map(|job| match job.phase {
            Phase::Call(_, row)
            | Phase::Resolve(_, row)
            | Phase::CallUndo(_, row)
            | Phase::Settle(_, row, _, _) => Some(row),
            _ => None,
        });
        let row = self.state.steps[usize::from(step)].row;
        let is_timed = |state| matches!(state, RowState::Begun | RowState::Undoing);
        let taken: Vec<u8> =
            held.chain(row).filter(|row| is_timed(row.state)).map(|row| row.until).collect();
        (1..u8::MAX).find(|until| !taken.contains(until)).unwrap_or(u8::MAX)
    }
}

//! What can only do nothing any more is done at once: so two states that differ in nothing else
//! are one.

use saga_core::barrier::State as RowState;
use saga_core::{Lane, StepState};

use crate::book::{Page, ServiceId, StepId, Task};
use crate::event::Move;
use crate::state::{Job, Phase};
use crate::world::World;

impl World<'_> {
    /// Does what can only do nothing any more.
    pub(crate) fn settle_down(&mut self) {
        let Some(page) = self.saga.page(self.state) else { return };
        let mut hands = std::mem::take(&mut self.state.hands);
        for hand in &mut hands {
            let (service, lane) = (hand.service, hand.lane());
            hand.jobs.retain(|job| !self.is_idle(&page, service, lane, *job));
        }
        self.state.hands = hands;
        for service in self.saga.services() {
            let fresh = std::mem::take(&mut self.state.inboxes[usize::from(service)].fresh);
            let is_idle = |steps: u8| {
                let of = |step: &StepId| u32::from(*step) < u8::BITS && steps & (1 << step) != 0;
                let mut steps = (0..8).filter(of);
                steps.all(|step| self.is_run_over(&page, service, step))
            };
            let kept = fresh.into_iter().filter(|steps| !is_idle(*steps)).collect();
            self.state.inboxes[usize::from(service)].fresh = kept;
            for (index, lane) in [Lane::Forward, Lane::Backward].into_iter().enumerate() {
                if page.actions(service, lane).is_empty() {
                    self.state.inboxes[usize::from(service)].old[index] = false;
                    let hands = self.state.hands.iter_mut();
                    let hands = hands.filter(|it| it.service == service && it.lane == index);
                    hands.for_each(|hand| hand.acks = false);
                }
            }
        }
    }

    /// Whether a job can have no effect and append nothing, now and later.
    fn is_idle(&self, page: &Page, service: ServiceId, lane: Lane, job: Job) -> bool {
        let is_due = page.asks(service, lane, job.step, job.task);
        let is_undone = page.states[usize::from(job.step)] == Some(StepState::Undone);
        match (job.task, job.phase) {
            // What is not ready any more is never ready again.
            (Task::Run, Phase::Put(_, event)) => !is_due && !matches!(event, Move::GaveUp(_)),
            (Task::Run, Phase::Decided(_)) => self.is_run_over(page, service, job.step),
            (Task::Undo, Phase::Put(..) | Phase::GiveUp(_)) => is_undone,
            (Task::Undo, Phase::Decided(_)) => is_undone && self.is_closed(job.step),
            _ => false,
        }
    }

    /// Whether a run would find a row that says it all, and a log that does not want it.
    fn is_run_over(&self, page: &Page, service: ServiceId, step: StepId) -> bool {
        let row = self.state.steps[usize::from(step)].row;
        let is_final = row.is_some_and(|row| row.state != RowState::Begun);
        is_final && !page.asks(service, Lane::Forward, step, Task::Run)
    }

    fn is_closed(&self, step: StepId) -> bool {
        let row = self.state.steps[usize::from(step)].row;
        row.is_some_and(|row| {
            matches!(row.state, RowState::Undone | RowState::Void | RowState::Failed)
        })
    }
}

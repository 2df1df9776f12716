//! Messages: how they come to a worker, and how they are done with.

use crate::book::{RecordId, ServiceId, StepId, Task};
use crate::setup::Flaw;
use crate::state::{Hand, Job, Phase};
use crate::world::World;

impl World<'_> {
    /// The first delivery of a message, decided on its own record.
    pub(crate) fn deliver(&mut self, service: ServiceId, steps: u8) -> Option<()> {
        let inbox = &mut self.state.inboxes[usize::from(service)];
        let index = inbox.fresh.iter().position(|it| *it == steps)?;
        inbox.fresh.remove(index);
        // With others of its kind not acknowledged, this one's acknowledgement leaves those.
        let acks = !inbox.old[0];
        inbox.old[0] = true;
        let steps = (0..u8::BITS).zip(0_u8..).filter(|(bit, _)| steps & (1 << bit) != 0);
        let tasks: Vec<_> = steps.map(|(_, step)| (step, Task::Run)).collect();
        // What it was decided on matters only to a log that does not check.
        let on = self.basis(Task::Run, self.state.tail.unwrap_or_default());
        self.take(service, 0, acks, &tasks, on);
        Some(())
    }

    /// Any other delivery, decided on the last record.
    pub(crate) fn redeliver(&mut self, service: ServiceId, lane: usize) -> Option<()> {
        let page = self.saga.page(self.state);
        let in_lane = [saga_core::Lane::Forward, saga_core::Lane::Backward][lane];
        let tasks = page.map(|page| page.actions(service, in_lane).to_vec()).unwrap_or_default();
        if tasks.is_empty() {
            self.state.inboxes[usize::from(service)].old[lane] = false;
            return Some(());
        }
        let on = self.state.tail?;
        self.take(service, lane, true, &tasks, on);
        Some(())
    }

    fn take(
        &mut self,
        service: ServiceId,
        lane: usize,
        acks: bool,
        tasks: &[(StepId, Task)],
        on: RecordId,
    ) {
        let job = |&(step, task): &(StepId, Task)| {
            let phase = Phase::Decided(self.basis(task, on));
            Job { step, task, phase }
        };
        let jobs = tasks.iter().map(job).collect();
        let acks_first = self.saga.setup.flaw == Flaw::AckFirst;
        if acks_first && acks {
            self.state.inboxes[usize::from(service)].old[lane] = false;
        }
        self.state.hands.push(Hand { service, lane, acks: acks && !acks_first, jobs });
    }

    /// What a job has to remember of the record that it was decided on: an undo its number; a run
    /// nothing, since the check of its append sees to that.
    pub(crate) fn basis(&self, task: Task, on: RecordId) -> RecordId {
        let matters = task == Task::Undo || self.saga.setup.flaw == Flaw::NoCheck;
        if matters { on } else { 0 }
    }

    /// A job is over.
    pub(crate) fn finish(&mut self, hand: usize, job: usize) {
        self.state.hands[hand].jobs.remove(job);
    }

    /// A job is over for now: its message is handed back.
    pub(crate) fn hand_back(&mut self, hand: usize, job: usize) {
        self.state.hands[hand].acks = false;
        self.finish(hand, job);
    }
}

//! What a record asks of somebody.

use crate::apply::{gave_up, is_ready, is_undoable, no_return};
use crate::definition::Kind;
use crate::event::{Author, EventKind};
use crate::plan::Plan;
use crate::record::{Record, Status, StepState};

/// Which way a message asks a service to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// A step may be ready.
    Forward,
    /// A saga rolls back, or an operator did something in the service's place.
    Backward,
}

impl Lane {
    /// The lane of a message that came through the service's forward or backward consumer. An
    /// operator's nudge of a ready step comes through the backward one and asks to run it.
    #[must_use]
    pub fn of(consumer: Self, record: &Record) -> Self {
        let is_nudge = record.status == Status::Running && record.event.kind == EventKind::Nudged;
        if is_nudge { Self::Forward } else { consumer }
    }
}

/// Something that a service is to do with one of its steps.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Run the step and append `done` or `failed`.
    Run(String),
    /// Undo the step and append `undone` or `undofailed`.
    Undo(String),
    /// An operator skipped the step: close its barrier row so that a late run has no effect.
    CloseSkipped(String),
    /// An operator undid the step by hand: mark its barrier row as undone.
    CloseSettled(String),
}

impl Action {
    /// The step that it is about.
    pub fn step(&self) -> &str {
        match self {
            Self::Run(step)
            | Self::Undo(step)
            | Self::CloseSkipped(step)
            | Self::CloseSettled(step) => step,
        }
    }
}

/// Everything that `record` asks of `service` in `lane`; empty when it is not that service's turn.
pub fn decide(plan: &Plan, record: &Record, service: &str, lane: Lane) -> Vec<Action> {
    let own = plan
        .steps()
        .iter()
        .enumerate()
        .filter(|(_, step)| step.kind.has_effect() && step.service == service);
    own.filter_map(|(index, step)| {
        let name = || step.name.clone();
        match lane {
            Lane::Forward => is_ready(plan, record, index).then(|| Action::Run(name())),
            Lane::Backward if is_undoable(plan, record, index) => Some(Action::Undo(name())),
            Lane::Backward => match record.steps.get(&step.name) {
                Some(it) if it.state == StepState::Skipped => Some(Action::CloseSkipped(name())),
                Some(it) if it.state == StepState::Undone && it.by == Some(Author::Operator) => {
                    Some(Action::CloseSettled(name()))
                }
                _ => None,
            },
        }
    })
    .collect()
}

/// Something that a saga waits for; the coordinator measures how long.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Waiting {
    /// The step, or `saga` for the deadline.
    pub step: String,
    /// What it waits for.
    pub what: WaitingFor,
    /// How long it may wait, in milliseconds since it began to wait; `None`: for ever.
    pub limit_ms: Option<u64>,
    /// What happens when that time has passed: `true` an event is due, `false` only an alarm.
    pub appends: bool,
}

/// What a [`Waiting`] waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WaitingFor {
    /// A service runs the step.
    Run,
    /// A service undoes the step.
    Undo,
    /// A timer's delay.
    Timer,
    /// A client's signal.
    Signal,
    /// The saga's deadline, measured from its start.
    Deadline,
}

/// Everything that the saga waits for.
pub fn waiting(plan: &Plan, record: &Record) -> Vec<Waiting> {
    let is_recallable = no_return(plan, record).is_none();
    let mut found: Vec<Waiting> = Vec::new();
    if record.status == Status::Running && is_recallable {
        let limit_ms = Some(plan.definition().deadline_ms);
        let step = crate::event::SAGA.to_owned();
        found.push(Waiting { step, what: WaitingFor::Deadline, limit_ms, appends: true });
    }
    for (index, step) in plan.steps().iter().enumerate() {
        let name = step.name.clone();
        if is_ready(plan, record, index) {
            let (what, limit_ms, appends) = match step.kind {
                Kind::Compensable => (WaitingFor::Run, step.timeout_ms, is_recallable),
                Kind::Pivot | Kind::Retriable => (WaitingFor::Run, step.timeout_ms, false),
                Kind::Timer => (WaitingFor::Timer, step.delay_ms, true),
                Kind::Signal => (WaitingFor::Signal, step.timeout_ms, is_recallable),
            };
            found.push(Waiting { step: name, what, limit_ms, appends });
        } else if is_undoable(plan, record, index) && gave_up(record, &step.name).is_none() {
            let limit_ms = step.timeout_ms;
            found.push(Waiting { step: name, what: WaitingFor::Undo, limit_ms, appends: true });
        }
    }
    found
}

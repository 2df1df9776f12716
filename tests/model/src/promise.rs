//! What is promised of every state.

use saga_core::barrier::State as RowState;
use saga_core::{Author, Kind, Lane, Status, StepState};
use stateright::Property;

use crate::book::{Page, ServiceId, StepId, Task};
use crate::model::Saga;
use crate::state::{Effect, State};

/// What is promised of every state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promise {
    /// No effect happens twice.
    Once,
    /// No effect happens after its undo.
    Forsworn,
    /// No effect is undone twice: by its service again, or by a person and its service.
    UndoneOnce,
    /// What was acknowledged is in the log.
    Kept,
    /// What a service decides to append, the log accepts.
    Accepted,
    /// Every record is the fold of its history.
    Folded,
    /// A saga that ended is not started again.
    StartedOnce,
    /// Of a saga that is rolled back nothing remains.
    Clean,
    /// Of a completed saga every effect is there.
    Whole,
    /// Whenever it is a service's turn, it has a message that tells it so.
    TurnKept,
    /// When a service has handled everything, its barrier says what the log says.
    Agrees,
}

impl Promise {
    /// As reports name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Once => "no effect happens twice",
            Self::Forsworn => "no effect happens after its undo",
            Self::UndoneOnce => "no effect is undone twice",
            Self::Kept => "what was acknowledged is in the log",
            Self::Accepted => "what a service decides to append, the log accepts",
            Self::Folded => "every record is the fold of its history",
            Self::StartedOnce => "a saga that ended is not started again",
            Self::Clean => "of a saga that is rolled back nothing remains",
            Self::Whole => "of a completed saga every effect is there",
            Self::TurnKept => "whose turn it is has a message that says so",
            Self::Agrees => "who has handled everything has a barrier that says what the log says",
        }
    }

    pub(crate) const fn bit(self) -> u16 {
        match self {
            Self::Once => 1,
            Self::Forsworn => 2,
            Self::UndoneOnce => 4,
            Self::Kept => 8,
            Self::Accepted => 16,
            Self::Folded => 32,
            Self::StartedOnce => 64,
            Self::Clean | Self::Whole | Self::TurnKept | Self::Agrees => 0,
        }
    }
}

/// All of them, as the checker wants them.
pub(crate) fn properties() -> Vec<Property<Saga>> {
    macro_rules! unbroken {
        ($($promise:ident),*) => {
            vec![$(Property::always(Promise::$promise.name(), |_: &Saga, state: &State| {
                state.broken & Promise::$promise.bit() == 0
            })),*]
        };
    }
    let mut all = unbroken!(Once, Forsworn, UndoneOnce, Kept, Accepted, Folded, StartedOnce);
    all.push(Property::always(Promise::Clean.name(), clean));
    all.push(Property::always(Promise::Whole.name(), whole));
    all.push(Property::always(Promise::TurnKept.name(), turn_kept));
    all.push(Property::always(Promise::Agrees.name(), agrees));
    all
}

fn clean(saga: &Saga, state: &State) -> bool {
    let Some(page) = saga.page(state) else { return true };
    page.status() != Status::RolledBack
        || saga.kinds().zip(&state.steps).all(|(_, side)| side.effect != Effect::Live)
}

fn whole(saga: &Saga, state: &State) -> bool {
    let Some(page) = saga.page(state) else { return true };
    let is_there = |(kind, (state, effect)): (Kind, (&Option<StepState>, Effect))| match state {
        Some(StepState::Done) => effect == Effect::Live || !kind.has_effect(),
        Some(StepState::Omitted) => effect == Effect::Never,
        Some(StepState::Skipped) => true,
        _ => false,
    };
    let effects = state.steps.iter().map(|side| side.effect);
    page.status() != Status::Completed
        || saga.kinds().zip(page.states.iter().zip(effects)).all(is_there)
}

fn turn_kept(saga: &Saga, state: &State) -> bool {
    let Some(page) = saga.page(state) else { return true };
    let is_told = |service: ServiceId| {
        let inbox = &state.inboxes[usize::from(service)];
        let waits = |lane: Lane, task: Task| {
            page.actions(service, lane).iter().any(|(_, asked)| *asked == task)
        };
        let is_forward = inbox.old[0] || !inbox.fresh.is_empty();
        (is_forward || !waits(Lane::Forward, Task::Run))
            && (inbox.old[1] || !waits(Lane::Backward, Task::Undo))
    };
    saga.services().all(is_told)
}

fn agrees(saga: &Saga, state: &State) -> bool {
    let Some(page) = saga.page(state) else { return true };
    (0..).zip(saga.owners()).all(|(step, owner)| {
        let Some(owner) = owner else { return true };
        let inbox = &state.inboxes[usize::from(owner)];
        let is_idle = inbox.fresh.is_empty()
            && inbox.old == [false, false]
            && state.hands.iter().all(|hand| hand.service != owner);
        !is_idle || step_agrees(&page, state, step)
    })
}

fn step_agrees(page: &Page, state: &State, step: StepId) -> bool {
    let index = usize::from(step);
    let side = &state.steps[index];
    let row = side.row.map(|row| row.state);
    match page.states[index] {
        Some(StepState::Done) => row == Some(RowState::Done) && side.effect == Effect::Live,
        Some(StepState::Failed) => row == Some(RowState::Failed),
        Some(StepState::Undone) if page.by[index] == Some(Author::Operator) => {
            row == Some(RowState::Undone)
        }
        Some(StepState::Undone) => {
            matches!(row, Some(RowState::Undone | RowState::Void | RowState::Failed))
                && side.effect != Effect::Live
        }
        Some(StepState::Skipped) => row.is_some(),
        Some(StepState::Omitted) => row.is_none() && side.effect == Effect::Never,
        Some(StepState::Undofailed) if matches!(page.by[index], Some(Author::Service(_))) => {
            row == Some(RowState::Held)
        }
        None if page.status().is_end() => row.is_none() && side.effect == Effect::Never,
        _ => true,
    }
}

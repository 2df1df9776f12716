//! The protocol as a [`Model`]: what can happen in a state, and what becomes of it.

use std::sync::Arc;

use saga_core::{Kind, Lane};
use stateright::{Model, Property};

use crate::book::{Book, Page, ServiceId, StepId, Task};
use crate::event::Move;
use crate::promise::properties;
use crate::reach::Graph;
use crate::setup::{Flaw, Setup};
use crate::state::{Inbox, Side, State};
use crate::world::World;

/// One saga of a definition, with everybody who takes part.
pub struct Saga {
    /// What is checked.
    pub setup: Setup,
    pub(crate) book: Book,
    pub(crate) request: String,
    wishes: Vec<Move>,
    owners: Vec<Option<ServiceId>>,
    /// What led where, if that is asked for.
    pub(crate) graph: Option<Graph>,
}

/// Something that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// A message is delivered for the first time; the steps that its record asks to run, as bits.
    Deliver(ServiceId, u8),
    /// A message is delivered again, or for the first time but late.
    Redeliver(ServiceId, usize),
    /// The job of that number, of the message in hand of that number, goes on.
    Work(usize, usize, Luck),
    /// The message in hand of that number is acknowledged.
    Acknowledge(usize),
    /// Whoever handles the message of that number dies.
    Die(usize),
    /// A coordinator, an operator or a client appends.
    Write(Move),
    /// The append of that number, on its way until now, reaches the log.
    Land(usize),
    /// The append of that number is lost.
    Vanish(usize),
    /// The time passes in which somebody may be in the middle of the step.
    Pass(StepId),
    /// A call that nobody waits for reaches the step's provider.
    Arrive(StepId),
    /// The start is repeated.
    Repeat,
    /// Retention takes the saga.
    Purge,
}

/// How the world answers, where it may answer in more than one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Luck {
    /// Well.
    Good,
    /// With a no.
    Refused,
    /// Not at all: the call arrived, or the append is still on its way.
    Silent,
    /// Not at all, and the call is still on its way.
    Adrift,
    /// Nobody knows.
    Unknown,
}

impl Luck {
    const ALL: [Self; 5] = [Self::Good, Self::Refused, Self::Silent, Self::Adrift, Self::Unknown];
}

impl Saga {
    /// The model of a case.
    pub fn new(setup: Setup) -> Self {
        let book = setup.book();
        let request = saga_core::digest(&serde_json::json!({}));
        let wishes = Move::wishes(book.plan());
        let owner = |step: &saga_core::Step| {
            let found = book.services().iter().position(|it| *it == step.service);
            found.and_then(|index| ServiceId::try_from(index).ok())
        };
        let owners = book.plan().steps().iter().map(owner).collect();
        Self { setup, book, request, wishes, owners, graph: None }
    }

    /// Also notes what leads where, for [`crate::check::Outcome::lost`].
    #[must_use]
    pub fn noting(mut self) -> Self {
        self.graph = Some(Graph::default());
        self
    }

    /// The last accepted record.
    pub fn page(&self, state: &State) -> Option<Arc<Page>> {
        state.tail.map(|tail| self.book.page(tail))
    }

    /// The kind of each step.
    pub fn kinds(&self) -> impl Iterator<Item = Kind> {
        self.book.plan().steps().iter().map(|step| step.kind)
    }

    /// The service of each step.
    pub fn owners(&self) -> impl Iterator<Item = Option<ServiceId>> {
        self.owners.iter().copied()
    }

    /// Every service.
    pub fn services(&self) -> impl Iterator<Item = ServiceId> {
        (0..).take(self.book.services().len())
    }

    fn hands(&self, state: &State, acts: &mut Vec<Act>) {
        for (index, hand) in state.hands.iter().enumerate() {
            acts.push(Act::Die(index));
            if hand.jobs.is_empty() {
                acts.push(Act::Acknowledge(index));
            }
            for job in 0..hand.jobs.len() {
                acts.extend(Luck::ALL.map(|luck| Act::Work(index, job, luck)));
            }
        }
        for service in self.services() {
            let inbox = &state.inboxes[usize::from(service)];
            for lane in [0, 1] {
                let busy = state.hands.iter();
                let busy = busy.filter(|it| it.service == service && it.lane == lane).count();
                if busy >= self.setup.workers {
                    continue;
                }
                if lane == 0 {
                    let mut fresh = inbox.fresh.clone();
                    fresh.dedup();
                    acts.extend(fresh.into_iter().map(|steps| Act::Deliver(service, steps)));
                }
                if inbox.old[lane] {
                    acts.push(Act::Redeliver(service, lane));
                }
            }
        }
    }

    fn writes(&self, state: &State, acts: &mut Vec<Act>) {
        let Some(page) = self.page(state) else { return };
        let is_timer = |event: &Move| matches!(event, Move::Due(_));
        let due = page.due.iter().filter(|event| self.setup.times || is_timer(event));
        let due = due.filter(|event| !matches!(event, Move::UndoLate(_)) || state.left.lates > 0);
        let wishes = self.wishes.iter().filter(|event| match event {
            Move::Cancelled => self.setup.cancels,
            Move::Nudged(_) => state.left.nudges > 0,
            Move::Skipped(_) => state.left.skips > 0,
            _ => true,
        });
        acts.extend(due.chain(wishes).map(|event| Act::Write(*event)));
    }
}

impl Model for Saga {
    type State = State;
    type Action = Act;

    fn init_states(&self) -> Vec<State> {
        let count = self.book.services().len();
        let mut state = State {
            tail: None,
            inboxes: vec![Inbox::default(); count],
            hands: Vec::new(),
            steps: vec![Side::EMPTY; self.book.plan().steps().len()],
            flights: Vec::new(),
            left: self.setup.left,
            broken: 0,
        };
        World { saga: self, state: &mut state }.start();
        vec![state]
    }

    fn actions(&self, state: &State, acts: &mut Vec<Act>) {
        self.hands(state, acts);
        self.writes(state, acts);
        for index in 0..state.flights.len() {
            // A replicated log stores what it holds in the order in which it came.
            if index == 0 || !self.setup.replicated {
                acts.push(Act::Land(index));
            }
            // What a single server never receives need not be lost first: its time only passes.
            if self.setup.replicated {
                acts.push(Act::Vanish(index));
            }
        }
        for (step, side) in (0..).zip(&state.steps) {
            if side.is_timed() && !side.is_over {
                acts.push(Act::Pass(step));
            }
            if side.is_late {
                acts.push(Act::Arrive(step));
            }
        }
        if state.left.repeats > 0 {
            acts.push(Act::Repeat);
        }
        let is_over = self.page(state).is_some_and(|page| page.status().is_end());
        let may_forget = state.left.repeats == 0 || self.setup.flaw == Flaw::ForgetsEarly;
        if is_over && may_forget && self.setup.left.repeats > 0 {
            acts.push(Act::Purge);
        }
    }

    fn next_state(&self, state: &State, act: Act) -> Option<State> {
        let mut next = state.clone();
        World { saga: self, state: &mut next }.act(act)?;
        if self.setup.is_eager {
            World { saga: self, state: &mut next }.settle_down();
        }
        // Who has nothing left to do and nothing to acknowledge is done with its message.
        next.hands.retain(|hand| hand.acks || !hand.jobs.is_empty());
        next.hands.iter_mut().for_each(|hand| hand.jobs.sort_unstable());
        next.hands.sort_unstable();
        if next == *state {
            return None;
        }
        if let Some(graph) = &self.graph {
            let by_services =
                !matches!(act, Act::Write(event) if event.is_wish() || event.is_late());
            graph.note(state, &next, by_services, self.end(&next));
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties()
    }
}

impl Saga {
    /// Whether a state is an end, and whether it is one that only a person can move on.
    fn end(&self, state: &State) -> (bool, bool) {
        let Some(page) = self.page(state) else { return (true, false) };
        let undoes = |service| {
            page.actions(service, Lane::Backward).iter().any(|(_, task)| *task == Task::Undo)
        };
        let is_end = page.status().is_end();
        let is_stuck = page.status() == saga_core::Status::Stuck && !self.services().any(undoes);
        (is_end, is_stuck)
    }
}

//! What the product's own functions say about the records of one saga, each asked only once.
//!
//! A state of the model names a record by a number. Whatever does not change what anybody decides
//! (which event came last, why it rolls back, its sequence in the stream) is the same in all
//! records here, so that two histories which lead to the same point lead to the same state.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use saga_core::{
    Action, Author, Event, EventKind, Lane, Plan, Record, Status, StepState, WaitingFor, decide,
    subject, verify, waiting,
};
use serde_json::json;

use crate::event::Move;

/// Number of a record in a [`Book`].
pub type RecordId = u32;
/// Number of a step in its definition.
pub type StepId = u8;
/// Number of a service in [`Book::services`].
pub type ServiceId = u8;

/// A record, and what it asks of everybody.
#[derive(Debug)]
pub struct Page {
    /// The record, without what nobody decides on.
    pub record: Record,
    /// What each service has to do, forward and backward.
    actions: Vec<[Vec<(StepId, Task)>; 2]>,
    /// What a coordinator appends when time passes.
    pub due: Vec<Move>,
    /// Each step's state.
    pub states: Vec<Option<StepState>>,
    /// Who put each step into its state, where that matters.
    pub by: Vec<Option<Author>>,
}

/// What a service has to do about a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Task {
    /// [`Action::Run`].
    Run,
    /// [`Action::Undo`].
    Undo,
    /// [`Action::CloseSkipped`].
    CloseSkipped,
    /// [`Action::CloseSettled`].
    CloseSettled,
}

/// An event that the log accepts: the record after it, and whom it is delivered to.
#[derive(Debug)]
pub struct Appended {
    /// The record after it.
    pub record: RecordId,
    /// Whether each service's forward and backward consumers filter it.
    pub delivered: Vec<[bool; 2]>,
    /// Whether it is the fold of its history.
    pub is_fold: bool,
}

#[derive(Default)]
struct Pages {
    all: Vec<Arc<Page>>,
    by_text: HashMap<String, RecordId>,
    next: HashMap<(RecordId, Move), Option<Arc<Appended>>>,
}

/// The records of one saga.
pub struct Book {
    plan: Plan,
    services: Vec<String>,
    /// Forward and backward filters of each service. Whatever else a consumer brings is
    /// acknowledged at once.
    filters: Vec<[Vec<String>; 2]>,
    pages: RwLock<Pages>,
}

/// Position of a lane in pairs of forward and backward.
pub fn at(lane: Lane) -> usize {
    match lane {
        Lane::Forward => 0,
        Lane::Backward => 1,
    }
}

impl Book {
    /// An empty book of sagas that follow `plan`.
    pub fn new(plan: Plan) -> Self {
        let services: Vec<String> = plan.services().into_iter().map(str::to_owned).collect();
        let filters = |service: &String| {
            let forward = subject::forward_filters(&plan, plan.name(), service);
            [forward, subject::backward_filters(&plan, plan.name(), service)]
        };
        let filters = services.iter().map(filters).collect();
        Self { plan, services, filters, pages: RwLock::default() }
    }

    /// The definition.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The services that take part.
    pub fn services(&self) -> &[String] {
        &self.services
    }

    /// The record of `started`.
    ///
    /// # Panics
    /// When the definition cannot be started at all.
    pub fn start(&self) -> Appended {
        let record = Record::start(&self.plan, "s", json!({})).expect("an empty input fits");
        self.appended(record, true)
    }

    /// What is known of a record.
    ///
    /// # Panics
    /// When the number is not from this book.
    pub fn page(&self, record: RecordId) -> Arc<Page> {
        let pages = self.pages.read().expect("no writer panics");
        let index = usize::try_from(record).expect("a number of this book");
        Arc::clone(&pages.all[index])
    }

    /// What the log makes of an event on a record; `None`: it refuses it.
    ///
    /// # Panics
    /// When another thread panicked with the book in hand.
    pub fn next(&self, record: RecordId, event: Move) -> Option<Arc<Appended>> {
        let key = (record, event);
        let known = self.pages.read().expect("no writer panics").next.get(&key).cloned();
        if let Some(known) = known {
            return known;
        }
        let page = self.page(record);
        // Where the stream stored a record is its number here: nothing else is in the stream.
        let sequence = page.record.n;
        let next = page.record.next(&self.plan, sequence, self.event(event)).ok();
        let next = next.map(|next| {
            let is_fold = verify(&self.plan, page.record.clone(), sequence, &next).is_ok();
            Arc::new(self.appended(next, is_fold))
        });
        let mut pages = self.pages.write().expect("no writer panics");
        pages.next.insert(key, next.clone());
        next
    }

    /// The product's event.
    pub fn event(&self, event: Move) -> Event {
        event.to_event(&self.plan)
    }

    fn appended(&self, record: Record, is_fold: bool) -> Appended {
        let subject = subject::of(self.plan.name(), &record);
        let matches =
            |filters: &Vec<String>| filters.iter().any(|it| subject::matches(it, &subject));
        let delivered = self.filters.iter();
        let delivered = delivered.map(|[forward, backward]| {
            // A nudge comes through the backward consumer, and is handled like what comes forward.
            let lane = Lane::of(Lane::Backward, &record);
            let is_forward = matches(backward) && lane == Lane::Forward;
            [matches(forward) || is_forward, matches(backward) && !is_forward]
        });
        let delivered = delivered.collect();
        Appended { delivered, record: self.put(record), is_fold }
    }

    fn put(&self, mut record: Record) -> RecordId {
        record.base = 0;
        record.event.kind = EventKind::Started;
        record.event.step.clear();
        record.event.by = Author::Client;
        record.steps.values_mut().for_each(|step| step.reason = None);
        if let Some(cause) = &mut record.cause {
            cause.step.clear();
            cause.code.clear();
            cause.detail.clear();
        }
        let text = serde_json::to_string(&record).expect("a record is JSON");
        let page = self.read(record);
        let mut pages = self.pages.write().expect("no writer panics");
        if let Some(&known) = pages.by_text.get(&text) {
            return known;
        }
        let id = RecordId::try_from(pages.all.len()).expect("fewer records than numbers");
        pages.all.push(Arc::new(page));
        pages.by_text.insert(text, id);
        id
    }

    fn read(&self, record: Record) -> Page {
        let tasks = |service: &str, lane: Lane| {
            let all = decide(&self.plan, &record, service, lane).into_iter();
            all.map(|action| (self.number(action.step()), Task::of(&action))).collect()
        };
        let actions = self.services.iter();
        let actions = actions.map(|it| [tasks(it, Lane::Forward), tasks(it, Lane::Backward)]);
        let actions = actions.collect();
        let due = waiting(&self.plan, &record).into_iter().filter(|waiting| waiting.appends);
        let due = due.filter_map(|waiting| match waiting.what {
            WaitingFor::Deadline => Some(Move::Expired),
            WaitingFor::Run => Some(Move::Late(self.number(&waiting.step))),
            WaitingFor::Timer => Some(Move::Due(self.number(&waiting.step))),
            WaitingFor::Signal => waiting.limit_ms.map(|_| Move::Late(self.number(&waiting.step))),
            WaitingFor::Undo => Some(Move::UndoLate(self.number(&waiting.step))),
        });
        let due = due.collect();
        let names = || self.plan.steps().iter().map(|step| &step.name);
        let states = names().map(|name| record.state(name)).collect();
        let by = |name: &String| record.steps.get(name).and_then(|step| step.by.clone());
        let by = names().map(by).collect();
        Page { record, actions, due, states, by }
    }

    fn number(&self, step: &str) -> StepId {
        let index = self.plan.steps().iter().position(|it| it.name == step);
        index.and_then(|index| StepId::try_from(index).ok()).unwrap_or(StepId::MAX)
    }
}

impl Page {
    /// Everything that the record asks of a service.
    pub fn actions(&self, service: ServiceId, lane: Lane) -> &[(StepId, Task)] {
        &self.actions[usize::from(service)][at(lane)]
    }

    /// Whether it asks this of the service.
    pub fn asks(&self, service: ServiceId, lane: Lane, step: StepId, task: Task) -> bool {
        self.actions(service, lane).contains(&(step, task))
    }

    /// The saga's status.
    pub fn status(&self) -> Status {
        self.record.status
    }
}

impl Task {
    fn of(action: &Action) -> Self {
        match action {
            Action::Run(_) => Self::Run,
            Action::Undo(_) => Self::Undo,
            Action::CloseSkipped(_) => Self::CloseSkipped,
            Action::CloseSettled(_) => Self::CloseSettled,
        }
    }
}

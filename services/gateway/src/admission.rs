//! How many orders may be in work at a time. Orders come in faster than they can be carried out:
//! accepting one is a single append. Without a bound each one accepted would wait behind all before
//! it, until their deadline rolls them back.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use saga_engine::saga_core::{Kind, Plan, Record, Status, StepState};
use saga_engine::{Hub, Started};

/// After a saga's deadline it may take this long until its rollback is in the log.
const GRACE: Duration = Duration::from_secs(30);

/// Counts orders in work, as the log tells of them: of all gateways, and of this one in the moment
/// before the log does.
#[derive(Debug, Clone)]
pub struct Admission {
    /// When each order that is in work was first heard of.
    in_work: Arc<Mutex<HashMap<String, Instant>>>,
    most: usize,
    /// No order is in work for longer, whatever the log told us or not.
    longest: Duration,
}

impl Admission {
    /// At most `most` orders in work; counted from now on.
    pub fn following(hub: &Hub, most: usize) -> Self {
        let plan = Arc::clone(hub.plan());
        let longest = Duration::from_millis(plan.definition().deadline_ms) + GRACE;
        let admission = Self { in_work: Arc::default(), most, longest };
        let counted = admission.clone();
        hub.observe(move |stored| counted.count(&plan, &stored.record));
        admission
    }

    /// Takes an order in; `None`: there are too many, and it is to come again.
    pub fn admit(&self, id: &str) -> Option<Ticket<'_>> {
        let mut in_work = self.lock();
        if in_work.len() >= self.most {
            in_work.retain(|_, since| since.elapsed() < self.longest);
        }
        // A repeat of one that is in work adds nothing.
        let is_new = !in_work.contains_key(id);
        if is_new && in_work.len() >= self.most {
            return None;
        }
        in_work.entry(id.to_owned()).or_insert_with(Instant::now);
        Some(Ticket { admission: self, id: id.to_owned(), holds_place: is_new })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.in_work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, plan: &Plan, record: &Record) {
        let mut in_work = self.lock();
        if is_in_work(plan, record) {
            in_work.entry(record.id.clone()).or_insert_with(Instant::now);
        } else {
            in_work.remove(&record.id);
        }
    }
}

/// The place of an order that was let in; given back when it is dropped before the order started.
#[derive(Debug)]
pub struct Ticket<'a> {
    admission: &'a Admission,
    id: String,
    holds_place: bool,
}

impl Ticket<'_> {
    /// The order is in the log, which tells from now on how long it needs its place. An order that
    /// was there before may be over, and is not told of again.
    pub fn started(mut self, plan: &Plan, started: &Started) {
        let is_over = started.replayed && !is_in_work(plan, &started.stored.record);
        self.holds_place = self.holds_place && is_over;
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if self.holds_place {
            self.admission.lock().remove(&self.id);
        }
    }
}

/// Whether the customer still waits for an answer: it runs, and not only what cannot fail is left
/// of it. A mail relay that is down does not close the shop.
fn is_in_work(plan: &Plan, record: &Record) -> bool {
    let is_settled = |name: &str| {
        let state = record.steps.get(name).map(|step| step.state);
        matches!(state, Some(StepState::Done | StepState::Skipped))
    };
    let matters = |kind: Kind| kind != Kind::Retriable;
    let mut steps = plan.steps().iter().filter(|step| matters(step.kind));
    record.status == Status::Running && steps.any(|step| !is_settled(&step.name))
}

#[cfg(test)]
mod tests {
    use saga_engine::saga_core::{Author, Change, Event};
    use saga_engine::{Stored, Trace};
    use serde_json::json;

    use super::*;

    fn admission(most: usize) -> Admission {
        Admission { in_work: Arc::default(), most, longest: Duration::from_mins(1) }
    }

    fn plan() -> Arc<Plan> {
        saga_workflows::plans().unwrap().remove(0)
    }

    fn record() -> Record {
        let input = json!({
            "customer": { "name": "Ada", "email": "ada@example.com" },
            "lines": [{ "sku": "tea", "quantity": 1 }],
            "currency": "EUR",
            "payment": { "token": "pm_card_visa" },
        });
        Record::start(&plan(), "a", input).unwrap()
    }

    fn started(record: Record, replayed: bool) -> Started {
        let trace = Trace::default();
        let stored = Stored { record, sequence: 1, at_ms: 0, append_id: None, trace };
        Started { stored, replayed }
    }

    fn start(admission: &Admission, id: &str) -> bool {
        let ticket = admission.admit(id);
        let is_admitted = ticket.is_some();
        if let Some(ticket) = ticket {
            ticket.started(&plan(), &started(record(), false));
        }
        is_admitted
    }

    #[test]
    fn beyond_the_bound_only_repeats_are_let_in() {
        let admission = admission(2);
        assert!(start(&admission, "a") && start(&admission, "b"));
        assert!(!start(&admission, "c"));
        assert!(start(&admission, "a"));
    }

    #[test]
    fn an_order_that_did_not_start_gives_its_place_back() {
        let admission = admission(1);
        drop(admission.admit("a"));
        assert!(start(&admission, "b"));
        // A repeat that fails takes nothing from the first one.
        drop(admission.admit("b"));
        assert!(!start(&admission, "c"));
    }

    #[test]
    fn a_repeat_of_an_order_that_is_over_holds_no_place() {
        let admission = admission(1);
        let over = Record { status: Status::Completed, ..record() };
        admission.admit("a").unwrap().started(&plan(), &started(over, true));
        assert!(start(&admission, "b"));
    }

    #[test]
    fn what_the_log_never_ended_makes_room_in_the_end() {
        let admission = Admission { longest: Duration::ZERO, ..admission(1) };
        assert!(start(&admission, "a") && start(&admission, "b"));
    }

    #[test]
    fn an_order_is_in_work_until_only_its_mail_is_left() {
        let (admission, mut record) = (admission(1), record());
        for (sequence, step) in (1..).zip(["order", "payment", "inventory"]) {
            admission.count(&plan(), &record);
            assert!(!start(&admission, "b"), "{step} is not done");
            let done = Event::new(Author::service(step), Change::done(step, json!({})));
            record = record.next(&plan(), sequence, done).unwrap();
        }
        admission.count(&plan(), &record);
        assert_eq!(record.status, Status::Running);
        assert!(start(&admission, "b"));
    }
}

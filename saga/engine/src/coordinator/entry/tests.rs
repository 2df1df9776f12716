use saga_core::{Author, Change, Definition, Event, Step};
use serde_json::json;

use super::*;

fn plan() -> Plan {
    let definition = Definition::new("trip", 1)
        .deadline_ms(10_000)
        .step(Step::compensable("flight", "air").timeout_ms(1_000))
        .step(Step::compensable("hotel", "inn").timeout_ms(2_000).after(&[]))
        .step(Step::timer("pause", 500).after(&["flight", "hotel"]));
    Plan::new(definition).unwrap()
}

fn of<'a>(waits: &'a [Wait], step: &str) -> &'a Wait {
    waits.iter().find(|wait| wait.step == step).unwrap()
}

#[test]
fn each_step_waits_since_the_event_that_made_it_ready() {
    let plan = plan();
    let started = Record::start(&plan, "a", json!({})).unwrap();
    let waits = waits_after(&plan, &[], &started, 100, 100);
    assert_eq!(of(&waits, "flight").since_ms, 100);

    let done = Event::new(Author::service("air"), Change::done("flight", json!({})));
    let flown = started.next(&plan, 1, done).unwrap();
    let waits = waits_after(&plan, &waits, &flown, 400, 100);
    assert_eq!((of(&waits, "hotel").since_ms, of(&waits, "saga").since_ms), (100, 100));

    let done = Event::new(Author::service("inn"), Change::done("hotel", json!({})));
    let slept = flown.next(&plan, 2, done).unwrap();
    let waits = waits_after(&plan, &waits, &slept, 700, 100);
    assert_eq!((of(&waits, "pause").since_ms, of(&waits, "saga").since_ms), (700, 100));
    let history = [(&started, 100), (&flown, 400), (&slept, 700)];
    assert_eq!(waits_of(&plan, history), waits);
}

#[test]
fn a_nudge_starts_only_its_own_step_again() {
    let plan = plan();
    let started = Record::start(&plan, "a", json!({})).unwrap();
    let waits = waits_after(&plan, &[], &started, 100, 100);
    let nudge = Event::new(Author::Operator, Change::nudged("hotel"));
    let nudged = started.next(&plan, 1, nudge).unwrap();
    let waits = waits_after(&plan, &waits, &nudged, 900, 100);
    assert_eq!((of(&waits, "flight").since_ms, of(&waits, "hotel").since_ms), (100, 900));
    assert_eq!(of(&waits, "saga").since_ms, 100);
}

#[test]
fn the_longest_due_is_first_and_an_alarm_is_raised_once() {
    let plan = plan();
    let started = Record::start(&plan, "a", json!({})).unwrap();
    let mut entry = Entry {
        sequence: 1,
        at_ms: 0,
        started_ms: 0,
        first: 1,
        n: 1,
        status: Status::Running,
        cause: None,
        waits: waits_after(&plan, &[], &started, 0, 0),
        is_unplanned: false,
        is_unproven: false,
        record: None,
    };
    let holds = Holds::default();
    assert_eq!(entry.due(&holds), Some(1_000));
    assert_eq!(entry.overdue(999, &holds), None);
    assert_eq!(entry.overdue(20_000, &holds).unwrap().step, "flight");
    entry.waits.iter_mut().find(|wait| wait.step == "flight").unwrap().is_alarmed = true;
    assert_eq!(entry.due(&holds), Some(2_000));
}

#[test]
fn an_entry_survives_a_checkpoint() {
    let plan = plan();
    let started = Record::start(&plan, "a", json!({})).unwrap();
    let waits = waits_after(&plan, &[], &started, 7, 7);
    let text = serde_json::to_string(&waits).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Wait>>(&text).unwrap(), waits);
}

use saga_core::{Author, Change, Definition, Event, Step};
use serde_json::json;

use super::*;

fn plan() -> Plan {
    let definition = Definition::new("trip", 1)
        .deadline_ms(10_000)
        .step(Step::compensable("flight", "air").timeout_ms(1_000))
        .step(Step::retriable("mail", "post").timeout_ms(2_000));
    Plan::new(definition).unwrap()
}

fn seen(record: &Record, sequence: u64, at_ms: i64) -> Seen {
    Seen { record: Arc::new(record.clone()), size: 100, sequence, at_ms }
}

fn started(plan: &Plan, id: &str) -> Record {
    Record::start(plan, id, json!({})).unwrap()
}

fn done(plan: &Plan, record: &Record, sequence: u64, step: &str, service: &str) -> Record {
    let event = Event::new(Author::service(service), Change::done(step, json!({})));
    record.next(plan, sequence, event).unwrap()
}

#[test]
fn a_chain_is_followed_to_its_end() {
    let (plan, holds, mut book) = (plan(), Holds::default(), Book::default());
    let first = started(&plan, "a");
    let noted = book.note(&seen(&first, 5, 100), Some(&plan), &holds);
    assert_eq!(noted.follows, Follows::First);
    assert_eq!(book.next_due(), Some(1_100));
    let flown = done(&plan, &first, 5, "flight", "air");
    let noted = book.note(&seen(&flown, 8, 200), Some(&plan), &holds);
    assert_eq!(noted.follows, Follows::Next(Some((Arc::new(first), 5))));
    assert_eq!(book.next_due(), Some(2_200));
    let mailed = done(&plan, &flown, 8, "mail", "post");
    let noted = book.note(&seen(&mailed, 9, 300), Some(&plan), &holds);
    assert!(!noted.is_unproven_end);
    assert_eq!((book.next_due(), book.count(), book.count_ended()), (None, (0, 0), 1));
    let summary = book.list("trip", &[], None, 10).remove(0);
    assert_eq!((summary.started_ms, summary.at_ms), (100, 300));
    assert_eq!(summary.status, Status::Completed);
}

#[test]
fn a_redelivered_message_changes_nothing() {
    let (plan, holds, mut book) = (plan(), Holds::default(), Book::default());
    let first = started(&plan, "a");
    book.note(&seen(&first, 5, 100), Some(&plan), &holds);
    let noted = book.note(&seen(&first, 5, 100), Some(&plan), &holds);
    assert_eq!(noted.follows, Follows::Old);
}

#[test]
fn a_write_that_does_not_chain_is_ignored() {
    let (plan, holds, mut book) = (plan(), Holds::default(), Book::default());
    let first = started(&plan, "a");
    book.note(&seen(&first, 5, 100), Some(&plan), &holds);
    let flown = done(&plan, &first, 5, "flight", "air");
    book.note(&seen(&flown, 6, 200), Some(&plan), &holds);
    // A second event that was derived from the first one as well.
    let noted = book.note(&seen(&flown, 7, 201), Some(&plan), &holds);
    assert_eq!(noted.follows, Follows::Slipped);
    assert_eq!(book.open("a").unwrap().sequence, 6);
    let again = book.note(&seen(&first, 8, 202), Some(&plan), &holds);
    assert_eq!(again.follows, Follows::Slipped);
}

#[test]
fn a_gap_is_noticed_and_what_retention_left_is_not_one() {
    let (plan, holds, mut book) = (plan(), Holds::default(), Book::default());
    let first = started(&plan, "a");
    let flown = done(&plan, &first, 5, "flight", "air");
    let mailed = done(&plan, &flown, 6, "mail", "post");
    let noted = book.note(&seen(&flown, 6, 200), Some(&plan), &holds);
    assert_eq!(noted.follows, Follows::Gap);
    let noted = book.note(&seen(&mailed, 7, 300), Some(&plan), &holds);
    assert!(noted.is_unproven_end);
    let mut left = mailed;
    left.id = "b".to_owned();
    let noted = book.note(&seen(&left, 9, 400), Some(&plan), &holds);
    assert_eq!(noted.follows, Follows::Alone);
}

#[test]
fn what_is_due_is_taken_once_and_can_be_put_back() {
    let (plan, holds, mut book) = (plan(), Holds::default(), Book::default());
    for (sequence, id) in [(1, "a"), (2, "b")] {
        book.note(&seen(&started(&plan, id), sequence, 0), Some(&plan), &holds);
    }
    assert_eq!(book.take_due(999, &holds), None);
    let due = book.take_due(1_000, &holds).unwrap();
    assert_eq!((due.id.as_str(), due.wait.step.as_str()), ("a", "flight"));
    assert_eq!(book.take_due(1_000, &holds).unwrap().id, "b");
    assert_eq!(book.take_due(1_000, &holds), None);
    book.put_back(&due, 1_500);
    assert_eq!(book.take_due(1_499, &holds), None);
    assert_eq!(book.take_due(1_500, &holds), Some(due.clone()));
    // Moved since: nothing to put back.
    let flown = done(&plan, &started(&plan, "a"), 1, "flight", "air");
    book.note(&seen(&flown, 3, 1_600), Some(&plan), &holds);
    book.put_back(&due, 1_700);
    assert_eq!(book.take_due(2_000, &holds), None);
}

#[test]
fn a_late_step_is_alarmed_once_and_is_over_when_it_is_done() {
    let (plan, holds, mut book) = (plan(), Holds::default(), Book::default());
    let first = started(&plan, "a");
    book.note(&seen(&first, 1, 0), Some(&plan), &holds);
    let flown = done(&plan, &first, 1, "flight", "air");
    book.note(&seen(&flown, 2, 0), Some(&plan), &holds);
    let due = book.take_due(5_000, &holds).unwrap();
    assert!(!due.wait.appends);
    assert_eq!(book.take_due(50_000, &holds), None);
    let mailed = done(&plan, &flown, 2, "mail", "post");
    let noted = book.note(&seen(&mailed, 3, 6_000), Some(&plan), &holds);
    assert_eq!(noted.no_longer_late, ["mail"]);
}

#[test]
fn a_list_is_paged_from_the_newest_start_on() {
    let (plan, holds, mut book) = (plan(), Holds::default(), Book::default());
    for sequence in 1..=5_u32 {
        let record = started(&plan, &format!("s{sequence}"));
        let at_ms = i64::from(sequence / 2);
        book.note(&seen(&record, sequence.into(), at_ms), Some(&plan), &holds);
    }
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let page = book.list("trip", &[Status::Running], after.as_ref(), 2);
        let Some(last) = page.last() else { break };
        let place = Place::of(last);
        after = Place::parse(&place.cursor());
        assert_eq!(after, Some(place));
        found.extend(page.into_iter().map(|summary| summary.id));
    }
    assert_eq!(found, ["s5", "s4", "s3", "s2", "s1"]);
    assert!(book.list("trip", &[Status::Stuck], None, 2).is_empty());
}

#[test]
fn only_the_last_endings_are_remembered() {
    let (plan, holds, mut book) = (plan(), Holds::default(), Book::default());
    let flown = done(&plan, &started(&plan, "x"), 1, "flight", "air");
    let mut ended = done(&plan, &flown, 2, "mail", "post");
    for number in 0..=ENDED_MAX {
        ended.id = format!("s{number}");
        let sequence = u64::try_from(number + 1).unwrap();
        book.note(&seen(&ended, sequence, 1), Some(&plan), &holds);
    }
    assert_eq!(book.count_ended(), ENDED_MAX);
    assert_eq!(book.list("trip", &[], None, ENDED_MAX + 5).len(), ENDED_MAX);
}

#[test]
fn a_book_survives_a_checkpoint() {
    let (plan, holds, mut book) = (plan(), Holds::default(), Book::default());
    let first = started(&plan, "a");
    book.note(&seen(&first, 1, 0), Some(&plan), &holds);
    let mut again = Book::from_entries("t".to_owned(), 1, book.entries(), &holds);
    assert_eq!(again.next_due(), Some(1_000));
    let flown = done(&plan, &first, 1, "flight", "air");
    let noted = again.note(&seen(&flown, 2, 5), Some(&plan), &holds);
    // The record before is not in a checkpoint: the saga is folded at its end.
    assert_eq!(noted.follows, Follows::Next(None));
    let mailed = done(&plan, &flown, 2, "mail", "post");
    assert!(again.note(&seen(&mailed, 3, 6), Some(&plan), &holds).is_unproven_end);
}

#[test]
fn what_lies_before_every_open_saga_is_settled() {
    let (plan, holds, mut book) = (plan(), Holds::default(), Book::default());
    assert_eq!(book.settled_before(), 1);
    let (one, two) = (started(&plan, "one"), started(&plan, "two"));
    book.note(&seen(&one, 1, 0), Some(&plan), &holds);
    book.note(&seen(&two, 2, 0), Some(&plan), &holds);
    let flown = done(&plan, &one, 1, "flight", "air");
    book.note(&seen(&flown, 3, 0), Some(&plan), &holds);
    assert_eq!(book.settled_before(), 1);
    let mailed = done(&plan, &flown, 3, "mail", "post");
    book.note(&seen(&mailed, 4, 0), Some(&plan), &holds);
    assert_eq!(book.settled_before(), 2);
    let mut again = Book::from_entries("t".to_owned(), 4, book.entries(), &holds);
    let flown = done(&plan, &two, 2, "flight", "air");
    again.note(&seen(&flown, 5, 0), Some(&plan), &holds);
    assert_eq!(again.settled_before(), 2);
    again.note(&seen(&done(&plan, &flown, 5, "mail", "post"), 6, 0), Some(&plan), &holds);
    assert_eq!(again.settled_before(), 7);
    // It may be of a saga that is open.
    again.note_unread(7);
    again.note_unread(9);
    assert_eq!((again.settled_before(), again.last_seen), (7, 9));
    again.forget_unread(7);
    assert_eq!((again.settled_before(), again.unread()), (9, vec![9]));
}

#[test]
fn a_saga_whose_start_was_not_seen_keeps_everything() {
    let (plan, holds, mut book) = (plan(), Holds::default(), Book::default());
    let flown = done(&plan, &started(&plan, "a"), 1, "flight", "air");
    book.note(&seen(&flown, 8, 0), Some(&plan), &holds);
    assert_eq!(book.settled_before(), 0);
}

use serde_json::json;

use super::*;
use crate::definition::{Definition, Step};
use crate::event::{Change, Event};
use crate::record::Reason;

fn plan() -> Plan {
    let definition = Definition::new("trip", 1)
        .step(Step::compensable("flight", "air").timeout_ms(1_000))
        .step(Step::compensable("hotel", "inn").timeout_ms(1_000))
        .step(Step::retriable("mail", "post").timeout_ms(1_000));
    Plan::new(definition).unwrap()
}

/// The record after these events.
fn after(plan: &Plan, events: &[(Author, Change)]) -> Record {
    let first = Record::start(plan, "a", json!({})).unwrap();
    events.iter().zip(1..).fold(first, |record, ((by, change), base)| {
        record.next(plan, base, Event::new(by.clone(), change.clone())).unwrap()
    })
}

fn by(service: &str, change: Change) -> (Author, Change) {
    (Author::service(service), change)
}

fn flown() -> (Author, Change) {
    by("air", Change::done("flight", json!({ "seat": 1 })))
}

fn full() -> (Author, Change) {
    by("inn", Change::failed("hotel", "full", ""))
}

/// The states in which a row of a step agrees with a record; `-` is no row at all.
fn agreeing(plan: &Plan, record: &Record, step: &str, is_settled: bool) -> String {
    let words = [State::Begun, State::Done, State::Failed, State::Void, State::Undoing]
        .into_iter()
        .chain([State::Undone, State::Held]);
    let row = |state: State| Row {
        output: Some(json!({ "seat": 1 })),
        reason: (state == State::Failed).then(|| Reason::new("full", "")),
        ..Row::new(&record.request, state)
    };
    let mut found = Vec::new();
    if contradiction(plan, record, step, None, is_settled).is_none() {
        found.push("-");
    }
    for state in words {
        if contradiction(plan, record, step, Some(&row(state)), is_settled).is_none() {
            found.push(state.as_str());
        }
    }
    found.join(" ")
}

#[test]
fn a_row_is_never_further_than_what_may_not_be_appended_yet() {
    let plan = plan();
    let any = "- begun done failed void undoing undone held";
    let undofailed = |by: Author| {
        let change = Change::undofailed("flight", "no", "");
        after(&plan, &[flown(), full(), (by, change)])
    };
    let settled = {
        let gave_up = by("air", Change::undofailed("flight", "no", ""));
        let settled = (Author::Operator, Change::settled("flight", false));
        after(&plan, &[flown(), full(), gave_up, settled])
    };
    let skipped = (Author::Operator, Change::skipped("flight", json!({ "seat": 1 })));
    let cancelled = (Author::Operator, Change::Cancelled);
    for (record, step, loose, strict) in [
        (after(&plan, &[]), "flight", "- begun done failed", "- begun done failed"),
        (after(&plan, &[]), "hotel", "-", "-"),
        (after(&plan, &[flown()]), "flight", "done", "done"),
        (after(&plan, std::slice::from_ref(&cancelled)), "flight", any, any),
        (after(&plan, &[flown(), full()]), "hotel", "failed", "failed"),
        (
            after(&plan, &[flown(), full()]),
            "flight",
            "done undoing undone held",
            "done undoing undone held",
        ),
        (
            after(&plan, &[flown(), full(), by("air", Change::undone("flight"))]),
            "flight",
            "failed void undone",
            "failed void undone",
        ),
        (after(&plan, &[flown(), full()]), "mail", "-", "-"),
        (after(&plan, &[skipped]), "flight", "- begun done failed void", "begun done failed void"),
        (undofailed(Author::service("air")), "flight", "held", "held"),
        (undofailed(Author::Coordinator), "flight", any, any),
        (settled, "flight", any, "undone"),
    ] {
        let told = format!("{step} after {:?}", record.event);
        assert_eq!(agreeing(&plan, &record, step, false), loose, "{told}");
        assert_eq!(agreeing(&plan, &record, step, true), strict, "{told}, settled");
    }
}

#[test]
fn outputs_and_reasons_are_those_of_the_log() {
    let plan = plan();
    let record = after(&plan, &[flown(), full()]);
    let done = Row::done(&record.request, json!({ "seat": 2 }));
    let said = contradiction(&plan, &record, "flight", Some(&done), true).unwrap();
    assert!(said.contains("another output"), "{said}");
    let failed = Row::failed(&record.request, Reason::new("closed", ""));
    let said = contradiction(&plan, &record, "hotel", Some(&failed), true).unwrap();
    assert!(said.contains("another reason"), "{said}");
}

#[test]
fn a_row_of_another_request_goes_only_with_what_it_leads_to() {
    let plan = plan();
    let other = Row::done("sha256:0", json!({ "seat": 1 }));
    let check = |record: &Record| contradiction(&plan, record, "flight", Some(&other), true);
    assert_eq!(check(&after(&plan, &[])), None);
    let reused = by("air", Change::failed("flight", "id_reused", ""));
    assert_eq!(check(&after(&plan, &[reused])), None);
    let turned_down = by("air", Change::failed("flight", "full", ""));
    assert!(check(&after(&plan, &[turned_down])).unwrap().contains("another request"));
    assert!(check(&after(&plan, &[flown()])).unwrap().contains("another request"));
}

#[test]
fn a_mirror_is_at_the_end_once_it_has_acknowledged_it() {
    let plan = plan();
    let ended = after(&plan, &[flown(), full(), by("air", Change::undone("flight"))]);
    let at = |n: u64| Row { n: Some(n), ..Row::new(&ended.request, State::Done) };
    assert_eq!(mirror_contradiction(&ended, None, false), None);
    assert!(mirror_contradiction(&ended, None, true).unwrap().contains("not mirrored"));
    assert_eq!(mirror_contradiction(&ended, Some(&at(4)), true), None);
    assert_eq!(mirror_contradiction(&ended, Some(&at(3)), false), None);
    assert!(mirror_contradiction(&ended, Some(&at(3)), true).unwrap().contains("event 4"));
    assert!(mirror_contradiction(&ended, Some(&at(5)), false).unwrap().contains("event 5"));
    assert_eq!(mirror_contradiction(&after(&plan, &[]), None, true), None);
}

//! The page about the protocol is read by the code: what it shows is what is spoken.

use std::collections::BTreeMap;

use saga_core::barrier::Row;
use saga_core::{Author, Change, Definition, Event, Plan, Record, subject};
use saga_engine::audit::ask;
use saga_engine::topology::{CHECKPOINTS, Topology};
use saga_engine::wishes::{
    Alarms, Cancel, Get, History, List, Nudge, Pause, Resume, Settle, Signal, Skip, Start, Wish,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::world::{World, newest, until};

const PAGE: &str = include_str!("../../../../../docs/protocol.md");

/// The code blocks that are marked as samples, by name.
fn samples() -> BTreeMap<&'static str, &'static str> {
    let marked = PAGE.split("<!-- sample: ").skip(1);
    let block = |rest: &'static str| {
        let (name, rest) = rest.split_once(" -->")?;
        let code = rest.split("```").nth(1)?;
        Some((name, code.split_once('\n')?.1))
    };
    marked.map(|rest| block(rest).unwrap()).collect()
}

fn sample<T: DeserializeOwned>(name: &str) -> T {
    let text = samples().get(name).copied();
    let text = text.unwrap_or_else(|| panic!("the page has no sample {name:?}"));
    serde_json::from_str(text).unwrap_or_else(|error| panic!("sample {name:?}: {error}"))
}

/// Read and written again, a sample is the same: nothing in it is unknown or left out.
fn same<T: DeserializeOwned + Serialize>(name: &str) {
    let (value, read): (Value, T) = (sample(name), sample(name));
    assert_eq!(serde_json::to_value(read).unwrap(), value, "sample {name:?}");
}

fn trip() -> (Plan, Vec<Record>) {
    let plan = Plan::new(sample::<Definition>("definition")).unwrap();
    let started = Record::start(&plan, "trip-1", json!({"to": "Lisbon", "nights": 2})).unwrap();
    let done = Change::done("flight", json!({"seat": "1A"}));
    let flown = started.next(&plan, 41, Event::new(Author::service("airline"), done)).unwrap();
    let full = Change::failed("hotel", "full", "no room left in Lisbon");
    let full = Event::new(Author::service("hotels"), full).attempt(2);
    let full = flown.next(&plan, 44, full).unwrap();
    let undone = Event::new(Author::service("airline"), Change::undone("flight"));
    let undone = full.next(&plan, 47, undone).unwrap();
    (plan, vec![started, flown, full, undone])
}

#[test]
fn the_example_is_a_saga_of_its_definition() {
    let (plan, records) = trip();
    let value: Value = sample("definition");
    assert_eq!(serde_json::to_value(plan.definition()).unwrap(), value);
    assert_eq!(sample::<Record>("record 3"), records[2]);
    assert_eq!(sample::<saga_engine::wishes::Found>("answer get").record, records[0]);
    let subjects: Vec<String> = records.iter().map(|record| subject::of("trip", record)).collect();
    assert_eq!(samples()["subjects"].trim().lines().collect::<Vec<_>>(), subjects);
}

#[test]
fn the_filters_are_those_of_the_consumers() {
    let (plan, _) = trip();
    let topology = Topology::of(&[&plan], &[], 1);
    let shown =
        topology.consumers.iter().filter(|it| it.service == "airline" || it.name == "hotels");
    let lines =
        shown.flat_map(|it| it.filters.iter().map(|filter| format!("{:22}{filter}", it.name)));
    let expected: Vec<String> = lines.collect();
    assert_eq!(samples()["filters"].trim().lines().collect::<Vec<_>>(), expected);
}

#[test]
fn rows_of_the_barrier_are_read_and_written_alike() {
    same::<Vec<Row>>("rows");
}

#[test]
fn wishes_and_answers_are_read_and_written_alike() {
    fn wish<W: Wish>() {
        same::<W>(&format!("wish {}", W::NAME));
    }
    fn answer<W: Wish>() {
        same::<W::Answer>(&format!("answer {}", W::NAME));
    }
    wish::<Start>();
    wish::<Cancel>();
    wish::<Nudge>();
    wish::<Skip>();
    wish::<Settle>();
    wish::<Signal>();
    wish::<Get>();
    wish::<History>();
    wish::<List>();
    wish::<Pause>();
    wish::<Resume>();
    wish::<Alarms>();
    answer::<Start>();
    answer::<Get>();
    answer::<History>();
    answer::<List>();
    answer::<Pause>();
    answer::<Alarms>();
}

#[test]
fn an_audit_is_asked_and_answered_as_shown() {
    same::<ask::Ask>("audit ask");
    same::<ask::Told>("audit told");
    let asked: ask::Ask = sample("audit ask");
    assert_eq!(asked.sagas[0].record, trip().1[0]);
    assert_eq!(ask::subject("airline"), "saga-airline.audit");
}

/// Codes are strings in one function: each stands on the page.
#[test]
fn every_code_of_a_refusal_is_explained() {
    let apply = include_str!("../../../../core/src/apply.rs");
    let (_, codes) = apply.split_once("pub fn code").unwrap();
    let (codes, _) = codes.split_once("\n    }\n").unwrap();
    let codes: Vec<&str> = codes.split('"').skip(1).step_by(2).collect();
    assert!(codes.len() > 8, "{codes:?}");
    let desk = include_str!("../../../src/coordinator/desk.rs");
    let (_, own) = desk.split_once("fn code").unwrap();
    let (own, _) = own.split_once("\n    }\n").unwrap();
    for code in codes.into_iter().chain(own.split('"').skip(1).step_by(2)) {
        assert!(PAGE.contains(&format!("`{code}`")), "{code} is not on the page");
    }
}

#[tokio::test]
async fn a_checkpoint_has_the_fields_that_the_page_shows() {
    let world = World::new(super::world::trip()).await;
    let coordinator = world.coordinator().await;
    world.start("a").await;
    until("it was read", async || (coordinator.health().open == 1, coordinator.health())).await;
    coordinator.shutdown().await;
    let context = world.engine.jetstream();
    let head = newest(context, CHECKPOINTS, "SAGA_TRIP").await;
    let head: Value = serde_json::from_slice(&head).unwrap();
    let shown: Value = sample("head");
    let fields = |head: &Value| head.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(fields(&head), fields(&shown));
    assert_eq!(
        (&head["form"], &head["sequence"], &head["parts"]),
        (&json!(1), &json!(1), &json!(1))
    );
    let part = format!("SAGA_TRIP.{}.0", head["generation"].as_str().unwrap());
    assert!(!newest(context, CHECKPOINTS, &part).await.is_empty(), "it is where the page says");
}

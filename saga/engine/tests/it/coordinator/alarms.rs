//! What a person should look at is said once, and taken back.

use async_nats::HeaderMap;
use saga_core::{Definition, Plan, Record, Status, Step, subject};
use saga_engine::coordinator::CoordinatorHandle;
use saga_engine::wishes::{Alarm, AlarmKind, Alarms};
use serde_json::json;

use super::world::{World, hasty_trip, trip, until};

async fn raised(coordinator: &CoordinatorHandle, kind: AlarmKind, about: &str) -> Alarm {
    let found = until(&format!("{kind:?} about {about}"), async || {
        let alarms = coordinator.alarms();
        (alarms.iter().any(|alarm| alarm.kind == kind && alarm.about == about), alarms)
    })
    .await;
    found.into_iter().find(|alarm| alarm.kind == kind && alarm.about == about).unwrap()
}

async fn over(coordinator: &CoordinatorHandle, kind: AlarmKind, about: &str) {
    until(&format!("{kind:?} about {about} is over"), async || {
        let alarms = coordinator.alarms();
        (!alarms.iter().any(|alarm| alarm.kind == kind && alarm.about == about), alarms)
    })
    .await;
}

/// Writes to the stream without the check, as nobody should.
async fn rude(world: &World, subject: String, payload: Vec<u8>) -> u64 {
    let context = world.engine.jetstream();
    let published = context.publish_with_headers(subject, HeaderMap::new(), payload.into()).await;
    published.unwrap().await.unwrap().sequence
}

async fn rude_record(world: &World, record: &Record) -> u64 {
    rude(world, subject::of("trip", record), record.to_json()).await
}

#[tokio::test]
async fn a_lying_record_is_found() {
    let world = World::new(trip()).await;
    let coordinator = world.coordinator().await;
    let started = world.start("a").await;
    let mut lie = started.record.clone();
    lie.base = started.sequence;
    lie.n = 2;
    lie.event.kind = saga_core::EventKind::Done;
    lie.event.step = "flight".to_owned();
    lie.event.by = saga_core::Author::service("air");
    lie.steps.insert("flight".to_owned(), {
        let mut step = saga_core::StepRecord::new(saga_core::StepState::Done);
        step.output = Some(json!({}).into());
        step
    });
    // It says that all is over, though two steps are open.
    lie.status = Status::Completed;
    rude_record(&world, &lie).await;
    let alarm = raised(&coordinator, AlarmKind::Lying, "a").await;
    assert!(alarm.detail.contains("the status"), "{}", alarm.detail);
    let listed = world.wishes.ask(&Alarms::default()).await.unwrap();
    assert_eq!((listed.alarms, listed.total), (vec![alarm], 1));
    coordinator.shutdown().await;
}

#[tokio::test]
async fn a_write_past_the_check_is_ignored_and_reported() {
    let world = World::new(trip()).await;
    let coordinator = world.coordinator().await;
    let started = world.start("a").await;
    let flown = world.done("a", "flight").await;
    // A second event that was derived from the first one: it lies behind the accepted one.
    let event = saga_core::Event::new(
        saga_core::Author::service("air"),
        saga_core::Change::failed("flight", "full", "no seat"),
    );
    let slip = started.record.next(&world.plan, started.sequence, event).unwrap();
    rude_record(&world, &slip).await;
    raised(&coordinator, AlarmKind::Slipped, "a").await;
    assert_eq!(world.get("a").await.sequence, flown.sequence);
    // The saga goes on behind it, and its time-outs too.
    world.done("a", "hotel").await;
    assert_eq!(world.done("a", "mail").await.record.status, Status::Completed);
    coordinator.shutdown().await;
}

#[tokio::test]
async fn a_saga_behind_a_slip_is_still_timed_out() {
    let world = World::new(hasty_trip()).await;
    let started = world.start("a").await;
    let mut slip = started.record.clone();
    (slip.n, slip.base) = (3, started.sequence);
    rude_record(&world, &slip).await;
    let coordinator = world.coordinator().await;
    raised(&coordinator, AlarmKind::Slipped, "a").await;
    let history = world.until_told("a", "flight.timedout.rolling_back").await;
    assert_eq!(history.len(), 2);
    coordinator.shutdown().await;
}

#[tokio::test]
async fn an_audit_reads_everything_and_says_what_is_wrong() {
    let world = World::new(trip()).await;
    world.start("good").await;
    for step in ["flight", "hotel", "mail"] {
        world.done("good", step).await;
    }
    let plans = [std::sync::Arc::clone(&world.plan)];
    let audit = async || saga_engine::audit::streams(&world.engine, &plans).await.unwrap();
    assert_eq!(audit().await, []);
    let started = world.start("bad").await;
    world.done("bad", "flight").await;
    let event = saga_core::Event::new(
        saga_core::Author::service("air"),
        saga_core::Change::failed("flight", "full", "no seat"),
    );
    let slip = started.record.next(&world.plan, started.sequence, event).unwrap();
    rude_record(&world, &slip).await;
    let mut lie = world.start("liar").await.record;
    (lie.id, lie.request) = ("other".to_owned(), "sha256:0".to_owned());
    rude_record(&world, &lie).await;
    let mut found: Vec<_> =
        audit().await.into_iter().map(|alarm| (alarm.kind, alarm.about)).collect();
    found.sort();
    let slipped = (AlarmKind::Slipped, "bad".to_owned());
    assert_eq!(found, [slipped, (AlarmKind::Lying, "other".to_owned())]);
}

#[tokio::test]
async fn a_missing_event_is_noticed_and_readers_go_on_before_it() {
    let world = World::new(hasty_trip()).await;
    let coordinator = world.coordinator().await;
    let started = world.start("a").await;
    let mut later = started.record.clone();
    (later.n, later.base) = (4, started.sequence + 2);
    rude_record(&world, &later).await;
    let alarm = raised(&coordinator, AlarmKind::Gap, "a").await;
    assert!(alarm.detail.contains("event 4"), "{}", alarm.detail);
    let history = world.until_told("a", "flight.timedout.rolling_back").await;
    assert_eq!(history[1].record.base, started.sequence);
    coordinator.shutdown().await;
}

#[tokio::test]
async fn messages_that_are_no_records_are_reported_and_harm_no_neighbour() {
    let world = World::new(hasty_trip()).await;
    let coordinator = world.coordinator().await;
    let subject = |id: &str| format!("{}.{id}.001.saga.started.running", subject_root());
    rude(&world, subject("poison"), b"{ not json".to_vec()).await;
    rude(&world, subject("future"), br#"{"v":9,"plan":"from the future"}"#.to_vec()).await;
    let other = Record::start(&world.plan, "somebody", json!({})).unwrap();
    rude(&world, subject("else"), other.to_json()).await;
    for about in ["poison", "future", "else"] {
        raised(&coordinator, AlarmKind::Unreadable, about).await;
    }
    world.start("a").await;
    world.until_told("a", "flight.timedout.rolling_back").await;
    coordinator.shutdown().await;
}

/// The first two tokens of this type's subjects.
fn subject_root() -> String {
    subject::all("trip").trim_end_matches(".>").to_owned()
}

#[tokio::test]
async fn a_step_that_nobody_consumes_is_reported_until_somebody_does() {
    let world = World::new(trip()).await;
    world.stream().await.delete_consumer("inn").await.unwrap();
    let coordinator = world.watching().await;
    let alarm = raised(&coordinator, AlarmKind::Unserved, "inn").await;
    assert!(alarm.detail.contains("service inn"), "{}", alarm.detail);
    let config = async_nats::jetstream::consumer::pull::Config {
        durable_name: Some("inn".to_owned()),
        ..Default::default()
    };
    world.stream().await.create_consumer(config).await.unwrap();
    over(&coordinator, AlarmKind::Unserved, "inn").await;
    coordinator.shutdown().await;
}

#[tokio::test]
async fn a_consumer_that_stands_still_is_reported_until_it_moves() {
    use futures::StreamExt as _;
    let world = World::new(trip()).await;
    let coordinator = world.watching().await;
    world.start("a").await;
    let alarm = raised(&coordinator, AlarmKind::Stalled, "air").await;
    assert!(alarm.detail.contains("nobody asks"), "{}", alarm.detail);
    let stream = world.stream().await;
    let consumer =
        stream.get_consumer::<async_nats::jetstream::consumer::pull::Config>("air").await.unwrap();
    let mut messages = consumer.fetch().max_messages(1).messages().await.unwrap();
    messages.next().await.unwrap().unwrap().double_ack().await.unwrap();
    over(&coordinator, AlarmKind::Stalled, "air").await;
    coordinator.shutdown().await;
}

#[tokio::test]
async fn an_unknown_definition_is_reported_and_taken_up_once_it_is_registered() {
    let world = World::new(hasty_trip()).await;
    let coordinator = world.watching().await;
    let next = Definition { version: 2, ..hasty_trip() };
    let next = std::sync::Arc::new(Plan::new(next.deadline_ms(500_000)).unwrap());
    let record = Record::start(&next, "a", json!({})).unwrap();
    rude_record(&world, &record).await;
    raised(&coordinator, AlarmKind::UnknownDefinition, "trip.2").await;
    world.engine.register(next).await.unwrap();
    world.until_told("a", "flight.timedout.rolling_back").await;
    over(&coordinator, AlarmKind::UnknownDefinition, "trip.2").await;
    coordinator.shutdown().await;
}

#[tokio::test]
async fn a_healthy_run_raises_nothing() {
    let definition = Definition::new("trip", 1)
        .step(Step::compensable("flight", "air").timeout_ms(30_000))
        .step(Step::signal("approval"));
    let world = World::new(definition).await;
    let coordinator = world.watching().await;
    for number in 0..20 {
        let id = format!("s{number}");
        world.start(&id).await;
        world.done(&id, "flight").await;
    }
    until("all is read", async || (coordinator.health().open == 20, coordinator.health())).await;
    let alarms = coordinator.alarms();
    // Nobody plays the consumers here, so they stand still: but nothing else is wrong.
    assert!(alarms.iter().all(|alarm| alarm.kind == AlarmKind::Stalled), "{alarms:?}");
    coordinator.shutdown().await;
}

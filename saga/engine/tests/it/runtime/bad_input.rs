//! Messages that are not what they should be: each meets its end, and its neighbours go on.

use std::sync::Arc;

use async_nats::HeaderMap;
use jetsaga_nats::testing::broker;
use saga_core::{Author, Change, Definition, Event, Plan, definition, subject};
use saga_engine::wishes::AlarmKind;
use saga_engine::{Engine, Participant, Sagas, Trace, audit, dead_letter};
use serde_json::json;

use super::books::{Books, Entry};
use super::world::{Deed, World, trip, until};

/// A message among the dead letters.
#[derive(Debug)]
struct Dead {
    sequence: u64,
    consumer: String,
    code: String,
    cause: String,
    subject: String,
    payload: Vec<u8>,
}

impl World {
    async fn dead_letters(&self) -> Vec<Dead> {
        let stream = self.context().get_stream(subject::dead::STREAM).await.unwrap();
        let last = stream.get_info().await.unwrap().state.last_sequence;
        let mut found = Vec::new();
        for sequence in 1..=last {
            let message = stream.get_raw_message(sequence).await.unwrap();
            let header = |name| text(&message.headers, name);
            assert_eq!(header(dead_letter::STREAM), "SAGA_TRIP");
            found.push(Dead {
                sequence: header(dead_letter::SEQUENCE).parse().unwrap(),
                consumer: header(dead_letter::CONSUMER),
                code: header(dead_letter::CODE),
                cause: header(dead_letter::CAUSE),
                subject: header(dead_letter::SUBJECT),
                payload: message.payload.to_vec(),
            });
        }
        found.sort_by_key(|it| (it.sequence, it.consumer.clone()));
        found
    }

    /// Waits until there are so many, and nothing is left to be delivered that could add to them.
    async fn until_dead(&self, count: usize) -> Vec<Dead> {
        until(&format!("{count} dead letters"), async || {
            let found = self.dead_letters().await;
            (found.len() >= count, found)
        })
        .await;
        self.services_drained().await;
        let found = self.dead_letters().await;
        assert_eq!(found.len(), count, "{found:#?}");
        found
    }

    /// An event that the airline would report of a saga that stands at its start.
    async fn flown(&self, id: &str) -> saga_core::Record {
        let started = self.sagas.get(id).await.unwrap().unwrap();
        let done = Change::done("flight", json!({ "of": id }));
        let event = Event::new(Author::service("airline"), done);
        started.record.next(&self.plan, started.sequence, event).unwrap()
    }
}

fn text(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).unwrap_or_else(|| panic!("{name} is missing: {headers:?}")).to_string()
}

#[tokio::test]
async fn what_is_no_record_is_put_away_with_its_cause() {
    let world = World::new(trip()).await;
    let books = Books::default();
    let ids = world.start_many("s", 10).await;
    // Each in the middle of a saga, on the subject of the event that makes the hotel ready.
    let poison = [
        b"what?".to_vec(),
        b"".to_vec(),
        b"\xff\xfe\x00".to_vec(),
        br#"{"v":1,"hello":"world"}"#.to_vec(),
        b"null".to_vec(),
        b"[".repeat(100_000),
    ];
    let mut written = Vec::new();
    for (id, payload) in ids.iter().zip(&poison) {
        let subject = world.subject(id, "002.flight.done.running");
        written.push((world.write(subject.clone(), payload.clone()).await, subject));
    }
    let _services = world.serve_all(&books).await;
    world.assert_ended(&ids, &books).await;

    let found = world.until_dead(poison.len()).await;
    for ((dead, (sequence, subject)), payload) in found.iter().zip(written).zip(poison) {
        assert_eq!((dead.sequence, &dead.subject), (sequence, &subject));
        assert_eq!((dead.code.as_str(), dead.consumer.as_str()), ("unreadable", "hotels"));
        assert!(!dead.cause.is_empty(), "{dead:?}");
        assert_eq!(dead.payload, payload, "it is kept as it came");
    }
    assert!(found[0].cause.contains("expected value"), "{}", found[0].cause);
}

#[tokio::test]
async fn poison_among_rollbacks_is_put_away_by_everybody_who_meets_it() {
    let world = World::new(trip()).await;
    let books = Books::default();
    let services = world.serve_all(&books).await;
    let sequence =
        world.write(world.subject("ghost", "009.saga.cancelled.rolling_back"), "?").await;
    let ids = world.start_many("s", 10).await;
    world.assert_ended(&ids, &books).await;
    let found = world.until_dead(2).await;
    let consumers: Vec<&str> = found.iter().map(|dead| dead.consumer.as_str()).collect();
    assert_eq!(consumers, ["airline-undo", "hotels-undo"]);
    assert!(found.iter().all(|dead| dead.sequence == sequence && dead.code == "unreadable"));
    // The post undoes nothing, so no rollback comes to it.
    let dead_letters = services.iter().map(|service| service.stats().dead_letters);
    assert_eq!(dead_letters.collect::<Vec<_>>(), [1, 1, 0]);
}

#[tokio::test]
async fn poison_that_cannot_be_put_away_is_not_lost() {
    let world = World::new(trip()).await;
    let books = Books::default();
    world.context().delete_stream(subject::dead::STREAM).await.unwrap();
    let sequence = world.write(world.subject("ghost", "002.flight.done.running"), "?").await;
    let services = world.serve_all(&books).await;
    let ids = world.start_many("s", 5).await;
    world.assert_ended(&ids, &books).await;
    until("it is kept", async || {
        let info = world.consumer("hotels").await;
        (info.num_ack_pending == 1 && info.num_pending == 0, info)
    })
    .await;
    assert_eq!(services[1].stats().dead_letters, 0);
    world.apply().await;
    let found = world.until_dead(1).await;
    assert_eq!((found[0].sequence, found[0].code.as_str()), (sequence, "unreadable"));
}

#[tokio::test]
async fn a_record_of_a_later_form_is_put_away_and_its_saga_is_not_touched() {
    let world = World::new(trip()).await;
    let books = Books::default();
    world.start("later", json!({})).await;
    let mut record = world.flown("later").await;
    record.v = 2;
    let sequence = world.slip(&record).await;
    let _services = world.serve_all(&books).await;
    let ids = world.start_many("s", 10).await;
    // The airline has the saga's start in hand all the while: nobody goes on from what he cannot
    // read.
    let found = until("it is a dead letter", async || {
        let found = world.dead_letters().await;
        (found.len() == 1, found)
    })
    .await;
    assert_eq!((found[0].sequence, found[0].code.as_str()), (sequence, "future_version"));
    assert!(found[0].cause.contains('2'), "{}", found[0].cause);
    for id in &ids {
        world.end(id).await;
    }
    let untouched = books.of("later").into_iter().filter(|(step, _)| step != "flight");
    assert_eq!(untouched.collect::<Vec<_>>(), [], "nobody acted on it");
    let messages = world.context().get_stream("SAGA_TRIP").await.unwrap();
    let filter = subject::filter("trip", "later");
    let last = messages.get_last_raw_message_by_subject(&filter).await.unwrap();
    assert_eq!(last.sequence, sequence, "nobody went on from it");
}

#[tokio::test]
async fn a_record_under_the_subject_of_another_one_is_put_away() {
    let world = World::new(trip()).await;
    let books = Books::default();
    for id in ["one", "two"] {
        world.start(id, json!({})).await;
    }
    let mut follower = world.sagas.follow("one", 0).await.unwrap();
    assert_eq!(follower.next().await.unwrap().unwrap().record.n, 1);
    let record = world.flown("one").await;
    let mut stranger = record.clone();
    stranger.saga_type = "stay".to_owned();
    let mut written = Vec::new();
    for (id, event, record) in [
        // Of another saga, with another number, of another type.
        ("two", "002.flight.done.running", &record),
        ("one", "003.flight.done.running", &record),
        ("one", "002.flight.done.running", &stranger),
    ] {
        written.push(world.write(world.subject(id, event), record.to_json()).await);
    }
    let _services = world.serve_all(&books).await;
    let mut ids = world.start_many("s", 5).await;
    ids.extend(["one".to_owned(), "two".to_owned()]);
    world.assert_ended(&ids, &books).await;
    let found = world.until_dead(3).await;
    for (dead, sequence) in found.iter().zip(written) {
        assert_eq!((dead.sequence, dead.code.as_str()), (sequence, "other_subject"));
        assert!(dead.cause.contains("flight.done"), "{}", dead.cause);
    }
    // Who follows the saga is told the same as who reads it.
    let mut seen = Vec::new();
    while let Some(stored) = follower.next().await.unwrap() {
        seen.push(stored);
    }
    assert_eq!(seen, world.history("one").await[1..]);
}

#[tokio::test]
async fn a_record_that_was_derived_from_nothing_does_not_move_its_saga() {
    let world = World::new(trip()).await;
    let books = Books::default();
    let ids = world.start_many("s", 5).await;
    let mut lies = Vec::new();
    // The last saga rolls back: its lie leads to a refusal, and that to no undo.
    for (id, base, n) in [("s0", 999, 2), ("s1", 0, 2), ("s2", 2, 7), ("s4", 999, 2)] {
        let mut record = world.flown(id).await;
        (record.base, record.n) = (if n == 7 { record.base } else { base }, n);
        lies.push(world.slip(&record).await);
    }
    // A rollback that nobody decided.
    let mut record = world.flown("s3").await;
    record.base = 999;
    let failed = Event::new(Author::service("hotels"), Change::failed("hotel", "full", "a lie"));
    let record = record.next(&world.plan, 999, failed).unwrap();
    lies.push(world.slip(&record).await);

    let _services = world.serve_all(&books).await;
    world.assert_ended(&ids, &books).await;
    let told = ["saga started", "flight done", "hotel done", "papers done"];
    for id in ["s0", "s1", "s2", "s3"] {
        assert_eq!(world.told(id).await, told, "{id}");
    }
    let engine = Engine::new(world.client.clone());
    let alarms = audit::streams(&engine, &[Arc::clone(&world.plan)]).await.unwrap();
    for id in &ids {
        let reported = alarms.iter().any(|alarm| alarm.about.starts_with(id.as_str()));
        assert!(reported, "the auditor saw the lie of {id}: {alarms:#?}");
    }
    assert!(alarms.iter().all(|alarm| alarm.kind == AlarmKind::Slipped), "{alarms:#?}");
}

/// The second version of [`trip`]: another service has taken over the papers.
fn second() -> Definition {
    let mut second = trip();
    second.version = 2;
    second.steps[2] = definition::Step::retriable("papers", "courier").timeout_ms(60_000);
    second
}

#[tokio::test]
async fn a_message_of_an_unknown_definition_waits_for_somebody_who_knows_it() {
    let client = broker().await.account().client().await;
    let world = World::on(client, &[trip(), second()], 10_000).await;
    let (books, plan) = (Books::default(), Arc::new(Plan::new(second()).unwrap()));
    let engine = Engine::new(world.client.clone());
    let newer = Sagas::new(engine.clone(), Arc::clone(&plan));
    for id in ["new0", "new1"] {
        newer.start(id, json!({}), Trace::default()).await.unwrap();
    }
    let services = world.serve_all(&books).await;
    let ids = world.start_many("s", 10).await;
    world.assert_ended(&ids, &books).await;
    let handed_back = until("both were handed back", async || {
        let stats = services[0].stats();
        (stats.foreign >= 2, stats)
    })
    .await;
    assert_eq!(handed_back.dead_letters, 0);
    assert_eq!(services[1].stats().foreign, 0, "nothing of them has come to the hotels");
    let info = world.consumer("airline").await;
    assert_eq!((info.num_ack_pending, info.num_pending), (2, 0), "they are not lost");
    assert_eq!(world.dead_letters().await.len(), 0);

    // The definition is registered: a service that has no part in it needs to know no more.
    engine.register(Arc::clone(&plan)).await.unwrap();
    for service in services {
        service.shutdown(std::time::Duration::from_secs(5)).await;
    }
    let mut running = Vec::new();
    for (service, step) in [("airline", "flight"), ("hotels", "hotel"), ("courier", "papers")] {
        let participant =
            Participant::new(Engine::new(world.client.clone()), service, books.clone());
        let participant = participant.saga(Arc::clone(&plan)).step(step, Deed);
        running.push(participant.start().await.unwrap());
    }
    let old = world.serve("post", &books).await;
    for id in ["new0", "new1"] {
        world.end(id).await;
        let did = |step: &str| (step.to_owned(), Entry::Did);
        assert_eq!(books.of(id), [did("flight"), did("hotel"), did("papers")]);
    }
    world.drained("post").await;
    assert_eq!(old.stats().foreign, 0, "the post has no part in it, and knows that");
}

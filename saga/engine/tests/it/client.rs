//! Starting sagas and reading them.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use jetsaga_nats::testing::broker;
use saga_core::{Definition, Plan, Refusal, Status, Step, subject};
use saga_engine::client::StartError;
use saga_engine::{DefinitionError, Engine, Sagas, Started, Trace};
use serde_json::{Value, json};

use crate::log::bed::{Bed, appended, cancelled, done, told, traced, trip};
use crate::runtime::world::until;

struct World {
    bed: Bed,
    engine: Engine,
    sagas: Sagas,
}

impl World {
    async fn new() -> Self {
        let client = broker().await.account().client().await;
        let (bed, engine) = (Bed::on(&client).await, Engine::new(client));
        let sagas = Sagas::new(engine.clone(), Arc::clone(&bed.plan));
        Self { bed, engine, sagas }
    }

    async fn start(&self, name: &str, input: Value) -> Result<Started, StartError> {
        self.sagas.start(&self.bed.id(name), input, traced()).await
    }
}

#[tokio::test]
async fn a_started_saga_can_be_read() {
    let world = World::new().await;
    let id = world.bed.id("one");
    assert_eq!(world.sagas.get(&id).await.unwrap(), None);
    assert_eq!(world.sagas.history(&id).await.unwrap(), []);

    let started = world.start("one", json!({ "to": "Lisbon" })).await.unwrap();
    assert!(!started.replayed);
    let record = &started.stored.record;
    assert_eq!((record.n, record.base, record.status), (1, 0, Status::Running));
    assert_eq!(record.input, json!({ "to": "Lisbon" }));
    let found = world.sagas.get(&id).await.unwrap().unwrap();
    assert_eq!((&found.record, found.sequence), (record, started.stored.sequence));
    assert_eq!(found.trace, traced());

    let tail = world.bed.newest("one").await;
    appended(world.bed.advance(&tail, done("flight")).await);
    let found = world.sagas.get(&id).await.unwrap().unwrap();
    assert_eq!(found.record.output("flight"), Some(&json!({ "number": 7 })));
    let history = world.sagas.history(&id).await.unwrap();
    assert_eq!(told(&history), ["saga started", "flight done"]);
    assert_eq!(history.last(), Some(&found));
}

#[tokio::test]
async fn the_same_start_again_is_answered_like_the_first() {
    let world = World::new().await;
    let first = world.start("one", json!({ "to": "Lisbon", "seats": 2 })).await.unwrap();
    // The order of keys is no difference.
    let again = world.start("one", json!({ "seats": 2, "to": "Lisbon" })).await.unwrap();
    assert!(again.replayed);
    assert_eq!(again.stored.record, first.stored.record);

    let tail = world.bed.newest("one").await;
    let flown = appended(world.bed.advance(&tail, done("flight")).await);
    let later = world.start("one", json!({ "to": "Lisbon", "seats": 2 })).await.unwrap();
    assert!(later.replayed);
    assert_eq!(later.stored.record, flown.stored.record, "it tells where the saga is now");
    assert_eq!(world.bed.told("one").await, ["saga started", "flight done"]);
}

#[tokio::test]
async fn another_request_under_the_same_id_is_refused() {
    let world = World::new().await;
    world.start("one", json!({ "to": "Lisbon" })).await.unwrap();
    for input in [json!({ "to": "Porto" }), json!({}), json!({ "to": "Lisbon", "seats": 1 })] {
        let error = world.start("one", input).await.unwrap_err();
        assert!(matches!(&error, StartError::OtherRequest(id) if *id == world.bed.id("one")));
    }
    assert_eq!(world.bed.told("one").await, ["saga started"]);
}

#[tokio::test]
async fn of_many_starts_at_once_one_starts_it() {
    let world = World::new().await;
    let starting: Vec<_> = (0..16)
        .map(|number| {
            let (sagas, id) = (world.sagas.clone(), world.bed.id("one"));
            let city = if number % 2 == 0 { "Lisbon" } else { "Porto" };
            tokio::spawn(async move {
                (city, sagas.start(&id, json!({ "to": city }), Trace::default()).await)
            })
        })
        .collect();
    let mut answers = Vec::new();
    for start in starting {
        answers.push(start.await.unwrap());
    }
    let started = world.bed.newest("one").await.stored.record;
    let firsts = answers.iter().filter(|(_, it)| it.as_ref().is_ok_and(|it| !it.replayed));
    assert_eq!(firsts.count(), 1);
    for (city, answer) in answers {
        match answer {
            Ok(answer) => assert_eq!(answer.stored.record, started),
            Err(error) => {
                assert!(matches!(error, StartError::OtherRequest(_)), "{error}");
                assert_ne!(started.input, json!({ "to": city }));
            }
        }
    }
    assert_eq!(world.bed.told("one").await, ["saga started"]);
}

#[tokio::test]
async fn what_cannot_be_a_saga_is_refused() {
    let world = World::new().await;
    for id in ["", "a.b", "a b", "ä", &"x".repeat(65)] {
        let refused = world.sagas.start(id, json!({}), Trace::default()).await.unwrap_err();
        assert!(matches!(refused, StartError::Refused(Refusal::Id(_))), "{id:?}: {refused}");
    }
    let large = json!("x".repeat(70_000));
    let refused = world.start("one", large).await.unwrap_err();
    assert!(matches!(refused, StartError::Refused(Refusal::TooMuch(_))), "{refused}");
    assert_eq!(world.bed.history("one").await, []);
}

#[tokio::test]
async fn a_start_is_known_as_long_as_the_last_event_stays() {
    let world = World::new().await;
    let input = json!({ "to": "Lisbon" });
    world.start("one", input.clone()).await.unwrap();
    let ended = appended(world.bed.advance(&world.bed.newest("one").await, cancelled()).await);
    let context = world.engine.jetstream();
    let stream = context.get_stream(subject::stream("trip", None)).await.unwrap();
    let filter = subject::filter("trip", &world.bed.id("one"));
    stream.purge().filter(&filter).sequence(ended.last_sequence).await.unwrap();

    // A replica that lags behind answers with an earlier event.
    until("the start is answered with the last event", async || {
        let again = world.start("one", input.clone()).await.unwrap();
        assert!(again.replayed);
        (again.stored.record == ended.stored.record, again)
    })
    .await;
    let other = world.start("one", json!({ "to": "Porto" })).await.unwrap_err();
    assert!(matches!(other, StartError::OtherRequest(_)), "{other}");

    stream.purge().filter(&filter).await.unwrap();
    assert!(!world.start("one", input).await.unwrap().replayed, "nobody remembers the first");
}

#[tokio::test]
async fn the_end_of_a_saga_is_waited_for() {
    let world = World::new().await;
    let id = world.bed.id("one");
    world.start("one", json!({})).await.unwrap();
    let none = world.sagas.wait_for_end(&id, Duration::from_millis(50)).await.unwrap();
    assert_eq!(none, None, "it has not ended");
    let (sagas, waits) = (world.sagas.clone(), id.clone());
    let limit = Duration::from_mins(1);
    let waiting = tokio::spawn(async move { sagas.wait_for_end(&waits, limit).await });
    let mut tail = world.bed.newest("one").await;
    for step in ["flight", "hotel", "papers"] {
        tail = appended(world.bed.advance(&tail, done(step)).await);
    }
    let end = waiting.await.unwrap().unwrap().unwrap();
    assert_eq!((end.record, end.sequence), (tail.stored.record, tail.stored.sequence));
    // And once more when it is over.
    let end = world.sagas.wait_for_end(&id, limit).await.unwrap().unwrap();
    assert_eq!(end.record.status, Status::Completed);
}

#[tokio::test]
async fn definitions_are_found_by_name_and_version() {
    let world = World::new().await;
    let started = world.start("one", json!({})).await.unwrap();
    let elsewhere = Engine::new(world.engine.client().clone());
    let sagas = Sagas::new(elsewhere.clone(), Arc::new(Plan::new(second()).unwrap()));
    let error = sagas.plan_of(&started.stored.record).await.unwrap_err();
    assert!(matches!(error, DefinitionError::Unknown { version: 1, .. }), "{error}");
    world.engine.register(Arc::clone(&world.bed.plan)).await.unwrap();
    let found = sagas.plan_of(&started.stored.record).await.unwrap();
    assert_eq!(found.digest(), world.bed.plan.digest());
    world.engine.register(Arc::clone(&world.bed.plan)).await.unwrap();
    let changed = Definition { version: 1, ..second() };
    let error = elsewhere.register(Arc::new(Plan::new(changed).unwrap())).await.unwrap_err();
    assert!(matches!(error, DefinitionError::Changed { version: 1, .. }), "{error}");
    // Sagas of both versions are read alike.
    let found = sagas.get(&world.bed.id("one")).await.unwrap().unwrap();
    assert_eq!(found.record, started.stored.record);
}

/// As when all services of a system start at the same moment.
#[tokio::test]
async fn of_many_who_register_at_once_all_agree_on_one_definition() {
    let world = World::new().await;
    for version in 2..12 {
        let registering = (0..8).map(|number| {
            let engine = Engine::new(world.engine.client().clone());
            // Every other one has another content under the same name and version.
            let deadline_ms = 60_000 + 1_000 * (number % 2);
            let definition = Definition { version, deadline_ms, ..second() };
            let plan = Arc::new(Plan::new(definition).unwrap());
            async move { (deadline_ms, engine.register(plan).await) }
        });
        let answers = join_all(registering).await;
        let registered = world.engine.plan("trip", version).await.unwrap();
        for (deadline_ms, answer) in answers {
            let is_it = registered.definition().deadline_ms == deadline_ms;
            match answer {
                Ok(()) => assert!(is_it, "two definitions of version {version}"),
                Err(DefinitionError::Changed { .. }) => assert!(!is_it),
                Err(error) => panic!("{error}"),
            }
        }
    }
}

fn second() -> Definition {
    let mut second = trip().step(Step::retriable("survey", "post").timeout_ms(10_000));
    second.version = 2;
    second
}

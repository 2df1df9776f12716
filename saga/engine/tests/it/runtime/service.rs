//! A participant on the NATS service protocol, and what it says when it cannot start.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use saga_core::{Definition, Plan, definition};
use saga_engine::participant::StartError;
use saga_engine::{DefinitionError, Engine, KvBarrier, Participant};
use serde_json::{Value, json};

use super::books::Books;
use super::world::{Deed, World, trip, until};

impl World {
    /// What one participant answers.
    async fn ask(&self, subject: &str) -> Value {
        let answer = self.client.request(subject.to_owned(), "".into()).await.unwrap();
        serde_json::from_slice(&answer.payload).unwrap()
    }

    /// The ids of the instances of a service that answer, once there are so many.
    async fn instances(&self, name: &str, wanted: usize) -> BTreeSet<String> {
        until(&format!("{wanted} instances of {name}"), async || {
            let inbox = self.client.new_inbox();
            let mut answers = self.client.subscribe(inbox.clone()).await.unwrap();
            let ping = format!("$SRV.PING.{name}");
            self.client.publish_with_reply(ping, inbox, "".into()).await.unwrap();
            let mut ids = BTreeSet::new();
            // Nobody says how many will answer: those who do are here within this time.
            let soon = Duration::from_millis(300);
            while let Ok(Some(answer)) = tokio::time::timeout(soon, answers.next()).await {
                if answer.status.is_none() {
                    let answer: Value = serde_json::from_slice(&answer.payload).unwrap();
                    ids.insert(answer["id"].as_str().unwrap().to_owned());
                }
            }
            (ids.len() == wanted, ids)
        })
        .await
    }

    fn plain(&self, service: &str) -> Participant<Books> {
        Participant::new(Engine::new(self.client.clone()), service, Books::default())
    }
}

#[tokio::test]
async fn a_participant_is_found_and_described() {
    let world = World::new(trip()).await;
    let (books, name) = (Books::default(), "saga-hotels");
    let first = world.serve("hotels", &books).await;
    let ping = world.ask(&format!("$SRV.PING.{name}")).await;
    assert_eq!(ping["type"], "io.nats.micro.v1.ping_response");
    assert_eq!(
        (&ping["name"], &ping["version"]),
        (&json!(name), &json!(env!("CARGO_PKG_VERSION")))
    );
    let expected = json!({ "steps": "hotel", "definitions": "trip.1", "consumers": "hotels,hotels-nudged,hotels-skipped,hotels-undo,hotels-undo-settled,hotels-undo-stuck" });
    assert_eq!(ping["metadata"], expected);

    let info = world.ask(&format!("$SRV.INFO.{name}")).await;
    assert_eq!(info["type"], "io.nats.micro.v1.info_response");
    assert_eq!(info["id"], ping["id"]);
    assert!(info["description"].as_str().unwrap().contains("hotels"), "{info}");
    let endpoints = info["endpoints"].as_array().unwrap().iter();
    let endpoints: BTreeSet<(&str, &str)> = endpoints
        .map(|it| (it["name"].as_str().unwrap(), it["subject"].as_str().unwrap()))
        .collect();
    let expected = [
        ("audit", "saga-hotels.audit"),
        ("describe", "saga-hotels.describe"),
        ("health", "saga-hotels.health"),
    ];
    assert_eq!(endpoints, BTreeSet::from(expected));
    assert_eq!(world.ask("saga-hotels.describe").await, ping["metadata"]);

    // Each process that hosts it answers for itself, and no longer when it has stopped.
    let second = world.serve("hotels", &books).await;
    let both = world.instances(name, 2).await;
    assert!(both.contains(ping["id"].as_str().unwrap()));
    first.shutdown(Duration::from_secs(5)).await;
    let left = world.instances(name, 1).await;
    assert!(!left.contains(ping["id"].as_str().unwrap()), "{left:?}");
    second.shutdown(Duration::from_secs(5)).await;
    world.instances(name, 0).await;
}

#[tokio::test]
async fn its_numbers_count_what_it_did() {
    let world = World::new(trip()).await;
    let books = Books::default();
    let services = world.serve_all(&books).await;
    let ids = world.start_many("s", 20).await;
    world.assert_ended(&ids, &books).await;
    // A saga's end is in the log before who wrote it has counted that; what it acknowledged it has.
    world.services_drained().await;
    for _ in 0..3 {
        let health = world.ask("saga-airline.health").await;
        assert_eq!((&health["status"], &health["takes_up_steps"]), (&json!("ok"), &json!(true)));
    }
    // 20 flights and 4 that were given back; 16 hotels and 4 refusals; 16 times papers.
    for (service, appended) in [("airline", 24), ("hotels", 20), ("post", 16)] {
        let stats = world.ask(&format!("$SRV.STATS.saga-{service}")).await;
        assert_eq!(stats["type"], "io.nats.micro.v1.stats_response");
        assert_eq!(stats["name"], format!("saga-{service}"));
        for endpoint in stats["endpoints"].as_array().unwrap() {
            let counts = &endpoint["data"];
            assert_eq!(counts["appended"], appended, "{service}: {stats}");
            assert_eq!((&counts["dead_letters"], &counts["foreign"]), (&json!(0), &json!(0)));
            let is_asked = service == "airline" && endpoint["name"] == "health";
            assert_eq!(endpoint["num_requests"], if is_asked { 3 } else { 0 }, "{endpoint}");
        }
    }
    services[0].pause();
    let health = world.ask("saga-airline.health").await;
    assert_eq!((&health["status"], &health["takes_up_steps"]), (&json!("warn"), &json!(false)));
    services[0].resume();
    world.write(world.subject("ghost", "002.hotel.done.running"), "?").await;
    until("it is counted", async || {
        let health = world.ask("saga-post.health").await;
        (health["counts"]["dead_letters"] == 1, health)
    })
    .await;
}

/// Both of the airline's steps in one definition, for the mistakes that can be made with two.
fn two_flights() -> Definition {
    let step = |name: &str| definition::Step::compensable(name, "airline").timeout_ms(1_000);
    Definition::new("trip", 1).step(step("there")).step(step("back"))
}

#[tokio::test]
async fn a_start_with_the_wrong_handlers_says_which() {
    let world = World::new(two_flights()).await;
    let plain = || world.plain("airline").saga(Arc::clone(&world.plan));
    let both = || plain().step("there", Deed).step("back", Deed);
    let mut other = two_flights();
    other.deadline_ms -= 1;
    let other = Arc::new(Plan::new(other).unwrap());
    for (participant, says) in [
        (plain(), "airline has no handler for step there of trip.1"),
        (plain().step("there", Deed), "airline has no handler for step back of trip.1"),
        (both().step("up", Deed), "airline has a handler for up, which is none of its steps"),
        (both().step("there", Deed), "two handlers were given for step there"),
        (both().saga(other), "two different definitions are called trip.1"),
        (world.plain("airline").step("there", Deed), "airline takes part in no saga"),
    ] {
        assert_eq!(participant.start().await.unwrap_err().to_string(), says);
    }
    // Nothing of them runs.
    world.instances("saga-airline", 0).await;
    assert_eq!(world.consumer("airline").await.num_waiting, 0);
    let running = both().start().await.unwrap();
    world.instances("saga-airline", 1).await;
    running.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_start_without_its_topology_says_what_is_missing() {
    let world = World::new(trip()).await;
    let stream = world.context().get_stream("SAGA_TRIP").await.unwrap();
    stream.delete_consumer("hotels-undo").await.unwrap();
    let error = world.service("hotels", &Books::default()).start().await.unwrap_err();
    let StartError::NoConsumer { stream, consumer, .. } = &error else { panic!("{error}") };
    assert_eq!((stream.as_str(), consumer.as_str()), ("SAGA_TRIP", "hotels-undo"));
    assert!(error.to_string().contains("apply the topology first"), "{error}");
    world.instances("saga-hotels", 0).await;

    world.context().delete_stream("SAGA_TRIP").await.unwrap();
    let error = world.service("post", &Books::default()).start().await.unwrap_err();
    assert!(matches!(&error, StartError::NoConsumer { consumer, .. } if consumer == "post"));
    let engine = Engine::new(world.client.clone());
    KvBarrier::open(&engine).await.unwrap();
    let bucket = saga_engine::topology::BARRIER;
    world.context().delete_key_value(bucket).await.unwrap();
    let error = KvBarrier::open(&engine).await.unwrap_err();
    assert!(error.to_string().contains("unavailable"), "{error}");

    world.apply().await;
    let _running = world.service("hotels", &Books::default()).start().await.unwrap();
    KvBarrier::open(&engine).await.unwrap();
}

#[tokio::test]
async fn a_start_with_another_definition_than_the_registered_one_is_refused() {
    let world = World::new(trip()).await;
    let engine = Engine::new(world.client.clone());
    engine.register(Arc::clone(&world.plan)).await.unwrap();
    let mut changed = trip();
    changed.deadline_ms -= 1;
    let changed = Arc::new(Plan::new(changed).unwrap());
    let error = world.plain("hotels").saga(changed).step("hotel", Deed).start().await.unwrap_err();
    let is_told = matches!(
        &error,
        StartError::Definition(DefinitionError::Changed { version: 1, name }) if name == "trip"
    );
    assert!(is_told, "{error}");
    let _running = world.serve("hotels", &Books::default()).await;
}

//! Endings are mirrored once each, however often they are delivered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use saga_core::{Author, Change, Event, Status, subject};
use saga_engine::log::advance::{Advanced, advance};
use saga_engine::testing::{Fault, Faults, Place, Point};
use saga_engine::{
    Ending, Engine, Mirror, MirrorAnswer, Participant, ParticipantHandle, Stored, audit,
};
use serde_json::{Value, json};

use super::books::{Books, Entry};
use super::world::{World, trip, until};

/// Remembers what it was told, and has books of its own.
#[derive(Clone, Default)]
struct Desk {
    /// It wants to hear of these alone; of all when there are none.
    only: Vec<Status>,
    heard: Arc<Mutex<Vec<String>>>,
    books: Books,
}

impl Mirror for Desk {
    type Input = Value;
    type Work = Entry;

    fn concerns(&self, status: Status) -> bool {
        self.only.is_empty() || self.only.contains(&status)
    }

    async fn ended(&self, endings: &[Ending<Value>]) -> Vec<MirrorAnswer<Entry>> {
        let told = |ending: &Ending<Value>| {
            self.heard.lock().unwrap().push(ending.effect_id.clone());
            MirrorAnswer::Commit(Entry::Saw(ending.record.status))
        };
        endings.iter().map(told).collect()
    }
}

impl Desk {
    /// How often each ending was told.
    fn told(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for effect_id in self.heard.lock().unwrap().iter() {
            *counts.entry(effect_id.clone()).or_default() += 1;
        }
        counts
    }

    /// A service that mirrors endings and is delivered each of them twice; notes the deliveries.
    async fn open(&self, world: &World, seen: &Arc<Mutex<Vec<u32>>>) -> ParticipantHandle {
        let (books, seen) = (self.books.clone(), Arc::clone(seen));
        let faults = Faults::new(move |place: Place| {
            let is_end = place.point == Point::BeforeAck;
            if is_end {
                seen.lock().unwrap().push(place.attempt);
            }
            let is_first = is_end && place.attempt == 1;
            async move { if is_first { Fault::HandBack(Duration::ZERO) } else { Fault::Proceed } }
        });
        let engine = Engine::new(world.client.clone());
        let desk = Participant::new(engine, "desk", books).saga(Arc::clone(&world.plan));
        desk.on_end(self.clone()).faults(faults).start().await.unwrap()
    }
}

#[tokio::test]
async fn an_ending_that_is_delivered_twice_is_told_once() {
    let world = World::new(trip()).await;
    let (books, desk, seen) = (Books::default(), Desk::default(), Arc::default());
    let _services = world.serve_all(&books).await;
    let running = desk.open(&world, &seen).await;
    let ids = world.start_many("s", 40).await;
    world.assert_ended(&ids, &books).await;
    world.drained_endings().await;
    let seen = seen.lock().unwrap().clone();
    let delivered = |attempt| seen.iter().filter(|it| **it == attempt).count();
    assert_eq!((delivered(1), delivered(2), seen.len()), (40, 40, 80), "each came twice");
    let told = desk.told();
    assert!(told.values().all(|count| *count == 1), "{told:?}");
    let with = |status: &str| told.keys().filter(|id| id.ends_with(status)).count();
    assert_eq!((with(".completed"), with(".rolled_back"), told.len()), (32, 8, 40));
    assert_eq!(running.stats().dead_letters, 0);
}

#[tokio::test]
async fn a_consumer_of_endings_that_is_made_again_tells_none_again() {
    let world = World::new(trip()).await;
    let (books, desk, seen) = (Books::default(), Desk::default(), Arc::default());
    let _services = world.serve_all(&books).await;
    let _desk = desk.open(&world, &seen).await;
    let mut ids = world.start_many("s", 10).await;
    world.assert_ended(&ids, &books).await;
    world.drained_endings().await;
    let stream = world.context().get_stream("SAGA_TRIP").await.unwrap();
    for name in subject::consumer::endings("desk") {
        stream.delete_consumer(&name).await.unwrap();
    }
    world.apply().await;
    ids.extend(world.start_many("t", 5).await);
    world.assert_ended(&ids, &books).await;
    until("everything was delivered again", async || {
        let seen = seen.lock().unwrap().len();
        (seen == 2 * (10 + 15), seen)
    })
    .await;
    // It may be asked again what to write, but nothing is written again.
    world.drained_endings().await;
    let written = desk.books.entries();
    let whose: BTreeSet<&String> = written.iter().map(|(id, ..)| id).collect();
    assert_eq!((written.len(), whose.len()), (15, 15), "{written:?}");
}

#[tokio::test]
async fn an_ending_that_does_not_concern_a_mirror_costs_it_nothing() {
    let world = World::new(trip()).await;
    let (books, seen) = (Books::default(), Arc::default());
    let desk = Desk { only: vec![Status::RolledBack], ..Desk::default() };
    let _services = world.serve_all(&books).await;
    let running = desk.open(&world, &seen).await;
    let ids = world.start_many("s", 40).await;
    world.assert_ended(&ids, &books).await;
    world.drained_endings().await;
    let told = desk.told();
    assert!(told.keys().all(|id| id.ends_with(".rolled_back")), "{told:?}");
    assert_eq!((told.len(), desk.books.entries().len()), (8, 8));
    assert_eq!(running.stats().dead_letters, 0);
    let report = audit::world(&Engine::new(world.client.clone()), &[Arc::clone(&world.plan)]).await;
    assert_eq!(report.unwrap().findings, []);
}

#[tokio::test]
async fn a_saga_that_was_stuck_is_told_as_stuck_and_as_ended() {
    let world = World::new(trip()).await;
    let (desk, seen) = (Desk::default(), Arc::default());
    let _desk = desk.open(&world, &seen).await;
    let engine = Engine::new(world.client.clone());
    let act = async |by: Author, change: Change| -> Stored {
        let log = engine.log().as_ref();
        let tail = log.last(&world.plan, "one", saga_engine::log::NEWEST).await.unwrap().unwrap();
        match advance(log, &world.plan, &tail, Event::new(by, change)).await.unwrap() {
            Advanced::Appended(tail) => tail.stored,
            other => panic!("nobody else moves it: {other:?}"),
        }
    };
    let (airline, hotels) = (Author::service("airline"), Author::service("hotels"));
    world.start("one", json!({})).await;
    act(airline.clone(), Change::done("flight", json!({}))).await;
    act(hotels, Change::failed("hotel", "full", "no room")).await;
    let stuck = act(airline, Change::undofailed("flight", "closed", "nobody there")).await;
    assert_eq!(stuck.record.status, Status::Stuck);
    let told = async |status: &str| {
        let wanted = format!("trip.one.{status}");
        until(&format!("{status} is told"), async || {
            let told = desk.told();
            (told.contains_key(&wanted), told)
        })
        .await;
        world.drained_endings().await;
    };
    told("stuck").await;
    let settled = act(Author::Operator, Change::settled("flight", false)).await;
    assert_eq!(settled.record.status, Status::RolledBack);
    told("rolled_back").await;
    assert_eq!(*desk.heard.lock().unwrap(), ["trip.one.stuck", "trip.one.rolled_back"]);
    assert_eq!(*seen.lock().unwrap(), [1, 2, 1, 2]);
}

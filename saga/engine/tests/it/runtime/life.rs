//! Participants, consumers and servers that end in the middle of it: nothing is lost or repeated.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jetsaga_nats::testing::{broker, own_server};
use saga_engine::coordinator::{Coordinator, Options, Retention};
use saga_engine::testing::{Fault, Faults, Place, Point};
use saga_engine::wishes::AlarmKind;
use saga_engine::{Engine, Trace};

use super::books::{Books, Entry};
use super::world::{World, input, trip, until};

/// Participants stand still where `stands` says so, for good; counts those that do.
fn standing(
    count: &Arc<AtomicUsize>,
    stands: impl Fn(&Place) -> bool + Send + Sync + 'static,
) -> Faults {
    let count = Arc::clone(count);
    Faults::new(move |place: Place| {
        let (stands, count) = (stands(&place), Arc::clone(&count));
        async move {
            if stands {
                count.fetch_add(1, Ordering::SeqCst);
                std::future::pending::<()>().await;
            }
            Fault::Proceed
        }
    })
}

/// The number in an id of [`World::start_many`].
fn number(id: &str) -> usize {
    id.trim_start_matches(|it: char| it.is_alphabetic()).parse().unwrap()
}

async fn until_standing(count: &Arc<AtomicUsize>, wanted: usize) {
    until("they stand still", async || {
        let count = count.load(Ordering::SeqCst);
        (count == wanted, count)
    })
    .await;
}

#[tokio::test]
async fn a_participant_that_died_in_the_middle_repeats_nothing() {
    let world = World::new(trip()).await;
    let (books, count) = (Books::default(), Arc::new(AtomicUsize::new(0)));
    // Of ten sagas the airline stops with five: one at each point that a local step passes.
    let stands = |place: &Place| Point::ALL.get(number(&place.saga_id) % 10) == Some(&place.point);
    let airline = world.service("airline", &books).faults(standing(&count, stands));
    let airline = airline.start().await.unwrap();
    let _others = [world.serve("hotels", &books).await, world.serve("post", &books).await];
    let ids = world.start_many("s", 50).await;
    // Those that stop before the acknowledgement go on, and roll back: there they stop again.
    until_standing(&count, 25).await;
    let did = |entries: &[(String, String, Entry)], name: &str| {
        entries.iter().filter(|(_, step, entry)| step == name && *entry == Entry::Did).count()
    };
    let until_there = async || {
        let entries = books.entries();
        (did(&entries, "flight") == 45 && did(&entries, "papers") == 30, entries.len())
    };
    until("all that can go on has done so", until_there).await;
    drop(airline);

    let airline = world.serve("airline", &books).await;
    world.assert_ended(&ids, &books).await;
    // Started, three steps or their refusal, an undo: no event stands there twice.
    for id in &ids {
        assert_eq!(world.told(id).await.len(), 4, "{id}");
    }
    assert!(airline.stats().appended >= 10, "{:?}", airline.stats());
    world.drained("airline").await;
    world.drained("airline-undo").await;
}

#[tokio::test]
async fn a_participant_that_is_stopped_hands_back_what_it_cannot_finish() {
    // What is not handed back would come again only when this test has failed.
    let client = broker().await.account().client().await;
    let world = World::on(client, &[trip()], 120_000).await;
    let (books, count) = (Books::default(), Arc::new(AtomicUsize::new(0)));
    let stands = |place: &Place| number(&place.saga_id).is_multiple_of(2);
    let hotels = world.service("hotels", &books).faults(standing(&count, stands));
    let hotels = hotels.start().await.unwrap();
    let _others = [world.serve("airline", &books).await, world.serve("post", &books).await];
    let ids = world.start_many("s", 40).await;
    until_standing(&count, 20).await;
    assert_eq!(hotels.shutdown(Duration::from_millis(100)).await, 20);
    let _hotels = world.serve("hotels", &books).await;
    world.assert_ended(&ids, &books).await;
}

#[tokio::test]
async fn stops_and_starts_under_load_lose_nothing() {
    let world = World::new(trip()).await;
    let books = Books::default();
    let _others = [world.serve("airline", &books).await, world.serve("post", &books).await];
    let mut ids = Vec::new();
    for round in 0..3 {
        // Two processes host the service; one is stopped, one dies, each in the middle.
        let stopped = world.serve("hotels", &books).await;
        let dies = world.serve("hotels", &books).await;
        let before = books.entries().len();
        ids.extend(world.start_many(&format!("{}s", ["a", "b", "c"][round]), 60).await);
        until("they are at it", async || {
            let entries = books.entries().len();
            (entries > before + 20, entries)
        })
        .await;
        drop(dies);
        stopped.shutdown(Duration::from_secs(5)).await;
    }
    let _hotels = world.serve("hotels", &books).await;
    world.assert_ended(&ids, &books).await;
}

#[tokio::test]
async fn a_consumer_that_was_deleted_is_reported_and_taken_up_again_when_it_is_back() {
    let world = World::new(trip()).await;
    let books = Books::default();
    let services = world.serve_all(&books).await;
    let options = Options {
        watch_every: Duration::from_millis(200),
        retention: Retention { enabled: false, ..Retention::default() },
        ..Options::default()
    };
    let coordinator = Coordinator::new(Engine::new(world.client.clone()));
    let coordinator = coordinator.saga(Arc::clone(&world.plan)).options(options);
    let coordinator = coordinator.start().await.unwrap();
    let mut ids = world.start_many("s", 20).await;
    world.assert_ended(&ids, &books).await;

    let stream = world.context().get_stream("SAGA_TRIP").await.unwrap();
    stream.delete_consumer("hotels").await.unwrap();
    ids.extend(world.start_many("t", 10).await);
    let unserved = async || {
        let alarms = coordinator.alarms();
        let about = |kind| alarms.iter().any(|it| it.kind == kind && it.about == "hotels");
        (about(AlarmKind::Unserved), alarms)
    };
    until("the alarm", unserved).await;
    until("the flights", async || (books.of("t9").len() == 1, books.of("t9"))).await;
    world.apply().await;
    // It delivers everything once more, from the first message on.
    world.assert_ended(&ids, &books).await;
    world.drained("hotels").await;
    assert_eq!(services[1].stats().appended, 30);
    until("the alarm is over", async || {
        let (is_there, alarms) = unserved().await;
        (!is_there, alarms)
    })
    .await;
    coordinator.shutdown().await;
}

#[tokio::test]
async fn a_server_that_is_killed_under_load_costs_no_saga_and_no_effect() {
    let mut server = own_server().await;
    let client = jetsaga_nats::connect_as(server.url(), "runtime").await.unwrap();
    let world = World::on(client, &[trip()], 1_500).await;
    let books = Books::default();
    let _services = world.serve_all(&books).await;
    let ids: Vec<String> = (0..300).map(|number| format!("s{number}")).collect();
    let started = AtomicUsize::new(0);
    let start_all = async {
        for (number, id) in ids.iter().enumerate() {
            // What was not acknowledged is started again, and is one saga all the same.
            until(&format!("{id} is started"), async || {
                let started = world.sagas.start(id, input(number), Trace::default()).await;
                (started.is_ok(), started.map(|it| it.replayed))
            })
            .await
            .unwrap();
            started.fetch_add(1, Ordering::SeqCst);
        }
    };
    let kill = async {
        until("they are at it", async || {
            let entries = books.entries().len();
            (entries > 100, entries)
        })
        .await;
        let started = started.load(Ordering::SeqCst);
        assert!(started < ids.len(), "it is killed in the middle, not after {started} starts");
        server.restart().await;
    };
    tokio::join!(start_all, kill);
    world.assert_ended(&ids, &books).await;
}

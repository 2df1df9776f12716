//! Followers: every event of a saga in order, whatever happens on the way.

#![expect(clippy::unwrap_used, reason = "what a test's helpers cannot do, the test cannot either")]

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::{self, consumer};
use futures::TryStreamExt as _;
use jetsaga_nats::testing::{broker, own_server};
use saga_core::{Author, Change, Event, Plan, Status, subject};
use saga_engine::{Engine, Follower, Hub, Stored};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::log::bed::{Bed, appended, cancelled, done, told, trip};
use crate::runtime::world::until;

/// How long the next event may take; a server may start again meanwhile.
const PATIENCE: Duration = Duration::from_mins(1);

/// A log, and a hub over it.
struct World {
    bed: Bed,
    hub: Hub,
    stop: CancellationToken,
    client: async_nats::Client,
}

impl World {
    async fn new() -> Self {
        Self::on(broker().await.account().client().await).await
    }

    async fn on(client: async_nats::Client) -> Self {
        let (bed, stop) = (Bed::on(&client).await, CancellationToken::new());
        let engine = Engine::new(client.clone());
        let hub = Hub::start(engine, Arc::clone(&bed.plan), &stop).await.unwrap();
        Self { bed, hub, stop, client }
    }

    fn follow(&self, name: &str, after: u64) -> Follower {
        self.hub.follow(&self.bed.id(name), after)
    }

    /// Takes a saga through these steps; returns its last event.
    async fn walk(&self, name: &str, steps: &[&str]) -> Stored {
        let mut tail = self.bed.newest(name).await;
        for step in steps {
            tail = appended(self.bed.advance(&tail, done(step)).await);
        }
        tail.stored
    }
}

async fn next(follower: &mut Follower) -> Option<Stored> {
    let next = tokio::time::timeout(PATIENCE, follower.next()).await;
    next.expect("there is an event, or the end").unwrap()
}

/// Everything until the end.
async fn rest(mut follower: Follower) -> Vec<Stored> {
    let mut seen = Vec::new();
    while let Some(stored) = next(&mut follower).await {
        seen.push(stored);
    }
    assert_eq!(next(&mut follower).await, None, "the end is the end");
    seen
}

/// Every event of a whole trip.
const TRIP: [&str; 4] = ["saga started", "flight done", "hotel done", "papers done"];

#[tokio::test]
async fn every_event_comes_once_and_in_order_until_the_end() {
    let world = World::new().await;
    // Before there is such a saga, in its middle, and after its end.
    let early = world.follow("one", 0);
    world.bed.start("one").await;
    world.bed.start("other").await;
    world.walk("one", &["flight"]).await;
    let mut middle = world.follow("one", 0);
    assert_eq!(next(&mut middle).await.unwrap().record.n, 1);
    world.walk("other", &["flight", "hotel"]).await;
    world.walk("one", &["hotel", "papers"]).await;
    let history = world.bed.history("one").await;
    assert_eq!(told(&history), TRIP);
    assert_eq!(rest(early).await, history);
    assert_eq!(rest(middle).await, history[1..]);
    assert_eq!(rest(world.follow("one", 0)).await, history);
}

#[tokio::test]
async fn a_follower_goes_on_after_the_event_it_names() {
    let world = World::new().await;
    world.bed.start("one").await;
    let flown = world.walk("one", &["flight"]).await;
    let waiting = world.follow("one", flown.sequence);
    let end = world.walk("one", &["hotel", "papers"]).await;
    let history = world.bed.history("one").await;
    assert_eq!(rest(waiting).await, history[2..]);
    assert_eq!(rest(world.follow("one", flown.sequence)).await, history[2..]);
    // Positions are the stream's: one between two events of the saga is a position too.
    assert_eq!(rest(world.follow("one", flown.sequence - 1)).await, history[1..]);
    assert_eq!(rest(world.follow("one", end.sequence)).await, []);
    assert_eq!(rest(world.follow("one", end.sequence + 1)).await, []);
}

#[tokio::test]
async fn a_follower_that_does_not_listen_misses_nothing() {
    let world = World::new().await;
    let mut tail = world.bed.start("one").await;
    let mut asleep = world.follow("one", 0);
    assert_eq!(next(&mut asleep).await.unwrap().record.n, 1);
    // More than may wait for it.
    for _ in 0..300 {
        let nudged = Event::new(Author::Operator, Change::nudged("flight"));
        tail = appended(world.bed.advance(&tail, nudged).await);
    }
    world.walk("one", &["flight", "hotel", "papers"]).await;
    let seen = rest(asleep).await;
    assert!(seen.iter().map(|it| it.record.n).eq(2..=304));
    assert_eq!(told(&seen[300..]), TRIP[1..]);
}

#[tokio::test]
async fn the_end_is_waited_for_by_many_at_once() {
    let world = World::new().await;
    let mut waiting = Vec::new();
    for number in 0..40 {
        let name = format!("s{number}");
        world.bed.start(&name).await;
        for _ in 0..2 {
            let (hub, id) = (world.hub.clone(), world.bed.id(&name));
            waiting.push(tokio::spawn(async move { hub.wait_for_end(&id, PATIENCE).await }));
        }
    }
    for number in 0..40 {
        world.walk(&format!("s{number}"), &TRIP.map(|it| it.split(' ').next().unwrap())[1..]).await;
    }
    for wait in waiting {
        assert_eq!(wait.await.unwrap().unwrap().unwrap().record.status, Status::Completed);
    }
    // A saga that does not end, and one that there is not.
    world.bed.start("open").await;
    for name in ["open", "nobody"] {
        let short = Duration::from_millis(50);
        assert_eq!(world.hub.wait_for_end(&world.bed.id(name), short).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_server_that_dies_and_comes_back_changes_nothing() {
    let mut own = own_server().await;
    let world = World::on(jetsaga_nats::connect_as(own.url(), "hub").await.unwrap()).await;
    let started = world.bed.start("one").await;
    let mut follower = world.follow("one", 0);
    assert_eq!(next(&mut follower).await.unwrap(), started.stored);
    own.kill().await;
    own.restart().await;
    // Somebody else is back sooner than the hub.
    let client = jetsaga_nats::connect_as(own.url(), "writer").await.unwrap();
    let near = Bed::on(&client).await;
    appended(near.advance(&started, done("flight")).await);
    assert_eq!(next(&mut follower).await.unwrap().record.event.step, "flight");
    own.stop().await;
    own.restart().await;
    world.walk("one", &["hotel", "papers"]).await;
    assert_eq!(told(&rest(follower).await), TRIP[2..]);
}

#[tokio::test]
async fn a_consumer_that_somebody_deletes_is_made_again() {
    let world = World::new().await;
    let tail = world.bed.start("one").await;
    let mut follower = world.follow("one", 0);
    assert_eq!(next(&mut follower).await, Some(tail.stored));
    // The start may have been read from the stream; only what comes live shows that the hub's
    // consumer, which is made in the background, is there.
    let live = world.walk("one", &["flight"]).await;
    assert_eq!(next(&mut follower).await.unwrap().sequence, live.sequence);
    let stream = jetstream::new(world.client.clone()).get_stream("SAGA_TRIP").await.unwrap();
    // A busy cluster may leave one out of its list, and a hub that heard too little of the server
    // may have made another one.
    let (listed, _) = until("the hub's consumer is deleted", async || {
        let listed: Result<Vec<consumer::Info>, _> = stream.consumers().try_collect().await;
        let mut deleted = Vec::new();
        for consumer in listed.iter().flatten().filter(|it| it.config.durable_name.is_none()) {
            deleted.push(stream.delete_consumer(&consumer.name).await.map(drop));
        }
        (deleted.iter().any(Result::is_ok), (listed, deleted))
    })
    .await;
    listed.unwrap();
    world.walk("one", &["hotel", "papers"]).await;
    assert_eq!(told(&rest(follower).await), TRIP[2..]);
}

#[tokio::test]
async fn a_stream_that_was_made_anew_is_followed_from_its_start() {
    let world = World::new().await;
    for name in ["one", "two", "three"] {
        world.bed.start(name).await;
    }
    let context = jetstream::new(world.client.clone());
    context.delete_stream("SAGA_TRIP").await.unwrap();
    Bed::on(&world.client).await;
    let waiting = world.follow("new", 0);
    world.bed.start("new").await;
    world.walk("new", &["flight", "hotel", "papers"]).await;
    assert_eq!(told(&rest(waiting).await), TRIP);
}

#[tokio::test]
async fn what_slipped_past_the_check_is_not_handed_out() {
    let world = World::new().await;
    let started = world.bed.start("one").await;
    let mut follower = world.follow("one", 0);
    assert_eq!(next(&mut follower).await.unwrap().record.n, 1);
    // An end that was derived from nothing.
    let mut lie = started.stored.record.next(&world.bed.plan, 999, cancelled()).unwrap();
    lie.status = Status::RolledBack;
    let context = jetstream::new(world.client.clone());
    let subject = subject::of("trip", &lie);
    context.publish(subject, lie.to_json().into()).await.unwrap().await.unwrap();
    world.walk("one", &["flight", "hotel", "papers"]).await;
    assert_eq!(told(&rest(follower).await), TRIP[1..]);
}

#[tokio::test]
async fn every_shard_is_followed() {
    let world = World::new().await;
    let (bed, engine) = (&world.bed, Engine::new(world.client.clone()));
    let plan = Arc::clone(&bed.sharded);
    let sagas = saga_engine::Sagas::new(engine, Arc::clone(&plan));
    let mut shards = std::collections::BTreeSet::new();
    for number in 0..8 {
        let id = format!("stay{number}");
        shards.insert(plan.shard(&id));
        let mut follower = sagas.follow(&id, 0).await.unwrap();
        let started = sagas.start(&id, json!({}), saga_engine::Trace::default()).await.unwrap();
        let seen = next(&mut follower).await.unwrap();
        assert_eq!(seen.record, started.stored.record);
    }
    assert_eq!(shards.len(), 2);
}

#[tokio::test]
async fn a_hub_that_stops_ends_its_followers() {
    let world = World::new().await;
    world.bed.start("one").await;
    let mut follower = world.follow("one", 0);
    assert_eq!(next(&mut follower).await.unwrap().record.n, 1);
    let waiting = tokio::spawn(rest(follower));
    world.stop.cancel();
    assert_eq!(waiting.await.unwrap(), []);
}

#[tokio::test]
async fn there_is_no_hub_over_a_stream_that_is_not_there() {
    let engine = Engine::new(broker().await.account().client().await);
    let plan = Arc::new(Plan::new(trip()).unwrap());
    let error = Hub::start(engine, plan, &CancellationToken::new()).await.unwrap_err();
    assert!(error.to_string().contains("SAGA_TRIP"), "{error}");
}

//! Coordinators and servers that stop and start again.

use std::time::Duration;

use jetsaga_nats::testing::{own_server, replicas};
use jetsaga_nats::topology;
use saga_core::{Author, Change, Status};
use saga_engine::topology::{CHECKPOINTS, Topology};
use saga_engine::wishes::{AlarmKind, List};

use super::world::{World, hasty_trip, trip, trip_late_after, until};

async fn play_through(world: &World, id: &str) {
    world.start(id).await;
    for step in ["flight", "hotel", "mail"] {
        world.done(id, step).await;
    }
}

#[tokio::test]
async fn a_restart_reads_only_what_came_since_the_checkpoint() {
    let world = World::new(hasty_trip()).await;
    let first = world.coordinator().await;
    for number in 0..30 {
        play_through(&world, &format!("done{number}")).await;
    }
    world.start("waiting").await;
    world.done("waiting", "flight").await;
    world.start("stuck").await;
    world.done("stuck", "flight").await;
    world.act("stuck", Author::service("inn"), Change::failed("hotel", "full", "no room")).await;
    world.until_told("stuck", "flight.undofailed.stuck").await;
    until("all was read", async || {
        let health = first.health();
        (health.open == 2 && health.stuck == 1, health)
    })
    .await;
    first.shutdown().await;

    world.start("since").await;
    let second = world.coordinator().await;
    let health = second.health();
    assert_eq!((health.replayed, health.open, health.stuck), (1, 3, 1), "of 126 messages");
    let stuck = second.alarms().into_iter().find(|alarm| alarm.kind == AlarmKind::Stuck);
    assert_eq!(stuck.unwrap().about, "stuck");
    let listed = world.wishes.ask(&List::default()).await.unwrap();
    assert_eq!(listed.sagas.len(), 33, "ended ones are remembered, too");
    // What waited goes on waiting since then, and what came since is timed out as usual.
    world.until_told("since", "flight.timedout.rolling_back").await;
    world.done("waiting", "hotel").await;
    world.done("waiting", "mail").await;
    until("what the checkpoint knew goes on", async || {
        let listed = world.wishes.ask(&List::default()).await.unwrap();
        let waiting = listed.sagas.into_iter().find(|saga| saga.id == "waiting").unwrap();
        (waiting.status == Status::Completed, waiting)
    })
    .await;
    assert!(second.alarms().iter().all(|alarm| alarm.kind == AlarmKind::Stuck));
    second.shutdown().await;
}

#[tokio::test]
async fn without_a_checkpoint_the_stream_tells_the_same() {
    let world = World::new(trip_late_after(5_000)).await;
    let first = world.coordinator().await;
    play_through(&world, "a").await;
    world.start("b").await;
    first.shutdown().await;
    let bucket = world.engine.jetstream().get_key_value(CHECKPOINTS).await.unwrap();
    bucket.put("SAGA_TRIP", "not a checkpoint".into()).await.unwrap();
    let second = world.coordinator().await;
    let health = second.health();
    assert_eq!((health.replayed, health.open), (5, 1));
    world.until_told("b", "flight.timedout.rolling_back").await;
    second.shutdown().await;
}

#[tokio::test]
async fn a_checkpoint_of_another_stream_is_ignored() {
    let world = World::new(trip_late_after(5_000)).await;
    let first = world.coordinator().await;
    world.start("a").await;
    until("it was read", async || (first.health().open == 1, first.health())).await;
    first.shutdown().await;
    let context = world.engine.jetstream();
    context.delete_stream("SAGA_TRIP").await.unwrap();
    let mut topology = Topology::of(&[&world.plan], &[], replicas(&world.client));
    topology.streams.retain(|stream| stream.name == "SAGA_TRIP");
    topology.buckets.clear();
    topology::apply(context, &topology).await.unwrap();
    world.start("b").await;
    let second = world.coordinator().await;
    let health = second.health();
    assert_eq!((health.replayed, health.open), (1, 1), "the old saga is not remembered");
    world.until_told("b", "flight.timedout.rolling_back").await;
    second.shutdown().await;
}

#[tokio::test]
async fn a_stream_made_anew_under_a_running_coordinator_is_read_from_its_start() {
    let world = World::new(hasty_trip()).await;
    let coordinator = world.coordinator().await;
    world.start("a").await;
    until("it was read", async || (coordinator.health().open == 1, coordinator.health())).await;
    let context = world.engine.jetstream();
    context.delete_stream("SAGA_TRIP").await.unwrap();
    let mut topology = Topology::of(&[&world.plan], &[], replicas(&world.client));
    topology.streams.retain(|stream| stream.name == "SAGA_TRIP");
    topology.buckets.clear();
    topology::apply(context, &topology).await.unwrap();
    world.start("b").await;
    world.start("c").await;
    world.until_told("b", "flight.timedout.rolling_back").await;
    until("only the new ones are known", async || {
        let health = coordinator.health();
        (health.open == 2, health)
    })
    .await;
    coordinator.shutdown().await;
}

#[tokio::test]
async fn a_coordinator_goes_on_after_the_server_was_killed_and_started_again() {
    let mut server = own_server().await;
    let options = async_nats::ConnectOptions::new();
    let client = jetsaga_nats::connect(server.url(), options).await.unwrap();
    let world = World::on(client, trip_late_after(5_000)).await;
    let coordinator = world.coordinator().await;
    play_through(&world, "before").await;
    world.start("across").await;
    world.done("across", "flight").await;
    until("it was read", async || (coordinator.health().open == 1, coordinator.health())).await;
    server.restart().await;
    until("the stream answers again", async || {
        let found = world.engine.log().last(&world.plan, "across", 0).await;
        (found.is_ok(), found.map(|tail| tail.map(|tail| tail.last_sequence)).ok())
    })
    .await;
    world.start("after").await;
    world.until_told("after", "flight.timedout.rolling_back").await;
    world.done("across", "hotel").await;
    world.done("across", "mail").await;
    until("it follows again", async || {
        let listed = world.wishes.ask(&List::default()).await.map(|listed| listed.sagas);
        let across = listed.iter().flatten().find(|saga| saga.id == "across");
        let is_completed = across.is_some_and(|saga| saga.status == Status::Completed);
        (is_completed, format!("{listed:?}"))
    })
    .await;
    let alarms = coordinator.alarms();
    // Nothing was lost or read twice.
    assert!(alarms.iter().all(|alarm| alarm.kind == AlarmKind::Stuck), "{alarms:?}");
    coordinator.shutdown().await;
}

#[tokio::test]
async fn a_shutdown_without_a_server_does_not_hang() {
    let server = own_server().await;
    let options = async_nats::ConnectOptions::new();
    let client = jetsaga_nats::connect(server.url(), options).await.unwrap();
    let world = World::on(client, trip()).await;
    let coordinator = world.coordinator().await;
    for number in 0..5 {
        world.start(&format!("s{number}")).await;
    }
    server.kill().await;
    let stopping = tokio::time::timeout(Duration::from_mins(1), coordinator.shutdown());
    stopping.await.expect("it does not wait for a server");
}

#[tokio::test]
async fn a_shutdown_finishes_what_is_in_hand() {
    let world = World::new(hasty_trip()).await;
    let coordinator = world.coordinator().await;
    for number in 0..20 {
        world.start(&format!("s{number}")).await;
    }
    world.until_told("s0", "flight.timedout.rolling_back").await;
    coordinator.shutdown().await;
    let answer = world.wishes.ask(&List::default()).await.unwrap_err();
    assert!(answer.to_string().contains("no coordinator"), "{answer}");
    // Whatever it had begun is whole: every history folds.
    for number in 0..20 {
        let history = world.history(&format!("s{number}")).await;
        saga_engine::audit::fold(&world.plan, &history).unwrap();
    }
}

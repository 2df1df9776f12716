//! What leaves the stream, and what never does.

use std::time::Duration;

use futures::future::join_all;
use futures::{FutureExt as _, StreamExt as _};
use saga_core::subject;
use saga_engine::coordinator::{Options, Retention};
use saga_engine::wishes::{Start, WishError};
use serde_json::json;

use super::world::{World, quick, trip, until};

fn leaving(grace_ms: u64, retention_ms: u64) -> Options {
    let grace = Duration::from_millis(grace_ms);
    let retention = Duration::from_millis(retention_ms);
    Options { retention: Retention { enabled: true, grace, retention }, ..quick() }
}

fn start(id: &str, to: &str) -> Start {
    let (saga_type, id) = ("trip".to_owned(), Some(id.to_owned()));
    Start { saga_type, version: None, id, input: json!({"to": to}) }
}

/// Without a coordinator.
async fn play_through_by_hand(world: &World, id: &str) {
    world.start(id).await;
    for step in ["flight", "hotel", "mail"] {
        world.done(id, step).await;
    }
}

async fn play_through(world: &World, id: &str) {
    world.wishes.ask(&start(id, "Lisbon")).await.unwrap();
    for step in ["flight", "hotel", "mail"] {
        world.done(id, step).await;
    }
}

/// Most purges for each saga where at least half of the four messages left in stretches: where all
/// is slow, some are late and leave alone.
const IN_STRETCHES: usize = 2;

/// Sagas that end in one go: what ends apart by more than the patience of retention leaves apart.
async fn end_together(world: &World, count: usize) {
    let ids: Vec<String> = (0..count).map(|number| format!("s{number}")).collect();
    let start = async |id: &String| {
        world.start(id).await;
        world.done(id, "flight").await;
        world.done(id, "hotel").await;
    };
    join_all(ids.iter().map(start)).await;
    join_all(ids.iter().map(|id| world.done(id, "mail"))).await;
}

#[tokio::test]
async fn a_finished_history_leaves_and_a_repeated_start_is_still_refused() {
    let world = World::new(trip()).await;
    let coordinator = world.coordinator_with(leaving(300, 60_000)).await;
    play_through(&world, "a").await;
    // Open, and older than any grace.
    world.start("open").await;
    world.done("open", "flight").await;
    until("the history is gone", async || {
        let told = world.told("a").await;
        (told == ["mail.done.completed"], told)
    })
    .await;
    assert!(world.wishes.ask(&start("a", "Lisbon")).await.unwrap().repeated);
    let error = world.wishes.ask(&start("a", "Rome")).await.unwrap_err();
    assert!(matches!(error, WishError::Refused { ref code, .. } if code == "id_taken"), "{error}");
    assert_eq!(world.told("open").await.len(), 2, "an open saga stays");
    assert_eq!(coordinator.alarms(), []);
    coordinator.shutdown().await;
    // Whoever reads the stream anew takes what was left for what it is.
    let bucket = world.engine.jetstream().get_key_value("saga_checkpoints").await.unwrap();
    bucket.purge("SAGA_TRIP").await.unwrap();
    let next = world.coordinator().await;
    assert_eq!(next.health().replayed, 3);
    assert_eq!(next.alarms(), []);
    next.shutdown().await;
}

#[tokio::test]
async fn the_last_message_leaves_after_the_retention_time_and_the_id_is_free_again() {
    let world = World::new(trip()).await;
    let coordinator = world.coordinator_with(leaving(200, 1_500)).await;
    // One that has read the same ending, and only acts on it when the id is in use again.
    let slower = world.coordinator_with(leaving(200, 4_000)).await;
    play_through(&world, "a").await;
    until("all of it is gone", async || {
        let told = world.told("a").await;
        (told.is_empty(), told)
    })
    .await;
    let again = world.wishes.ask(&start("a", "Rome")).await.unwrap();
    assert!(!again.repeated);
    world.done("a", "flight").await;
    // Longer than both retention times: that nothing happens cannot be awaited.
    tokio::time::sleep(Duration::from_millis(8_500)).await;
    // The purges named a sequence: the saga that was started again is not touched.
    assert_eq!(world.told("a").await.len(), 2);
    for coordinator in [coordinator, slower] {
        assert_eq!(coordinator.alarms(), []);
        coordinator.shutdown().await;
    }
}

#[tokio::test]
async fn retention_goes_on_where_it_stopped_and_two_coordinators_do_no_harm() {
    let world = World::new(trip()).await;
    for number in 0..10 {
        world.start(&format!("s{number}")).await;
        for step in ["flight", "hotel", "mail"] {
            world.done(&format!("s{number}"), step).await;
        }
    }
    let one = world.coordinator_with(leaving(100, 60_000)).await;
    let other = world.coordinator_with(leaving(100, 60_000)).await;
    until("ten messages are left", async || {
        let messages = world.stream().await.get_info().await.unwrap().state.messages;
        (messages == 10, messages)
    })
    .await;
    one.shutdown().await;
    other.shutdown().await;
    world.start("late").await;
    for step in ["flight", "hotel", "mail"] {
        world.done("late", step).await;
    }
    let next = world.coordinator_with(leaving(100, 60_000)).await;
    until("eleven messages are left", async || {
        let messages = world.stream().await.get_info().await.unwrap().state.messages;
        (messages == 11, messages)
    })
    .await;
    assert_eq!(next.alarms(), []);
    next.shutdown().await;
}

/// How many purges somebody asked for since.
async fn purges(world: &World) -> impl AsyncFnMut() -> usize {
    let client = world.engine.client();
    let mut requests = client.subscribe("$JS.API.STREAM.PURGE.>").await.unwrap();
    async move || std::iter::from_fn(|| requests.next().now_or_never().flatten()).count()
}

#[tokio::test]
async fn what_is_old_leaves_in_whole_stretches() {
    let world = World::new(trip()).await;
    let coordinator = world.coordinator_with(leaving(4_000, 4_000)).await;
    let mut purges = purges(&world).await;
    end_together(&world, 20).await;
    until("the stream is empty", async || {
        let messages = world.stream().await.get_info().await.unwrap().state.messages;
        (messages == 0, messages)
    })
    .await;
    let purges = purges().await;
    assert!((1..=IN_STRETCHES * 20).contains(&purges), "{purges} purges");
    assert_eq!(coordinator.alarms(), []);
    coordinator.shutdown().await;
}

#[tokio::test]
async fn a_saga_that_stays_open_keeps_its_history_and_its_neighbours_leave_one_by_one() {
    let world = World::new(trip()).await;
    play_through_by_hand(&world, "before").await;
    world.start("open").await;
    play_through_by_hand(&world, "after").await;
    world.done("open", "flight").await;
    let coordinator = world.coordinator_with(leaving(1_000, 1_000)).await;
    until("only the open saga is left", async || {
        let messages = world.stream().await.get_info().await.unwrap().state.messages;
        (messages == 2, messages)
    })
    .await;
    assert_eq!(world.told("open").await.len(), 2);
    assert_eq!(coordinator.alarms(), []);
    coordinator.shutdown().await;
}

#[tokio::test]
async fn what_cannot_be_read_may_be_open_and_stays_until_somebody_purges_it() {
    let world = World::new(trip()).await;
    let subject = subject::filter("trip", "later").replace('>', "001.saga.started.running");
    let sent =
        world.engine.jetstream().publish(subject.clone(), "{\"v\":99}".into()).await.unwrap();
    let sequence = sent.await.unwrap().sequence;
    let coordinator = world.coordinator_with(leaving(4_000, 4_000)).await;
    let mut purges = purges(&world).await;
    play_through_by_hand(&world, "after").await;
    until("only it is left", async || {
        let messages = world.stream().await.get_info().await.unwrap().state.messages;
        (messages == 1, messages)
    })
    .await;
    assert!(world.stream().await.get_raw_message(sequence).await.is_ok());
    assert_eq!(coordinator.alarms().len(), 1);
    world.stream().await.purge().filter(subject).await.unwrap();
    purges().await;
    end_together(&world, 10).await;
    until("the stream is empty", async || {
        let messages = world.stream().await.get_info().await.unwrap().state.messages;
        (messages == 0, messages)
    })
    .await;
    let purges = purges().await;
    assert!((1..=IN_STRETCHES * 10).contains(&purges), "{purges} purges");
    coordinator.shutdown().await;
}

#[tokio::test]
async fn a_saga_that_was_open_for_long_keeps_its_history_for_as_long_as_others() {
    let world = World::new(trip()).await;
    let coordinator = world.coordinator_with(leaving(500, 60_000)).await;
    world.start("old").await;
    world.done("old", "flight").await;
    play_through_by_hand(&world, "young").await;
    until("the other history is gone", async || {
        let told = world.told("young").await;
        (told == ["mail.done.completed"], told)
    })
    .await;
    // Passed over as open, and with all of the grace period before it.
    assert_eq!(world.told("old").await.len(), 2);
    for step in ["hotel", "mail"] {
        world.done("old", step).await;
    }
    assert_eq!(world.told("old").await.len(), 4);
    until("its history is gone, too", async || {
        let told = world.told("old").await;
        (told == ["mail.done.completed"], told)
    })
    .await;
    assert_eq!(coordinator.alarms(), []);
    coordinator.shutdown().await;
}

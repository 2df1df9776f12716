//! What leaves the stream, and what never does.

use std::time::Duration;

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

async fn play_through(world: &World, id: &str) {
    world.wishes.ask(&start(id, "Lisbon")).await.unwrap();
    for step in ["flight", "hotel", "mail"] {
        world.done(id, step).await;
    }
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
    tokio::time::sleep(Duration::from_millis(5_500)).await;
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

//! Holding a type.

use std::time::Duration;

use saga_core::{Definition, Step};
use saga_engine::wishes::{History, Pause, Resume, WishError};

use super::world::{World, trip, trip_late_after, until};

fn pause(saga_type: &str) -> Pause {
    let (actor, reason) = ("ann".to_owned(), "the provider is down".to_owned());
    Pause { saga_type: saga_type.to_owned(), actor, reason }
}

fn resume() -> Resume {
    let (actor, reason) = ("ann".to_owned(), "the provider is back".to_owned());
    Resume { saga_type: "trip".to_owned(), actor, reason }
}

async fn are_paused(world: &World, wanted: bool) {
    until("the consumers", async || {
        let mut seen = Vec::new();
        for name in ["air", "air-nudged", "air-undo", "inn", "post", "post-skipped"] {
            let stream = world.stream().await;
            seen.push(stream.consumer_info(name).await.unwrap().paused);
        }
        (seen.iter().all(|paused| *paused == wanted), seen)
    })
    .await;
}

#[tokio::test]
async fn a_held_type_stands_still_and_its_time_outs_do_not_run() {
    let definition = Definition::new("trip", 1)
        .step(Step::compensable("flight", "air").timeout_ms(4_000))
        .step(Step::compensable("hotel", "inn").timeout_ms(30_000))
        .step(Step::retriable("mail", "post").timeout_ms(300));
    let world = World::new(definition).await;
    let coordinator = world.coordinator().await;
    let other = world.coordinator().await;
    world.start("a").await;
    let held = world.wishes.ask(&pause("trip")).await.unwrap();
    assert!(held.since_ms.is_some() && !held.repeated);
    assert!(world.wishes.ask(&pause("trip")).await.unwrap().repeated);
    are_paused(&world, true).await;
    let wish = History { saga_type: "trip".to_owned(), id: "a".to_owned() };
    until("both coordinators hold", async || {
        let story = world.wishes.ask(&wish).await.unwrap();
        (story.next.iter().all(|next| next.due_ms.is_none()), story)
    })
    .await;
    // Long after the time-out: that nothing happens cannot be awaited.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(world.told("a").await, ["saga.started.running"]);

    let free = world.wishes.ask(&resume()).await.unwrap();
    assert!(free.since_ms.is_none() && !free.repeated);
    assert!(world.wishes.ask(&resume()).await.unwrap().repeated);
    are_paused(&world, false).await;
    let history = world.until_told("a", "flight.timedout.rolling_back").await;
    let waited = history[1].at_ms - history[0].at_ms;
    assert!(waited >= 5_000 + 3_000, "the hold does not count: {waited} ms in all");
    coordinator.shutdown().await;
    other.shutdown().await;
}

#[tokio::test]
async fn a_hold_outlives_its_coordinator() {
    let world = World::new(trip_late_after(400)).await;
    let coordinator = world.coordinator().await;
    world.wishes.ask(&pause("trip")).await.unwrap();
    coordinator.shutdown().await;
    world.start("a").await;
    let next = world.coordinator().await;
    // That nothing happens cannot be awaited: twice the time-out.
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert_eq!(world.told("a").await, ["saga.started.running"]);
    world.wishes.ask(&resume()).await.unwrap();
    world.until_told("a", "flight.timedout.rolling_back").await;
    next.shutdown().await;
}

#[tokio::test]
async fn only_a_type_that_there_is_can_be_held() {
    let world = World::new(trip()).await;
    let coordinator = world.coordinator().await;
    let error = world.wishes.ask(&pause("cruise")).await.unwrap_err();
    let WishError::Refused { code, status, .. } = error else { panic!("{error}") };
    assert_eq!((code.as_str(), status), ("unknown_type", 404));
    coordinator.shutdown().await;
}

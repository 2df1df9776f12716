//! Attempts: counted, with pauses between them, seen on the record, and used up.

use std::time::{Duration, Instant};

use saga_core::{Author, Change, Definition, Status, Step, StepState};
use saga_engine::testing::Point;
use serde_json::json;

use super::hold::{Hold, holding};
use super::path::{quick, step};
use super::provider::Standing;
use super::stage::{ALIKE, Stage};
use crate::runtime::world::until;

const CALL: Duration = Duration::from_millis(200);

#[tokio::test]
async fn attempts_are_counted_on_the_record_and_pauses_grow() {
    // Before jitter the pauses are 200, 400 and 800 ms.
    let trip = Definition::new("trip", 1)
        .step(Step::compensable("flight", "airline").timeout_ms(60_000).backoff(200, 800))
        .step(Step::compensable("hotel", "hotels").timeout_ms(60_000).backoff(1, 1));
    let stage = Stage::new(trip).await.abroad("hotels", CALL);
    let services = stage.serve_all().await;
    let input = json!({
        "run": { "flight": ["again", "again", "again"], "hotel": ["later", "later"] },
    });
    let mut waited_ms = 0;
    let ids = stage.start_alike("s", ALIKE, &input).await;
    for id in &ids {
        stage.ended(id, Status::Completed, &["flight", "hotel"], &[]).await;
        let history = stage.world.history(id).await;
        let attempts: Vec<u32> = history.iter().map(|it| it.record.event.attempt).collect();
        assert_eq!(attempts, [1, 4, 3], "{id}");
        assert_eq!(stage.provider.account(id, "hotel").calls, 3, "{id}");
        // A pause that the step asked for itself is kept.
        let hotel_ms = history[2].at_ms - history[1].at_ms;
        assert!(hotel_ms >= 600, "{id}: twice 300 ms, and it took {hotel_ms} ms");
        waited_ms += history[1].at_ms - history[0].at_ms;
    }
    // Half of 1400 ms each, if jitter is fair; a tenth of that cannot be chance.
    let mean_ms = waited_ms / i64::try_from(ALIKE).unwrap();
    assert!(mean_ms >= 200, "three pauses took {mean_ms} ms on average");
    let again = services["airline"].stats().again;
    assert_eq!(again, 3 * u64::try_from(ALIKE).unwrap());
    stage.is_well().await;
}

#[tokio::test]
async fn a_step_whose_attempts_are_used_up_is_given_back() {
    let trip = Definition::new("trip", 1)
        .step(step("flight", "airline").attempts(3))
        .step(step("hotel", "hotels").attempts(2));
    let stage = Stage::new(trip).await.abroad("hotels", CALL);
    let _services = stage.serve_all().await;
    // A local step left nothing; of a call nobody knows.
    let local = json!({ "run": { "flight": ["again", "again", "again"] } });
    let outside = json!({ "run": { "hotel": ["again", "again"] } });
    let local = stage.start_alike("l", ALIKE, &local).await;
    let outside = stage.start_alike("o", ALIKE, &outside).await;
    for id in &local {
        let record = stage.ended(id, Status::RolledBack, &[], &[]).await;
        assert_eq!(record.cause.unwrap().code, "unknown");
        let told = stage.world.told(id).await;
        assert_eq!(told, ["saga started", "flight timedout", "flight undone"]);
        let timed_out = &stage.world.history(id).await[1].record.event;
        assert_eq!((timed_out.attempt, &timed_out.by), (3, &Author::service("airline")));
    }
    for id in &outside {
        stage.ended(id, Status::RolledBack, &["flight"], &["flight", "hotel"]).await;
        let timed_out = &stage.world.history(id).await[2].record.event;
        assert_eq!((timed_out.step.as_str(), timed_out.attempt), ("hotel", 2));
        let found = stage.provider.account(id, "hotel");
        assert_eq!((found.calls, found.cancels, found.made), (2, 1, 0), "{found:?}");
        assert_eq!(found.standing, Standing::Cancelled);
    }
    stage.is_well().await;
}

#[tokio::test]
async fn what_cannot_fail_goes_on_when_its_attempts_are_used_up() {
    let trip = Definition::new("trip", 1)
        .step(quick(Step::pivot("payment", "bank")).attempts(2))
        .step(quick(Step::retriable("papers", "post")).attempts(2));
    let stage = Stage::new(trip).await;
    let _services = stage.serve_all().await;
    let busy = ["again", "again", "again", "again"];
    let input = json!({ "run": { "payment": busy, "papers": busy } });
    for id in &stage.start_alike("s", ALIKE, &input).await {
        stage.ended(id, Status::Completed, &["payment", "papers"], &[]).await;
        let history = stage.world.history(id).await;
        let attempts: Vec<u32> = history.iter().map(|it| it.record.event.attempt).collect();
        assert_eq!(attempts, [1, 5, 5], "{id}: nothing else was told");
    }
    stage.is_well().await;
}

#[tokio::test]
async fn an_undo_whose_attempts_are_used_up_waits_for_a_person() {
    let trip = Definition::new("trip", 1)
        .step(step("flight", "airline").attempts(2))
        .step(step("hotel", "hotels"));
    let stage = Stage::new(trip).await.abroad("airline", CALL);
    let _services = stage.serve_all().await;
    let input = json!({
        "run": { "hotel": ["refused"] },
        "undo": { "flight": ["again", "again", "again"] },
    });
    for id in &stage.start_alike("s", ALIKE, &input).await {
        let record = stage.ended(id, Status::Stuck, &["flight"], &[]).await;
        let stuck = &record.steps["flight"];
        assert_eq!(stuck.by, Some(Author::service("airline")));
        assert_eq!(stuck.reason.as_ref().unwrap().code, "attempts_exhausted");
        assert_eq!(record.event.attempt, 2);
        assert_eq!(stage.provider.account(id, "flight").cancels, 2, "{id}");
        // A nudge is a new trigger: its attempts begin anew.
        stage.wish(id, Change::nudged("flight")).await;
        let record = stage.ended(id, Status::RolledBack, &["flight"], &["flight"]).await;
        assert_eq!(record.steps["flight"].state, StepState::Undone);
        assert_eq!(record.event.attempt, 2);
        assert_eq!(stage.provider.account(id, "flight").cancels, 4, "{id}");
    }
    stage.is_well().await;
}

/// Waits until the messages in hand have been there for twice the consumers' `ack_wait`, and finds
/// that none of them was given out again meanwhile.
async fn assert_kept(stage: &Stage, consumer: &str, count: usize) {
    until(&format!("{consumer} holds {count}"), async || {
        let info = stage.world.consumer(consumer).await;
        (info.num_ack_pending == count, info)
    })
    .await;
    let began = Instant::now();
    until("twice what the server waits", async || {
        let info = stage.world.consumer(consumer).await;
        let is_as_it_was = (info.num_ack_pending, info.num_redelivered) == (count, 0);
        assert!(is_as_it_was, "{info:?}");
        (began.elapsed() >= Duration::from_millis(3_200), info)
    })
    .await;
}

#[tokio::test]
async fn a_call_and_its_undo_that_take_longer_than_the_server_waits_are_made_once() {
    let trip =
        Definition::new("trip", 1).step(step("flight", "airline")).step(step("hotel", "hotels"));
    let stage = Stage::new(trip).await.abroad("airline", Duration::from_secs(30));
    let services = stage.serve_all().await;
    let input = json!({
        "run": { "flight": ["gated"], "hotel": ["refused"] },
        "undo": { "flight": ["gated"] },
    });
    let ids = stage.start_alike("s", ALIKE, &input).await;
    for id in &ids {
        stage.until_called(id, "flight", 1).await;
    }
    assert_kept(&stage, "airline", ALIKE).await;
    stage.provider.open_calls();
    for id in &ids {
        stage.until_told(id, "hotel failed").await;
    }
    assert_kept(&stage, "airline-undo", ALIKE).await;
    stage.provider.open_undos();
    for id in &ids {
        stage.ended(id, Status::RolledBack, &["flight"], &["flight"]).await;
        let history = stage.world.history(id).await;
        assert!(history.iter().all(|it| it.record.event.attempt == 1), "{id}");
        let found = stage.provider.account(id, "flight");
        assert_eq!((found.calls, found.asks, found.cancels), (1, 0, 1), "{found:?}");
    }
    stage.is_well().await;
    assert_eq!(services["airline"].stats().again, 0);
}

#[tokio::test]
async fn a_database_that_takes_longer_than_the_server_waits_is_asked_once() {
    let stage = Stage::new(Definition::new("trip", 1).step(step("flight", "airline"))).await;
    stage.books.close();
    let _services = stage.serve_all().await;
    let ids = stage.start_alike("s", ALIKE, &json!({})).await;
    assert_kept(&stage, "airline", ALIKE).await;
    stage.books.open();
    for id in &ids {
        let record = stage.ended(id, Status::Completed, &["flight"], &[]).await;
        assert_eq!(record.event.attempt, 1, "{id}");
    }
    stage.is_well().await;
    let asked: usize = stage.books.transactions().iter().map(Vec::len).sum();
    assert_eq!(asked, ALIKE);
}

#[tokio::test]
async fn to_wait_for_a_call_that_may_be_under_way_is_no_attempt() {
    let trip = Definition::new("trip", 1)
        .step(step("flight", "airline").attempts(2))
        .step(step("hotel", "hotels"));
    let stage = Stage::new(trip).await.abroad("airline", CALL);
    let hold = Hold::step(Point::BeforeCall);
    let _airline = stage.part("airline", holding(&[&hold])).start().await.unwrap();
    let _hotels = stage.serve("hotels").await;
    let input = json!({ "undo": { "flight": ["again"] } });
    let ids = stage.start_alike("s", ALIKE, &input).await;
    hold.until_held(ALIKE).await;
    for id in &ids {
        stage.wish(id, Change::Cancelled).await;
    }
    // The undo waits for the call, and then has two attempts of its own.
    for id in &ids {
        let record = stage.ended(id, Status::RolledBack, &[], &["flight"]).await;
        assert_eq!(record.event.attempt, 2, "{id}");
        assert_eq!(stage.provider.account(id, "flight").cancels, 2, "{id}");
    }
    hold.let_go();
    stage.is_well().await;
}

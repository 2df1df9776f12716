//! A participant that sleeps through its step's time-out, at every point, and then wakes: no effect
//! of it stays.

use std::time::Duration;

use futures::future::join_all;
use saga_core::barrier::State;
use saga_core::{Author, Change, Definition, Status, StepState};
use saga_engine::testing::Point;
use serde_json::json;

use super::hold::{Hold, holding};
use super::path::step;
use super::provider::Standing;
use super::stage::Stage;

/// Longer than an outside call may be under way, so that its undo need not wait for it.
const TIMEOUT_MS: u64 = 1_500;
const CALL: Duration = Duration::from_millis(100);

fn trip() -> Definition {
    let hasty = |name: &str, service: &str| step(name, service).timeout_ms(TIMEOUT_MS);
    Definition::new("trip", 1).step(hasty("flight", "airline")).step(hasty("hotel", "hotels"))
}

/// Whether the flight stood in the log before the participant fell asleep. Then it is not the flight
/// that times out, but the hotel, which nobody sees to.
fn is_told(point: Point) -> bool {
    matches!(point, Point::AfterAppend | Point::BeforeAck)
}

/// Whether an effect was committed before the participant fell asleep.
fn is_done(point: Point) -> bool {
    is_told(point) || point == Point::AfterEffect
}

async fn assert_nothing_stays(stage: &Stage, point: Point, is_outside: bool) {
    let id = point.name();
    let did: &[&str] = if is_done(point) { &["flight"] } else { &[] };
    // An outside call that may have been made is undone, whether anything happened or not.
    let is_undone = is_done(point) || point == Point::BeforeCall;
    let undid: &[&str] = if is_undone { &["flight"] } else { &[] };
    let record = stage.ended(id, Status::RolledBack, did, undid).await;
    let late = if is_told(point) { "hotel" } else { "flight" };
    let cause = record.cause.unwrap();
    assert_eq!((cause.step.as_str(), cause.code.as_str()), (late, "timeout"), "{id}");
    assert_eq!(record.steps["flight"].state, StepState::Undone, "{id}");
    let told = stage.world.told(id).await;
    let timed_out = format!("{late} timedout");
    let expected: &[&str] = if is_told(point) {
        &["saga started", "flight done", &timed_out, "hotel undone", "flight undone"]
    } else {
        &["saga started", &timed_out, "flight undone"]
    };
    assert_eq!(told, expected, "{id}");
    let row = stage.books.row(id, "flight").unwrap();
    let wanted = if is_undone { State::Undone } else { State::Void };
    assert_eq!(row.state, wanted, "{id}: {row:?}");
    if is_outside {
        let account = stage.provider.account(id, "flight");
        let standing = if is_undone { Standing::Cancelled } else { Standing::Nothing };
        let (made, taken) = (usize::from(is_done(point)), usize::from(is_done(point)));
        assert_eq!(
            (account.standing, account.made, account.taken),
            (standing, made, taken),
            "{id}: {account:?}"
        );
    }
}

async fn wakes_late(is_outside: bool) {
    let mut stage = Stage::new(trip()).await;
    if is_outside {
        stage = stage.abroad("airline", CALL);
    }
    let points: Vec<Point> =
        Point::ALL.into_iter().filter(|&point| is_outside || point != Point::BeforeCall).collect();
    let coordinator = stage.coordinator().await;
    // Each saga is held at a point of its own.
    let holds: Vec<(Point, Hold)> =
        points.iter().map(|&point| (point, Hold::of(point, point.name()))).collect();
    let faults = holding(&holds.iter().map(|(_, hold)| hold).collect::<Vec<_>>());
    let airline = stage.part("airline", faults).start().await.unwrap();
    let hotels = stage.serve("hotels").await;
    hotels.pause();
    stage.idle("hotels").await;
    join_all(points.iter().map(|point| stage.world.start(point.name(), json!({})))).await;
    for (_, hold) in &holds {
        hold.until_held(1).await;
    }
    for &point in &points {
        assert_nothing_stays(&stage, point, is_outside).await;
    }
    let asleep = u64::try_from(points.len()).unwrap();
    assert_eq!(airline.stats().in_hand, asleep, "they sleep through all of it");
    let appended = airline.stats().appended;

    for (_, hold) in &holds {
        hold.let_go();
    }
    hotels.resume();
    stage.is_well().await;
    for &point in &points {
        assert_nothing_stays(&stage, point, is_outside).await;
    }
    let stats = airline.stats();
    assert_eq!((stats.appended, stats.in_hand), (appended, 0), "{stats:?}");
    // One of them had come to its event: somebody else had been faster.
    assert_eq!(stats.conflicts, 1, "{stats:?}");
    // The call itself was made by the one who woke before it, and was turned away.
    let calls = stage.provider.account(Point::BeforeCall.name(), "flight").calls;
    assert_eq!(calls, usize::from(is_outside));
    coordinator.shutdown().await;
}

#[tokio::test]
async fn a_local_step_that_wakes_late_leaves_no_effect() {
    wakes_late(false).await;
}

#[tokio::test]
async fn an_outside_step_that_wakes_late_leaves_no_effect() {
    wakes_late(true).await;
}

#[tokio::test]
async fn an_undo_waits_for_a_call_that_may_be_under_way() {
    let stage = Stage::new(trip()).await.abroad("airline", CALL);
    let hold = Hold::step(Point::BeforeCall);
    let _airline = stage.part("airline", holding(&[&hold])).start().await.unwrap();
    let _hotels = stage.serve("hotels").await;
    stage.world.start("s", json!({})).await;
    hold.until_held(1).await;
    let until_ms = stage.books.row("s", "flight").unwrap().until_ms.unwrap();
    stage.wish("s", Change::Cancelled).await;
    stage.ended("s", Status::RolledBack, &[], &["flight"]).await;
    let history = stage.world.history("s").await;
    let undone = history.last().unwrap();
    assert!(undone.at_ms >= until_ms, "{} ms too early", until_ms - undone.at_ms);
    hold.let_go();
    stage.is_well().await;
    // The call that came after its undo was turned away.
    let account = stage.provider.account("s", "flight");
    assert_eq!((account.calls, account.cancels, account.made), (1, 1, 0), "{account:?}");
    assert_eq!(account.standing, Standing::Cancelled);
}

#[tokio::test]
async fn an_undo_that_sleeps_is_told_of_as_late_and_done_by_whoever_hears_of_it() {
    let stage = Stage::new(trip()).await;
    let hold = Hold::undo(Point::BeforeEffect);
    let airline = stage.part("airline", holding(&[&hold])).start().await.unwrap();
    let _hotels = stage.serve("hotels").await;
    let coordinator = stage.coordinator().await;
    stage.world.start("s", json!({ "run": { "hotel": ["refused"] } })).await;
    hold.until_held(1).await;
    stage.ended("s", Status::RolledBack, &["flight"], &["flight"]).await;
    let told = stage.world.told("s").await;
    assert_eq!(told[3..], ["flight undofailed", "flight undone"]);
    let history = stage.world.history("s").await;
    assert_eq!(history[3].record.event.by, Author::Coordinator);
    assert_eq!(history[3].record.status, Status::Stuck);
    assert_eq!(airline.stats().in_hand, 1, "it still sleeps");
    hold.let_go();
    stage.is_well().await;
    stage.ended("s", Status::RolledBack, &["flight"], &["flight"]).await;
    assert_eq!(airline.stats().appended, 2, "one `done`, one `undone`");
    coordinator.shutdown().await;
}

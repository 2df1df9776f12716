//! Undos that come before their step, steps that come after their undo, and conflicts that are
//! lost to a cancel.

use std::time::Duration;

use saga_core::barrier::State;
use saga_core::{Change, Definition, Status, StepState};
use saga_engine::testing::Point;
use serde_json::json;

use super::hold::{Hold, holding};
use super::path::step;
use super::stage::{ALIKE, Stage};

fn trip() -> Definition {
    Definition::new("trip", 1).step(step("flight", "airline")).step(step("hotel", "hotels"))
}

/// What an undo leaves that found nothing of its step.
async fn assert_void(stage: &Stage, id: &str) {
    stage.ended(id, Status::RolledBack, &[], &[]).await;
    let told = stage.world.told(id).await;
    assert_eq!(told, ["saga started", "saga cancelled", "flight undone"]);
    assert_eq!(stage.books.row(id, "flight").unwrap().state, State::Void);
}

#[tokio::test]
async fn an_undo_that_overtakes_its_step_leaves_it_without_an_effect() {
    let stage = Stage::new(trip()).await;
    let hold = Hold::step(Point::BeforeEffect);
    let airline = stage.part("airline", holding(&[&hold])).start().await.unwrap();
    let _hotels = stage.serve("hotels").await;
    let ids = stage.start_alike("s", ALIKE, &json!({})).await;
    hold.until_held(ALIKE).await;
    for id in &ids {
        stage.wish(id, Change::Cancelled).await;
        assert_void(&stage, id).await;
    }
    assert_eq!(airline.stats().in_hand, u64::try_from(ALIKE).unwrap(), "they still stand there");
    hold.let_go();
    stage.is_well().await;
    for id in &ids {
        assert_void(&stage, id).await;
    }
    assert_eq!(airline.stats().appended, u64::try_from(ALIKE).unwrap(), "the undos alone");
}

#[tokio::test]
async fn a_step_that_is_delivered_after_its_undo_has_no_effect() {
    let stage = Stage::new(trip()).await;
    let airline = stage.serve("airline").await;
    let _hotels = stage.serve("hotels").await;
    // Nothing new is taken up, so that the message that asks for the step waits at the server.
    airline.pause();
    stage.idle("airline").await;
    let ids = stage.start_alike("s", ALIKE, &json!({})).await;
    for id in &ids {
        stage.wish(id, Change::Cancelled).await;
        assert_void(&stage, id).await;
    }
    let waiting = stage.world.consumer("airline").await;
    assert_eq!(waiting.num_pending, u64::try_from(ALIKE).unwrap(), "{waiting:?}");
    airline.resume();
    stage.is_well().await;
    for id in &ids {
        assert_void(&stage, id).await;
    }
    assert_eq!(airline.stats().appended, u64::try_from(ALIKE).unwrap(), "the undos alone");
}

#[tokio::test]
async fn what_lost_to_a_cancel_is_undone_also_when_the_undo_comes_first() {
    let stage = Stage::new(trip()).await;
    let hold = Hold::step(Point::AfterEffect);
    let airline = stage.part("airline", holding(&[&hold])).start().await.unwrap();
    let _hotels = stage.serve("hotels").await;
    let ids = stage.start_alike("s", ALIKE, &json!({})).await;
    hold.until_held(ALIKE).await;
    for id in &ids {
        stage.wish(id, Change::Cancelled).await;
        let record = stage.ended(id, Status::RolledBack, &["flight"], &["flight"]).await;
        assert_eq!(record.state("flight"), Some(StepState::Undone));
    }
    assert_eq!(airline.stats().conflicts, 0);
    hold.let_go();
    stage.is_well().await;
    assert_eq!(airline.stats().conflicts, u64::try_from(ALIKE).unwrap(), "each `done` came late");
    for id in &ids {
        stage.ended(id, Status::RolledBack, &["flight"], &["flight"]).await;
        assert_eq!(
            stage.world.told(id).await.len(),
            3,
            "nothing was told of the flight but its undo"
        );
    }
}

#[tokio::test]
async fn what_lost_to_a_cancel_leaves_the_rest_to_the_undo() {
    let stage = Stage::new(trip()).await;
    let (step, undo) = (Hold::step(Point::AfterEffect), Hold::undo(Point::BeforeEffect));
    let airline = stage.part("airline", holding(&[&step, &undo])).start().await.unwrap();
    let _hotels = stage.serve("hotels").await;
    let ids = stage.start_alike("s", ALIKE, &json!({})).await;
    step.until_held(ALIKE).await;
    for id in &ids {
        stage.wish(id, Change::Cancelled).await;
    }
    undo.until_held(ALIKE).await;
    step.let_go();
    // The messages that asked for the step are over: nothing of it was told, and it stands.
    stage.world.drained("airline").await;
    assert_eq!(airline.stats().conflicts, u64::try_from(ALIKE).unwrap());
    for id in &ids {
        let record = stage.ended(id, Status::RollingBack, &["flight"], &[]).await;
        assert_eq!(record.state("flight"), Some(StepState::Unsettled));
    }
    undo.let_go();
    for id in &ids {
        stage.ended(id, Status::RolledBack, &["flight"], &["flight"]).await;
    }
    stage.is_well().await;
}

#[tokio::test]
async fn a_branch_in_the_middle_when_its_sibling_is_refused_is_settled_by_its_undo() {
    let trip = Definition::new("trip", 1)
        .step(step("flight", "airline"))
        .step(step("hotel", "hotels").after(&["flight"]))
        .step(step("car", "cars").after(&["flight"]));
    let stage = Stage::new(trip).await;
    let (before, after) = (Hold::step(Point::BeforeEffect), Hold::step(Point::AfterEffect));
    let _airline = stage.serve("airline").await;
    let cars = stage.part("cars", holding(&[&before])).start().await.unwrap();
    let refused = json!({ "run": { "hotel": ["refused"] } });
    let early = stage.start_alike("e", ALIKE, &refused).await;
    before.until_held(ALIKE).await;
    let hotels = stage.serve("hotels").await;
    for id in &early {
        stage.ended(id, Status::RolledBack, &["flight"], &["flight"]).await;
    }
    before.let_go();
    stage.is_well().await;
    assert_eq!(cars.shutdown(Duration::from_secs(5)).await, 0);
    assert_eq!(hotels.shutdown(Duration::from_secs(5)).await, 0);

    // The other way round: the car is there already when the hotel refuses.
    let cars = stage.part("cars", holding(&[&after])).start().await.unwrap();
    let late = stage.start_alike("l", ALIKE, &refused).await;
    after.until_held(ALIKE).await;
    let _hotels = stage.serve("hotels").await;
    let both = ["flight", "car"];
    for id in &late {
        stage.ended(id, Status::RolledBack, &both, &both).await;
    }
    after.let_go();
    stage.is_well().await;
    for (id, did) in early.iter().map(|id| (id, 1)).chain(late.iter().map(|id| (id, 2))) {
        stage.ended(id, Status::RolledBack, &both[..did], &both[..did]).await;
    }
    assert_eq!(cars.stats().conflicts, u64::try_from(ALIKE).unwrap());
}

#[tokio::test]
async fn a_step_that_was_skipped_while_it_was_in_hand_has_no_effect() {
    let stage = Stage::new(trip()).await;
    let hold = Hold::step(Point::BeforeEffect);
    let _airline = stage.part("airline", holding(&[&hold])).start().await.unwrap();
    let _hotels = stage.serve("hotels").await;
    let ids = stage.start_alike("s", ALIKE, &json!({})).await;
    hold.until_held(ALIKE).await;
    for id in &ids {
        stage.wish(id, Change::skipped("flight", json!({ "of": "a train" }))).await;
    }
    stage.world.drained("airline-skipped").await;
    hold.let_go();
    for id in &ids {
        let record = stage.ended(id, Status::Completed, &["hotel"], &[]).await;
        assert_eq!(record.output("flight").unwrap()["of"], "a train");
    }
    stage.is_well().await;
    for id in &ids {
        stage.ended(id, Status::Completed, &["hotel"], &[]).await;
        assert_eq!(stage.books.row(id, "flight").unwrap().state, State::Void);
    }
}

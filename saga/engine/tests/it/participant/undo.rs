//! The way back, when nobody is in anybody's way.

use saga_core::barrier::State;
use saga_core::{Author, Change, Definition, Status, Step, StepState};
use serde_json::json;

use super::path::step;
use super::stage::{ALIKE, Stage};
use crate::runtime::books::Entry;

/// A flight, then a hotel and a car side by side, then a bill.
fn diamond() -> Definition {
    Definition::new("trip", 1)
        .step(step("flight", "airline"))
        .step(step("hotel", "hotels").after(&["flight"]))
        .step(step("car", "hotels").after(&["flight"]))
        .step(step("bill", "bank").after(&["hotel", "car"]))
}

#[tokio::test]
async fn a_sequence_is_undone_in_reverse() {
    let trip = Definition::new("trip", 1)
        .step(step("flight", "airline"))
        .step(step("hotel", "hotels"))
        .step(step("car", "cars"))
        .step(Step::pivot("payment", "bank").timeout_ms(60_000));
    let stage = Stage::new(trip).await;
    let _services = stage.serve_all().await;
    let input = json!({ "run": { "payment": ["refused"] } });
    let all = ["flight", "hotel", "car"];
    for id in &stage.start_alike("s", ALIKE, &input).await {
        let record = stage.ended(id, Status::RolledBack, &all, &all).await;
        let told = stage.world.told(id).await;
        assert_eq!(told[4..], ["payment failed", "car undone", "hotel undone", "flight undone"]);
        let of = |step: &str, entry| (step.to_owned(), entry);
        let back = ["car", "hotel", "flight"].map(|step| of(step, Entry::Undid));
        assert_eq!(stage.books.of(id)[3..], back);
        assert_eq!(record.cause.unwrap().step, "payment");
    }
    stage.is_well().await;
}

#[tokio::test]
async fn both_branches_are_undone_before_what_they_build_on() {
    let stage = Stage::new(diamond()).await;
    let services = stage.serve_all().await;
    let input = json!({ "run": { "bill": ["refused"] } });
    let did = ["flight", "hotel", "car"];
    for id in &stage.start_alike("s", ALIKE, &input).await {
        stage.ended(id, Status::RolledBack, &did, &did).await;
        let told = stage.world.told(id).await;
        assert_eq!((told.len(), told[4].as_str()), (8, "bill failed"), "{told:?}");
        assert_eq!(told[7], "flight undone");
    }
    stage.is_well().await;
    // Two runs and two undos of one service each come with one message and meet on one record.
    let stats = services["hotels"].stats();
    assert_eq!(stats.appended, 4 * u64::try_from(ALIKE).unwrap(), "{stats:?}");
}

#[tokio::test]
async fn an_undo_is_tried_until_it_works_and_its_attempts_are_counted() {
    let stage = Stage::new(diamond()).await;
    let services = stage.serve_all().await;
    let input = json!({
        "run": { "bill": ["refused"] },
        "undo": { "flight": ["again", "again"] },
    });
    let did = ["flight", "hotel", "car"];
    for id in &stage.start_alike("s", ALIKE, &input).await {
        let record = stage.ended(id, Status::RolledBack, &did, &did).await;
        assert_eq!(record.event.attempt, 3, "{:?}", record.event);
    }
    assert_eq!(services["airline"].stats().again, 2 * u64::try_from(ALIKE).unwrap());
    stage.is_well().await;
}

#[tokio::test]
async fn an_undo_that_was_given_up_waits_for_a_person_while_other_branches_go_back() {
    let stage = Stage::new(diamond()).await;
    let _services = stage.serve_all().await;
    let input = json!({ "run": { "bill": ["refused"] }, "stubborn": "hotel" });
    let ids = stage.start_alike("s", ALIKE, &input).await;
    let did = ["flight", "hotel", "car"];
    for id in &ids {
        stage.until_told(id, "car undone").await;
        let record = stage.ended(id, Status::Stuck, &did, &["car"]).await;
        let hotel = &record.steps["hotel"];
        assert_eq!(hotel.state, StepState::Undofailed);
        assert_eq!(hotel.by, Some(Author::service("hotels")));
        assert_eq!(hotel.reason.as_ref().unwrap().code, "stubborn");
        assert_eq!(record.state("flight"), Some(StepState::Done), "it waits for the hotel");
    }
    let (nudged, settled) = ids.split_at(ALIKE / 2);
    for id in settled {
        stage.wish(id, Change::settled("hotel", false)).await;
        // Done by hand: the service does not do it a second time.
        stage.ended(id, Status::RolledBack, &did, &["car", "flight"]).await;
    }
    // A nudge before anything is better changes nothing: it is given up once more.
    stage.wish(&nudged[0], Change::nudged("hotel")).await;
    stage.until_events(&nudged[0], 9).await;
    stage.ended(&nudged[0], Status::Stuck, &did, &["car"]).await;
    stage.acts.heal();
    for id in nudged {
        stage.wish(id, Change::nudged("hotel")).await;
        stage.ended(id, Status::RolledBack, &did, &did).await;
    }
    stage.is_well().await;
    for id in settled {
        let row = stage.books.row(id, "hotel").unwrap();
        assert_eq!(row.state, State::Undone, "{id}: closed by the service: {row:?}");
        stage.ended(id, Status::RolledBack, &did, &["car", "flight"]).await;
    }
}

//! The way forward: every shape of graph and every kind of step.

use saga_core::definition::Test;
use saga_core::{Definition, Status, Step, StepState};
use serde_json::{Value, json};

use super::stage::{ALIKE, Stage, refusal};
use crate::runtime::books::Entry;

/// A step that can be undone, with short pauses.
pub(super) fn step(name: &str, service: &str) -> Step {
    quick(Step::compensable(name, service))
}

/// A step with short pauses that nobody is late with.
pub(super) fn quick(step: Step) -> Step {
    step.timeout_ms(60_000).backoff(10, 50)
}

/// Plays sagas until each is completed with these effects.
async fn completes(stage: &Stage, input: &Value, did: &[&str]) -> Vec<String> {
    let ids = stage.start_alike("s", ALIKE, input).await;
    for id in &ids {
        stage.ended(id, Status::Completed, did, &[]).await;
    }
    stage.is_well().await;
    ids
}

#[tokio::test]
async fn a_sequence_runs_in_its_order() {
    let trip = Definition::new("trip", 1)
        .step(step("flight", "airline"))
        .step(step("hotel", "hotels"))
        .step(step("car", "cars"));
    let stage = Stage::new(trip).await;
    let services = stage.serve_all().await;
    for id in completes(&stage, &json!({}), &["flight", "hotel", "car"]).await {
        let told = stage.world.told(&id).await;
        assert_eq!(told, ["saga started", "flight done", "hotel done", "car done"]);
        let did = |step: &str| (step.to_owned(), Entry::Did);
        assert_eq!(stage.books.of(&id), [did("flight"), did("hotel"), did("car")]);
        let record = stage.world.get(&id).await.unwrap();
        assert_eq!(record.output("car").unwrap()["saw"], json!(["flight", "hotel"]));
    }
    for (service, handle) in services {
        let stats = handle.stats();
        let alike = u64::try_from(ALIKE).unwrap();
        assert_eq!((stats.appended, stats.conflicts), (alike, 0), "{service}: {stats:?}");
    }
}

#[tokio::test]
async fn branches_that_never_meet_again_all_come_to_their_ends() {
    let trip = Definition::new("trip", 1)
        .step(step("flight", "airline"))
        .step(step("hotel", "hotels").after(&["flight"]))
        .step(step("breakfast", "kitchen"))
        .step(step("car", "cars").after(&["flight"]));
    let stage = Stage::new(trip).await;
    let _services = stage.serve_all().await;
    for id in completes(&stage, &json!({}), &["flight", "hotel", "breakfast", "car"]).await {
        let told = stage.world.told(&id).await;
        assert_eq!(told.len(), 5, "each step is told of once: {told:?}");
        let record = stage.world.get(&id).await.unwrap();
        let saw = &record.output("breakfast").unwrap()["saw"];
        assert!(saw.as_array().unwrap().contains(&json!("hotel")), "{saw}");
    }
}

#[tokio::test]
async fn a_join_runs_once_and_sees_what_both_branches_put_out() {
    let trip = Definition::new("trip", 1)
        .step(step("flight", "airline"))
        .step(step("hotel", "hotels").after(&["flight"]))
        .step(step("car", "cars").after(&["flight"]))
        .step(quick(Step::retriable("papers", "post")).after(&["hotel", "car"]));
    let stage = Stage::new(trip).await;
    let services = stage.serve_all().await;
    for id in completes(&stage, &json!({}), &["flight", "hotel", "car", "papers"]).await {
        let told = stage.world.told(&id).await;
        assert_eq!(told.len(), 5, "each step is told of once: {told:?}");
        assert_eq!(told.last().unwrap(), "papers done");
        let record = stage.world.get(&id).await.unwrap();
        assert_eq!(record.output("papers").unwrap()["saw"], json!(["car", "flight", "hotel"]));
    }
    assert_eq!(services["post"].stats().appended, u64::try_from(ALIKE).unwrap());
}

#[tokio::test]
async fn two_branches_of_one_service_come_with_one_message_and_are_both_run() {
    let trip = Definition::new("trip", 1)
        .step(step("plan", "agency"))
        .step(step("hotel", "twins").after(&["plan"]))
        .step(step("car", "twins").after(&["plan"]))
        .step(step("bill", "twins").after(&["hotel", "car"]));
    let stage = Stage::new(trip).await;
    let services = stage.serve_all().await;
    for id in completes(&stage, &json!({}), &["plan", "hotel", "car", "bill"]).await {
        assert_eq!(stage.world.told(&id).await.len(), 5);
    }
    let stats = services["twins"].stats();
    // Both are put on the same record, so one of them is always put again on what it finds.
    let alike = u64::try_from(ALIKE).unwrap();
    assert_eq!(stats.appended, 3 * alike, "{stats:?}");
    assert!(stats.conflicts >= alike, "{stats:?}");
}

#[tokio::test]
async fn after_a_pivot_there_is_only_forward() {
    let trip = Definition::new("trip", 1)
        .step(step("flight", "airline"))
        .step(quick(Step::pivot("payment", "bank")))
        .step(quick(Step::retriable("papers", "post")));
    let stage = Stage::new(trip).await;
    let _services = [stage.serve("airline").await, stage.serve("bank").await];
    let ids = stage.start_alike("s", ALIKE, &json!({})).await;
    let refused = json!({ "run": { "payment": ["refused"] } });
    let refused = stage.start_alike("r", ALIKE, &refused).await;
    let coordinator = stage.coordinator().await;
    for id in &ids {
        stage.until_told(id, "payment done").await;
        assert_eq!(refusal(stage.cancel(id).await), "too_late");
    }
    let _post = stage.serve("post").await;
    for id in &ids {
        stage.ended(id, Status::Completed, &["flight", "payment", "papers"], &[]).await;
        assert_eq!(refusal(stage.cancel(id).await), "wrong_status");
    }
    for id in &refused {
        // A pivot that was refused has no effect; what came before it is undone.
        let record = stage.ended(id, Status::RolledBack, &["flight"], &["flight"]).await;
        assert_eq!(record.state("payment"), Some(StepState::Failed));
        assert_eq!(record.cause.unwrap().code, "full");
    }
    stage.is_well().await;
    coordinator.shutdown().await;
}

#[tokio::test]
async fn a_retriable_step_is_tried_until_it_works() {
    let trip = Definition::new("trip", 1)
        .step(step("flight", "airline"))
        .step(quick(Step::retriable("papers", "post")));
    let stage = Stage::new(trip).await;
    let services = stage.serve_all().await;
    // It must not refuse, and a panic is no end either.
    let input = json!({ "run": { "papers": ["again", "refused", "panic", "again"] } });
    for id in completes(&stage, &input, &["flight", "papers"]).await {
        let told = stage.world.told(&id).await;
        assert_eq!(told, ["saga started", "flight done", "papers done"]);
        let record = stage.world.get(&id).await.unwrap();
        assert_eq!(record.event.attempt, 5, "{:?}", record.event);
    }
    let stats = services["post"].stats();
    assert_eq!(stats.again, 4 * u64::try_from(ALIKE).unwrap(), "{stats:?}");
}

#[tokio::test]
async fn a_step_whose_condition_does_not_hold_is_left_out_and_its_successor_runs() {
    let trip = Definition::new("trip", 1)
        .step(step("flight", "airline"))
        .step(step("hotel", "hotels").when("/input/nights", Test::Exists(true)))
        .step(step("car", "cars").when("/steps/flight/output/of", Test::Equals(json!("train"))))
        .step(step("bill", "agency"));
    let stage = Stage::new(trip).await;
    let services = stage.serve_all().await;
    for id in completes(&stage, &json!({}), &["flight", "bill"]).await {
        // Whoever made them ready left them out, in the same event.
        let told = stage.world.told(&id).await;
        assert_eq!(told, ["saga started", "flight done", "bill done"]);
        let record = stage.world.get(&id).await.unwrap();
        let omitted = Some(StepState::Omitted);
        assert_eq!((record.state("hotel"), record.state("car")), (omitted, omitted));
    }
    let long = stage.start_alike("t", ALIKE, &json!({ "nights": 2 })).await;
    for id in &long {
        stage.ended(id, Status::Completed, &["flight", "hotel", "bill"], &[]).await;
    }
    // What was left out is not undone either.
    let back = json!({ "nights": 2, "run": { "bill": ["refused"] } });
    for id in &stage.start_alike("u", ALIKE, &back).await {
        let both = ["flight", "hotel"];
        let record = stage.ended(id, Status::RolledBack, &both, &both).await;
        assert_eq!(record.state("car"), Some(StepState::Omitted));
    }
    stage.is_well().await;
    assert_eq!(services["cars"].stats().appended, 0);
}

#[tokio::test]
async fn a_timer_is_waited_for_and_is_never_early() {
    let trip = Definition::new("trip", 1)
        .step(step("flight", "airline"))
        .step(Step::timer("cool-off", 300))
        .step(step("hotel", "hotels"));
    let stage = Stage::new(trip).await;
    let _services = stage.serve_all().await;
    let coordinator = stage.coordinator().await;
    for id in completes(&stage, &json!({}), &["flight", "hotel"]).await {
        let told = stage.world.told(&id).await;
        assert_eq!(told, ["saga started", "flight done", "cool-off done", "hotel done"]);
        let history = stage.world.history(&id).await;
        let waited = history[2].at_ms - history[1].at_ms;
        assert!(waited >= 300, "{id} waited {waited} ms");
    }
    coordinator.shutdown().await;
}

#[tokio::test]
async fn a_signal_is_waited_for_and_what_it_says_is_seen() {
    let trip = Definition::new("trip", 1)
        .step(step("flight", "airline"))
        .step(Step::signal("approval"))
        .step(step("hotel", "hotels").when("/steps/approval/output/nights", Test::Exists(true)));
    let stage = Stage::new(trip).await;
    let coordinator = stage.coordinator().await;
    let ids = stage.start_alike("s", ALIKE, &json!({})).await;
    let early = stage.signal(&ids[0], "approval", json!({ "nights": 9 })).await;
    assert_eq!(refusal(early), "step_not_ready", "nobody has seen to the flight");
    let services = stage.serve_all().await;
    for (number, id) in ids.iter().enumerate() {
        stage.until_told(id, "flight done").await;
        let says = if number % 2 == 0 { json!({ "nights": 1 }) } else { json!({}) };
        stage.signal(id, "approval", says).await.unwrap();
    }
    for (number, id) in ids.iter().enumerate() {
        let did: &[&str] = if number % 2 == 0 { &["flight", "hotel"] } else { &["flight"] };
        stage.ended(id, Status::Completed, did, &[]).await;
    }
    stage.is_well().await;
    // The hotel is asked only where the signal says so, and not before it came.
    assert_eq!(services["hotels"].stats().appended, u64::try_from(ALIKE / 2).unwrap());
    coordinator.shutdown().await;
}

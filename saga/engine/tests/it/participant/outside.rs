//! Calls outside the database: what is not known is asked, and never done twice.

use std::time::Duration;

use saga_core::barrier::State;
use saga_core::{Author, Definition, Status, Step, StepState};
use serde_json::{Value, json};

use super::path::{quick, step};
use super::provider::{Account, Standing};
use super::stage::{ALIKE, Stage};

const CALL: Duration = Duration::from_millis(200);

/// A flight that is called for, then a hotel.
async fn stage() -> Stage {
    let trip = Definition::new("trip", 1)
        .step(step("flight", "airline"))
        .step(quick(Step::retriable("papers", "post")));
    Stage::new(trip).await.abroad("airline", CALL)
}

/// What the provider knows of a flight that was called for, asked about and cancelled so often.
fn account(standing: Standing, calls: usize, asks: usize, cancels: usize) -> Account {
    let made = usize::from(matches!(standing, Standing::Stands));
    Account { standing, calls, asks, cancels, made, taken: 0 }
}

/// How the flight was told of: the words of its events, and the attempt of the first.
async fn flight(stage: &Stage, id: &str) -> (Vec<String>, u32) {
    let history = stage.world.history(id).await;
    let told = stage.world.told(id).await;
    (told, history[1].record.event.attempt)
}

#[tokio::test]
async fn an_answer_that_was_lost_is_asked_for_and_the_call_is_not_made_again() {
    let stage = stage().await;
    let services = stage.serve_all().await;
    // The connection breaks, no answer comes in time, the answer cannot be borne.
    for word in ["lost", "silent", "panic"] {
        let input = json!({ "run": { "flight": [word] } });
        for id in &stage.start_alike(word, ALIKE, &input).await {
            stage.ended(id, Status::Completed, &["flight", "papers"], &[]).await;
            let told = ["saga started", "flight done", "papers done"].map(str::to_owned);
            assert_eq!(flight(&stage, id).await, (told.to_vec(), 1), "{id}");
            let found = stage.provider.account(id, "flight");
            assert_eq!(found, account(Standing::Stands, 1, 1, 0), "{id}");
        }
    }
    stage.is_well().await;
    let stats = services["airline"].stats();
    assert_eq!(stats.panicked, 2 * u64::try_from(ALIKE).unwrap(), "{stats:?}");
}

#[tokio::test]
async fn a_call_that_never_arrived_is_made_again() {
    let stage = stage().await;
    let _services = stage.serve_all().await;
    let input = json!({ "run": { "flight": ["unsent", "unsent"] } });
    for id in &stage.start_alike("s", ALIKE, &input).await {
        stage.ended(id, Status::Completed, &["flight", "papers"], &[]).await;
        assert_eq!(flight(&stage, id).await.1, 3, "{id}");
        let found = stage.provider.account(id, "flight");
        assert_eq!(found, account(Standing::Stands, 3, 2, 0), "{id}");
    }
    stage.is_well().await;
}

#[tokio::test]
async fn a_refusal_that_was_lost_is_found_out() {
    let stage = stage().await;
    let _services = stage.serve_all().await;
    let input = json!({ "run": { "flight": ["declined"] } });
    for id in &stage.start_alike("s", ALIKE, &input).await {
        let record = stage.ended(id, Status::RolledBack, &[], &[]).await;
        assert_eq!(record.cause.unwrap().code, "declined");
        let told = flight(&stage, id).await.0;
        assert_eq!(told, ["saga started", "flight failed"]);
        let found = stage.provider.account(id, "flight");
        assert_eq!(found, account(Standing::Declined, 1, 1, 0), "{id}");
    }
    stage.is_well().await;
}

#[tokio::test]
async fn what_nobody_can_tell_is_settled_by_the_undo() {
    let stage = stage().await;
    let _services = stage.serve_all().await;
    // It happened, or it never arrived: the undo takes it away by its id in any case.
    for (word, made) in [("silent", 1), ("unsent", 0)] {
        let input = json!({ "run": { "flight": [word] }, "ask": { "flight": ["unknown"] } });
        for id in &stage.start_alike(word, ALIKE, &input).await {
            let record = stage.ended(id, Status::RolledBack, &[], &["flight"]).await;
            let cause = record.cause.unwrap();
            assert_eq!((cause.step.as_str(), cause.code.as_str()), ("flight", "unknown"));
            let told = flight(&stage, id).await.0;
            assert_eq!(told, ["saga started", "flight timedout", "flight undone"]);
            let wanted = account(Standing::Cancelled, 1, 1, 1);
            let found = stage.provider.account(id, "flight");
            assert_eq!(found, Account { made, taken: made, ..wanted }, "{id}");
            assert_eq!(stage.books.row(id, "flight").unwrap().state, State::Undone);
        }
    }
    stage.is_well().await;
}

#[tokio::test]
async fn a_pivot_is_asked_about_until_it_is_known() {
    let trip = Definition::new("trip", 1)
        .step(step("flight", "airline"))
        .step(quick(Step::pivot("payment", "bank")));
    let stage = Stage::new(trip).await.abroad("bank", CALL);
    let _services = stage.serve_all().await;
    let input = |word: &str| {
        json!({
            "run": { "payment": [word] },
            "ask": { "payment": ["unknown", "unknown", "unknown"] },
        })
    };
    for (word, status) in [("lost", Status::Completed), ("declined", Status::RolledBack)] {
        for id in &stage.start_alike(word, ALIKE, &input(word)).await {
            let (did, undid): (&[&str], &[&str]) = match status {
                Status::Completed => (&["flight", "payment"], &[]),
                _ => (&["flight"], &["flight"]),
            };
            stage.ended(id, status, did, undid).await;
            let told = stage.world.told(id).await;
            assert!(!told.contains(&"payment timedout".to_owned()), "{id}: {told:?}");
            let found = stage.provider.account(id, "payment");
            assert_eq!((found.calls, found.asks, found.cancels), (1, 4, 0), "{id}");
        }
    }
    stage.is_well().await;
}

#[tokio::test]
async fn a_retriable_step_of_which_nothing_can_be_told_is_called_again_under_its_id() {
    let trip = Definition::new("trip", 1)
        .step(step("flight", "airline"))
        .step(quick(Step::retriable("papers", "post")));
    let stage = Stage::new(trip).await.abroad("post", CALL);
    let _services = stage.serve_all().await;
    let input = json!({
        "run": { "papers": ["lost"] },
        "ask": { "papers": ["unknown", "unknown", "unknown", "unknown"] },
    });
    for id in &stage.start_alike("s", ALIKE, &input).await {
        stage.ended(id, Status::Completed, &["flight", "papers"], &[]).await;
        let found = stage.provider.account(id, "papers");
        assert_eq!((found.calls, found.asks, found.made), (2, 2, 1), "{id}");
    }
    stage.is_well().await;
}

#[tokio::test]
async fn an_undo_whose_answer_was_lost_is_repeated_under_its_id() {
    let stage = stage().await;
    let _services = stage.serve_all().await;
    let input = json!({
        "run": { "flight": ["lost"] },
        "ask": { "flight": ["unknown"] },
        "undo": { "flight": ["again", "lost", "lost"] },
    });
    for id in &stage.start_alike("s", ALIKE, &input).await {
        let record = stage.ended(id, Status::RolledBack, &[], &["flight"]).await;
        assert_eq!(record.event.by, Author::service("airline"));
        let found = stage.provider.account(id, "flight");
        assert_eq!((found.cancels, found.made, found.taken), (4, 1, 1), "{id}: {found:?}");
    }
    stage.is_well().await;
}

#[tokio::test]
async fn a_call_in_the_middle_of_which_a_process_died_is_asked_about_by_the_next() {
    let trip = Definition::new("trip", 1)
        .step(step("flight", "airline"))
        .step(quick(Step::retriable("papers", "post")));
    let stage = Stage::new(trip).await.abroad("airline", Duration::from_secs(1));
    let (first, _post) = (stage.serve("airline").await, stage.serve("post").await);
    // One has called and waits for the answer for ever; of the other nothing has arrived.
    let sent = stage.start_alike("s", ALIKE, &input("silent")).await;
    let unsent = stage.start_alike("u", ALIKE, &input("gated")).await;
    for id in sent.iter().chain(&unsent) {
        stage.until_called(id, "flight", 1).await;
    }
    drop(first);
    let second = stage.serve("airline").await;
    for id in &sent {
        stage.ended(id, Status::Completed, &["flight", "papers"], &[]).await;
        let found = stage.provider.account(id, "flight");
        assert_eq!(found, account(Standing::Stands, 1, 1, 0), "{id}");
    }
    for id in &unsent {
        let record = stage.ended(id, Status::Completed, &["flight", "papers"], &[]).await;
        assert_eq!(record.state("flight"), Some(StepState::Done));
        let found = stage.provider.account(id, "flight");
        assert_eq!(found, account(Standing::Stands, 2, 1, 0), "{id}");
    }
    stage.is_well().await;
    assert_eq!(second.stats().appended, 2 * u64::try_from(ALIKE).unwrap());
}

fn input(word: &str) -> Value {
    json!({ "run": { "flight": [word] } })
}

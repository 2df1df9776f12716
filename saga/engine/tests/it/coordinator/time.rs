//! Time-outs, deadlines, timers.

use saga_core::{Author, Change, Definition, Status, Step};
use saga_engine::wishes::AlarmKind;
use serde_json::json;

use super::world::{LATE_MS, World, between, hasty_trip, until};

#[tokio::test]
async fn a_step_that_nobody_answers_is_timed_out_and_never_early() {
    let world = World::new(hasty_trip()).await;
    let coordinator = world.coordinator().await;
    world.start("a").await;
    let history = world.until_told("a", "flight.timedout.rolling_back").await;
    let waited = between(&history[0], &history[1]);
    assert!(waited >= i64::try_from(LATE_MS).unwrap(), "{waited} ms");
    let record = &history[1].record;
    assert_eq!(record.cause.as_ref().unwrap().code, "timeout");
    assert_eq!(record.event.by, Author::Coordinator);
    // Its outcome is unknown, so its service undoes it.
    assert_eq!(world.undone("a", "flight").await.record.status, Status::RolledBack);
    coordinator.shutdown().await;
}

#[tokio::test]
async fn a_saga_past_its_deadline_is_expired() {
    let definition = Definition::new("trip", 1)
        .deadline_ms(500)
        .step(Step::compensable("flight", "air").timeout_ms(500))
        .step(Step::compensable("hotel", "inn").timeout_ms(500));
    let world = World::new(definition).await;
    let coordinator = world.coordinator().await;
    let started = world.start("a").await;
    // The step after it began later than the saga, so the deadline comes first.
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    world.done("a", "flight").await;
    let history = world.until_told("a", "saga.expired.rolling_back").await;
    let expired = history.last().unwrap();
    assert!(expired.at_ms - history[0].at_ms >= 500, "started {started:?}, expired {expired:?}");
    assert_eq!(expired.record.cause.as_ref().unwrap().code, "expired");
    coordinator.shutdown().await;
}

#[tokio::test]
async fn a_timer_step_is_done_when_its_delay_has_passed() {
    let definition = Definition::new("trip", 1)
        .step(Step::timer("cool-off", 300))
        .step(Step::compensable("flight", "air").timeout_ms(30_000));
    let world = World::new(definition).await;
    let coordinator = world.coordinator().await;
    world.start("a").await;
    let history = world.until_told("a", "cool-off.done.running").await;
    let waited = between(&history[0], &history[1]);
    assert!(waited >= 300, "{waited} ms");
    assert_eq!(world.done("a", "flight").await.record.status, Status::Completed);
    coordinator.shutdown().await;
}

#[tokio::test]
async fn a_signal_that_does_not_come_times_out() {
    let definition = Definition::new("trip", 1)
        .step(Step::compensable("flight", "air").timeout_ms(30_000))
        .step(Step::signal("approval").timeout_ms(300));
    let world = World::new(definition).await;
    let coordinator = world.coordinator().await;
    world.start("a").await;
    world.done("a", "flight").await;
    let history = world.until_told("a", "approval.timedout.rolling_back").await;
    assert!(between(&history[1], &history[2]) >= 300);
    // The signal has no effect; the flight has.
    assert_eq!(world.undone("a", "flight").await.record.status, Status::RolledBack);
    coordinator.shutdown().await;
}

#[tokio::test]
async fn a_late_undo_is_an_alarm_in_the_log_and_the_service_may_still_come() {
    let world = World::new(hasty_trip()).await;
    let coordinator = world.coordinator().await;
    world.start("a").await;
    let refused = Change::failed("flight", "full", "no seat");
    // Nothing to undo: it ends at once. So fail one later, with the flight done.
    world.act("a", Author::service("air"), refused).await;
    world.start("b").await;
    world.done("b", "flight").await;
    let refused = Change::failed("hotel", "full", "no room");
    world.act("b", Author::service("inn"), refused).await;
    let history = world.until_told("b", "flight.undofailed.stuck").await;
    assert!(between(&history[2], &history[3]) >= i64::try_from(LATE_MS).unwrap());
    until("the alarm", async || {
        let alarms = coordinator.alarms();
        let is_raised = alarms.iter().any(|it| it.kind == AlarmKind::Stuck && it.about == "b");
        (is_raised, alarms)
    })
    .await;
    assert_eq!(world.undone("b", "flight").await.record.status, Status::RolledBack);
    until("the alarm is over", async || {
        let alarms = coordinator.alarms();
        (alarms.iter().all(|it| it.kind != AlarmKind::Stuck), alarms)
    })
    .await;
    assert_eq!(world.told("a").await.last().unwrap(), "flight.failed.rolled_back");
    coordinator.shutdown().await;
}

#[tokio::test]
async fn after_the_point_of_no_return_lateness_is_only_an_alarm() {
    let world = World::new(hasty_trip()).await;
    let coordinator = world.coordinator().await;
    world.start("a").await;
    world.done("a", "flight").await;
    world.done("a", "hotel").await;
    until("the alarm", async || {
        let alarms = coordinator.alarms();
        let is_raised = alarms.iter().any(|it| it.kind == AlarmKind::Late && it.about == "a/mail");
        (is_raised, alarms)
    })
    .await;
    assert_eq!(world.history("a").await.len(), 3, "nothing was appended");
    assert_eq!(world.done("a", "mail").await.record.status, Status::Completed);
    until("the alarm is over", async || {
        let alarms = coordinator.alarms();
        (alarms.iter().all(|it| it.kind != AlarmKind::Late), alarms)
    })
    .await;
    coordinator.shutdown().await;
}

#[tokio::test]
async fn parallel_steps_that_are_late_together_end_in_one_rollback() {
    let definition = Definition::new("trip", 1)
        .step(Step::compensable("flight", "air").timeout_ms(300))
        .step(Step::compensable("hotel", "inn").timeout_ms(300).after(&[]));
    let world = World::new(definition).await;
    let coordinator = world.coordinator().await;
    world.start("a").await;
    let history = world.until_told("a", "flight.timedout.rolling_back").await;
    assert_eq!(history.len(), 2);
    // The other was ready when the rollback began.
    let states = json!(history[1].record.steps);
    assert_eq!(states["hotel"]["state"], "unsettled");
    coordinator.shutdown().await;
}

/// A coordinator whose own clock is wrong by an hour does no harm, because it never asks it. A test
/// cannot turn the clock of the machine, so this looks for whoever would ask.
#[test]
fn the_machines_own_clock_is_never_asked() {
    let mut files = vec![concat!(env!("CARGO_MANIFEST_DIR"), "/src/coordinator.rs").into()];
    let mut folders =
        vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src/coordinator"))];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    assert!(files.len() > 10, "the coordinator's files: {files:?}");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for clock in ["SystemTime", "Utc::now", "datetime::now", "now_utc"] {
            assert!(!text.contains(clock), "{} asks {clock}", file.display());
        }
    }
}

//! The audit of a whole world: clean while all is well, and naming whatever was damaged by hand.

#![expect(clippy::unwrap_used, reason = "what a test's helpers cannot do, the test cannot either")]

pub(crate) mod bench;
mod kv;

use std::cell::Cell;

use saga_core::barrier::State;
use saga_core::{Author, Change as What, Event, Reason, Status};
use saga_engine::audit::FoundKind;
use serde_json::json;

use bench::{Bench, told};

#[tokio::test]
async fn a_world_in_which_all_is_well_is_clean() {
    let bench = Bench::open().await;
    bench.play(40).await;
    let report = bench.audit().await;
    assert_eq!(report.findings, []);
    assert_eq!((report.sagas, report.open, report.stuck.len()), (40, 0, 0));
    // 8 are rolled back: started, flight, no hotel, flight undone. 32 take four events, too.
    assert_eq!(report.events, 160);
    let rows: Vec<_> = report.services.iter().map(|(name, it)| (name.as_str(), it.rows)).collect();
    assert_eq!(rows, [("airline", 40), ("desk", 40), ("hotels", 40), ("post", 40)]);
    assert!(report.services.values().all(|service| service.behind == 0), "{report:?}");
}

#[tokio::test]
async fn sagas_that_go_on_meanwhile_are_not_accused() {
    let bench = Bench::open().await;
    // How many audits met sagas that had not ended.
    let met = Cell::new(0);
    let auditing = async {
        while met.get() < 5 {
            let report = bench.audit().await;
            assert_eq!(report.findings, []);
            met.set(met.get() + usize::from(report.open > 0));
        }
    };
    let playing = async {
        let mut waves = 0;
        while met.get() < 5 {
            assert!(waves < 200, "no audit met an open saga: it proves nothing");
            bench.wave(&format!("wave{waves}-"), 30).await;
            waves += 1;
        }
        waves * 30
    };
    let (played, ()) = tokio::join!(playing, auditing);
    let report = bench.audit().await;
    assert_eq!((report.findings, report.sagas), (Vec::new(), played));
}

#[tokio::test]
async fn every_row_that_contradicts_the_log_is_named() {
    let bench = Bench::open().await;
    bench.play(10).await;
    // s4 and s9 were rolled back, the others completed.
    bench.damage("s0", "flight", |row| row.state = State::Undone).await;
    bench.damage("s1", "hotel", |row| row.output = Some(json!({ "of": "another" }))).await;
    bench.damage("s2", "papers", |row| "sha256:0".clone_into(&mut row.request)).await;
    bench.damage("s3", "saga", |row| row.n = Some(3)).await;
    bench.damage("s4", "flight", |row| row.state = State::Done).await;
    let other = Some(Reason::new("closed", ""));
    bench.damage("s9", "hotel", |row| row.reason.clone_from(&other)).await;
    bench.lose("s5", "flight");
    bench.lose("s6", "saga");
    let report = bench.audit().await;
    let expected = [
        "row s0/flight by airline: the log says done, and the row is undone",
        "row s1/hotel by hotels: the row has another output than the log",
        "row s2/papers by post: the log says done, and the row is one of another request",
        "row s3/saga by desk: event 4 is not mirrored, only what came up to event 3",
        "row s4/flight by airline: the log says undone, and the row is done",
        "row s5/flight by airline: the log says done, and there is no row",
        "row s6/saga by desk: the ending completed is not mirrored",
        "row s9/hotel by hotels: the row has another reason than the log",
    ];
    assert_eq!(told(&report), expected);
}

#[tokio::test]
async fn every_effect_that_contradicts_the_log_is_named() {
    let bench = Bench::open().await;
    bench.play(10).await;
    bench.forget("s0", "flight");
    bench.forget("s3", "saga");
    bench.repeat("s1", "hotel");
    // Its undo is forgotten, its effect stands.
    bench.forget_last("s4", "flight");
    let report = bench.audit().await;
    let expected = [
        "effect s0/flight by airline: [] where its effect has to be",
        "effect s1/hotel by hotels: [Did, Did] where its effect has to be",
        "effect s3/saga by desk: [] where Completed has to be",
        "effect s4/flight by airline: [Did] where nothing may be",
        "sum -/hotel by hotels: 9 rooms are taken for 8 guests",
    ];
    assert_eq!(told(&report), expected);
}

#[tokio::test]
async fn what_the_log_itself_shows_is_told_and_who_does_not_answer_too() {
    let mut bench = Bench::open().await;
    bench.play(10).await;
    let (engine, plan) = (bench.engine(), bench.plan());
    let tail =
        engine.log().last(&plan, "s7", saga_engine::log::NEWEST).await.unwrap().unwrap().stored;
    // An ended saga goes on, and says that it has ended in another way.
    let mut lie = tail.record.clone();
    (lie.n, lie.base, lie.status) = (lie.n + 1, tail.sequence, Status::RolledBack);
    bench.slip(&lie).await;
    let started =
        engine.log().history(&plan, "s8", saga_engine::log::NEWEST).await.unwrap().remove(0);
    let event = Event::new(Author::service("airline"), What::failed("flight", "full", "no seat"));
    bench.slip(&started.record.next(&plan, started.sequence, event).unwrap()).await;
    bench.stop("hotels").await;
    let report = bench.audit().await;
    let mut found: Vec<_> = report
        .findings
        .iter()
        .map(|it| (it.kind, it.about.as_deref(), it.service.as_deref()))
        .collect();
    found.sort();
    // Its mirror believed the lie, as every reader must.
    let expected = [
        (FoundKind::Lying, Some("s7"), None),
        (FoundKind::Slipped, Some("s8"), None),
        (FoundKind::Row, Some("s7"), Some("desk")),
        (FoundKind::Unchecked, None, Some("hotels")),
    ];
    assert_eq!(found, expected, "{report:#?}");
    let silent = report.findings.iter().find(|it| it.kind == FoundKind::Unchecked).unwrap();
    assert!(silent.detail.contains("service hotels does not answer"), "{}", silent.detail);
}

#[tokio::test]
async fn an_event_that_was_taken_out_of_a_history_is_missed_and_nothing_else() {
    let bench = Bench::open().await;
    bench.play(10).await;
    bench.take_out("s3", 2).await;
    let report = bench.audit().await;
    let found: Vec<_> = report
        .findings
        .iter()
        .map(|it| (it.kind, it.about.as_deref(), it.detail.as_str()))
        .collect();
    let [(FoundKind::Gap, Some("s3"), detail)] = found[..] else { panic!("{found:?}") };
    assert!(detail.starts_with("event 3 ") && detail.contains("from event 1 "), "{detail}");
    assert_eq!((report.sagas, report.open), (10, 0));
}

#[tokio::test]
async fn what_is_stuck_is_listed_and_is_no_contradiction() {
    let bench = Bench::open().await;
    bench.play(2).await;
    bench.start("s", json!({ "full": "hotel", "stays": "flight" })).await;
    bench.until_status("s", Status::Stuck).await;
    let report = bench.audit().await;
    assert_eq!(report.findings, []);
    assert_eq!((report.open, report.stuck), (1, vec!["trip.s".to_owned()]));
    bench.damage("s", "flight", |row| row.state = State::Done).await;
    let expected = ["row s/flight by airline: the log says undofailed, and the row is done"];
    assert_eq!(told(&bench.audit().await), expected);
}

#[tokio::test]
async fn a_world_that_cannot_be_read_is_an_error() {
    let bench = Bench::open().await;
    bench.delete_stream().await;
    let error = saga_engine::audit::world(&bench.engine(), &[bench.plan()]).await.unwrap_err();
    assert!(error.to_string().contains("could not be read"), "{error}");
}

//! Writes that went past the check: the log itself proves which events count.

use async_nats::HeaderMap;
use saga_core::record::Unreadable;
use saga_core::{Record, subject};
use saga_engine::log::ReadError;
use saga_engine::log::advance::{AdvanceError, advance};
use serde_json::json;

use super::bed::{Bed, appended, cancelled, done};
use super::jetstream::Server;

/// Writes a record as nobody may: without the guard.
async fn slip(server: &Server, record: &Record) -> u64 {
    write(server, subject::of("trip", record), record.to_json()).await
}

async fn write(server: &Server, subject: String, payload: Vec<u8>) -> u64 {
    let publish = server.context.publish_with_headers(subject, HeaderMap::new(), payload.into());
    publish.await.unwrap().await.unwrap().sequence
}

/// The saga stands here, whatever was written after it, and goes on from here.
async fn assert_goes_on(bed: &Bed, name: &str, told: &[&str], last: u64) {
    assert_eq!(bed.told(name).await, told);
    let tail = bed.newest(name).await;
    assert_eq!(tail.last_sequence, last, "the next append is guarded by the last message");
    let next = if told.len() == 1 { "flight" } else { "hotel" };
    let ours = appended(bed.advance(&tail, done(next)).await);
    assert_eq!(ours.stored.record.base, tail.stored.sequence);
    let step = format!("{next} done");
    let told: Vec<_> = told.iter().copied().chain([step.as_str()]).collect();
    assert_eq!(bed.told(name).await, told);
}

#[tokio::test]
async fn an_event_that_was_derived_from_another_one_does_not_count() {
    let server = Server::new().await;
    let bed = &server.bed;
    let tail = bed.start("one").await;
    let stranger = tail.stored.record.next(&bed.plan, 999, cancelled()).unwrap();
    let last = slip(&server, &stranger).await;
    assert_goes_on(bed, "one", &["saga started"], last).await;
}

#[tokio::test]
async fn of_two_events_with_one_base_the_first_counts() {
    let server = Server::new().await;
    let bed = &server.bed;
    let tail = bed.start("one").await;
    let late = tail.stored.record.next(&bed.plan, tail.stored.sequence, cancelled()).unwrap();
    appended(bed.advance(&tail, done("flight")).await);
    let last = slip(&server, &late).await;
    assert_goes_on(bed, "one", &["saga started", "flight done"], last).await;
}

#[tokio::test]
async fn an_event_that_is_written_again_later_does_not_take_the_saga_back() {
    let server = Server::new().await;
    let bed = &server.bed;
    let started = bed.start("one").await;
    let flown = appended(bed.advance(&started, done("flight")).await);
    appended(bed.advance(&flown, done("hotel")).await);
    // The same subject once more: who asks for each subject's last message sees only this one.
    let last = slip(&server, &flown.stored.record).await;
    let told = ["saga started", "flight done", "hotel done"];
    assert_eq!(bed.told("one").await, told);
    let tail = bed.newest("one").await;
    assert_eq!((tail.stored.record.n, tail.last_sequence), (3, last));
    appended(bed.advance(&tail, done("papers")).await);
    assert_eq!(bed.told("one").await, [&told[..], &["papers done"]].concat());
}

#[tokio::test]
async fn what_is_no_record_does_not_count() {
    let server = Server::new().await;
    let bed = &server.bed;
    bed.start("one").await;
    let subject = subject::filter("trip", &bed.id("one")).replace('>', "002.flight.done.running");
    let last = write(&server, subject, b"what?".to_vec()).await;
    assert_goes_on(bed, "one", &["saga started"], last).await;
}

#[tokio::test]
async fn nobody_goes_on_from_a_record_of_a_later_form() {
    let server = Server::new().await;
    let bed = &server.bed;
    let tail = bed.start("one").await;
    let mut later =
        tail.stored.record.next(&bed.plan, tail.stored.sequence, done("flight")).unwrap();
    later.v = 2;
    let sequence = slip(&server, &later).await;
    let error =
        bed.log.last(&bed.plan, &bed.id("one"), saga_engine::log::NEWEST).await.unwrap_err();
    let is_told = matches!(
        &error,
        ReadError::Unreadable { sequence: at, source: Unreadable::Version(2) } if *at == sequence
    );
    assert!(is_told, "{error:?}");
    let error = advance(bed.log.as_ref(), &bed.plan, &tail, done("flight")).await.unwrap_err();
    assert!(matches!(error, AdvanceError::Read(ReadError::Unreadable { .. })), "{error:?}");
}

#[tokio::test]
async fn a_history_of_thousands_of_events_is_read() {
    let server = Server::new().await;
    let bed = &server.bed;
    // No saga is nudged that often; but one that was must not be unreadable for that.
    let mut record = bed.started("one", json!({})).record;
    let mut base = slip(&server, &record).await;
    for n in 2..=2_100 {
        (record.n, record.base) = (n, base);
        base = slip(&server, &record).await;
    }
    assert_eq!(bed.history("one").await.len(), 2_100);
    assert_eq!(bed.newest("one").await.stored.record.n, 2_100);
}

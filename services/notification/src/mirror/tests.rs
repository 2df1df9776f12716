use std::sync::Arc;

use jetsaga_contracts::{
    http::notification::{NotificationEvent, NotificationStatus},
    order_saga::OrderInput,
};
use saga_core::{Author, Change, Event, Plan, Record};
use saga_engine::{Ending, Mirror as _, MirrorAnswer};
use serde_json::json;
use service_kit::Work;
use tempfile::tempdir;

use super::TellCancelled;
use crate::{
    sink::relay::{Fault, Relay},
    testing::{AT, commit, files, id, input, post, relay, written},
};

fn ending(number: u128, changes: Vec<(&str, Change)>) -> Ending<OrderInput> {
    let plan = Plan::new(saga_workflows::order()).unwrap();
    let json = serde_json::to_value(input()).unwrap();
    let mut record = Record::start(&plan, id(number).as_str(), json).unwrap();
    for (sequence, (by, change)) in (1..).zip(changes) {
        record = record.next(&plan, sequence, Event::new(Author::service(by), change)).unwrap();
    }
    let effect_id = format!("order.{}.{}", record.id, record.status.as_str());
    Ending { record, input: input(), at_ms: AT, effect_id, traceparent: None }
}

fn rolled_back(number: u128) -> Ending<OrderInput> {
    ending(
        number,
        vec![
            ("order", Change::done("order", json!({}))),
            ("payment", Change::failed("payment", "card_declined", "")),
            ("order", Change::undone("order")),
        ],
    )
}

fn completed(number: u128) -> Ending<OrderInput> {
    let done = |step| (step, Change::done(step, json!({})));
    ending(number, ["order", "payment", "inventory", "notification"].map(done).to_vec())
}

fn stuck(number: u128) -> Ending<OrderInput> {
    ending(
        number,
        vec![
            ("order", Change::done("order", json!({}))),
            ("payment", Change::done("payment", json!({}))),
            ("inventory", Change::failed("inventory", "out_of_stock", "")),
            ("payment", Change::undofailed("payment", "refund_failed", "")),
        ],
    )
}

#[tokio::test]
async fn a_rolled_back_order_is_told_once_and_nothing_else_is() {
    let directory = tempdir().unwrap();
    let post = post(files(directory.path())).await;
    let mirror = TellCancelled::new(Arc::clone(&post));
    let mut batch = vec![completed(1), rolled_back(2), stuck(3), rolled_back(4)];
    batch.retain(|ending| mirror.concerns(ending.record.status));
    for _ in 0..2 {
        for answer in mirror.ended(&batch).await {
            let MirrorAnswer::Commit(work) = answer else { panic!("{answer:?}") };
            assert_ne!(work, Work::none());
            commit(&post.deliveries, work).await;
        }
    }
    let names = [2, 4].map(|number| format!("order.{}.rolled_back.eml", id(number)));
    assert_eq!(written(directory.path()), names);
    let found = post.deliveries.of_order(&id(2)).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].event, NotificationEvent::OrderCancelled);
    assert_eq!((found[0].status, found[0].attempts), (NotificationStatus::Sent, 1));
}

#[tokio::test]
async fn an_ending_that_was_told_is_not_sent_again() {
    let relay_there = Relay::start().await;
    let post = post(relay(relay_there.port)).await;
    let mirror = TellCancelled::new(Arc::clone(&post));
    for _ in 0..3 {
        let answer = mirror.ended(&[rolled_back(1)]).await.remove(0);
        let MirrorAnswer::Commit(work) = answer else { panic!("{answer:?}") };
        commit(&post.deliveries, work).await;
    }
    assert_eq!(relay_there.taken().len(), 1);
}

#[tokio::test]
async fn a_dead_relay_delays() {
    let post = post(relay(Relay::dead_port().await)).await;
    let mirror = TellCancelled::new(Arc::clone(&post));
    for attempts in 1..=2 {
        let answers = mirror.ended(&[rolled_back(1)]).await;
        assert!(matches!(&answers[..], [MirrorAnswer::Again(..)]), "{answers:?}");
        let found = post.deliveries.of_order(&id(1)).await.unwrap();
        assert_eq!((found[0].status, found[0].attempts), (NotificationStatus::Pending, attempts));
    }
}

#[tokio::test]
async fn a_mail_that_is_put_off_does_not_hold_up_its_neighbours() {
    let relay_there = Relay::start().await;
    relay_there.faults(&[Fault::Rcpt(451)]);
    let post = post(relay(relay_there.port)).await;
    let mirror = TellCancelled::new(Arc::clone(&post));
    let answers = mirror.ended(&[1, 2, 3].map(rolled_back)).await;
    let put_off = answers.iter().filter(|it| matches!(it, MirrorAnswer::Again(..))).count();
    let sent = answers.iter().filter(|it| matches!(it, MirrorAnswer::Commit(..))).count();
    assert_eq!((put_off, sent), (1, 2), "{answers:?}");
    assert_eq!(relay_there.taken().len(), 2);
}

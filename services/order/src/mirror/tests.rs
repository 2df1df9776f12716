use jetsaga_contracts::http::order::OrderStatus;
use saga_core::{Author, Change, Event, Plan, Record};
use saga_engine::{Ending, Mirror as _, MirrorAnswer, Step as _};
use serde_json::json;

use super::FollowEndings;
use crate::{
    order::StoredOrder,
    steps::PlaceOrder,
    store::Orders,
    testing::{AT, Shop, commit, eur, id, input, job, orders},
};

/// The ending of saga `number` after these events.
fn ending(
    number: u128,
    events: Vec<(Author, Change)>,
) -> Ending<jetsaga_contracts::order_saga::OrderInput> {
    let plan = Plan::new(saga_workflows::order()).unwrap();
    let input = input(&[("TEA", 2)]);
    let json = serde_json::to_value(&input).unwrap();
    let mut record = Record::start(&plan, id(number).as_str(), json).unwrap();
    for (sequence, (by, change)) in (1..).zip(events) {
        record = record.next(&plan, sequence, Event::new(by, change)).unwrap();
    }
    let effect_id = format!("order.{}.{}", record.id, record.status.as_str());
    let at_ms = AT + i64::try_from(record.n).unwrap();
    Ending { record, input, at_ms, effect_id, traceparent: None }
}

fn by(service: &str, change: Change) -> (Author, Change) {
    (Author::service(service), change)
}

fn priced() -> serde_json::Value {
    let line =
        json!({"sku": "TEA", "name": "Tea", "quantity": 2, "unit_price": eur(5), "total": eur(10)});
    json!({"lines": [line], "total": eur(10)})
}

fn completed() -> Vec<(Author, Change)> {
    vec![
        by("order", Change::done("order", priced())),
        by("payment", Change::done("payment", json!({}))),
        by("inventory", Change::done("inventory", json!({}))),
        by("notification", Change::done("notification", json!({}))),
    ]
}

fn rolled_back() -> Vec<(Author, Change)> {
    vec![
        by("order", Change::done("order", priced())),
        by("payment", Change::failed("payment", "card_declined", "insufficient_funds")),
        by("order", Change::undone("order")),
    ]
}

fn stuck() -> Vec<(Author, Change)> {
    vec![
        by("order", Change::done("order", priced())),
        by("payment", Change::done("payment", json!({}))),
        by("inventory", Change::failed("inventory", "out_of_stock", "TEA")),
        by("payment", Change::undofailed("payment", "refund_failed", "no answer")),
    ]
}

fn settled() -> Vec<(Author, Change)> {
    let mut events = stuck();
    events.push((Author::Operator, Change::settled("payment", false)));
    events.push(by("order", Change::undone("order")));
    events
}

async fn place(orders: &Orders, number: u128) {
    let shop = Shop::with_tea().await;
    let step = PlaceOrder::new(orders.clone(), shop.products());
    let saga_engine::Answer::Done(_, work) = step.run(&job(number, input(&[("TEA", 2)]))).await
    else {
        panic!("not priced")
    };
    commit(orders, work).await;
}

/// Mirrors and commits.
async fn follow(orders: &Orders, number: u128, events: Vec<(Author, Change)>) -> StoredOrder {
    let answers = FollowEndings::new(orders.clone()).ended(&[ending(number, events)]).await;
    let [MirrorAnswer::Commit(work)] = &answers[..] else { panic!("{answers:?}") };
    commit(orders, work.clone()).await;
    orders.get(&id(number)).await.unwrap().unwrap().order
}

fn statuses(order: &StoredOrder) -> Vec<OrderStatus> {
    order.history().map(|entry| entry.status).collect()
}

use OrderStatus::{Cancelled, Confirmed, NeedsAttention, Pending};

#[tokio::test]
async fn a_completed_saga_confirms_its_order_once() {
    let orders = orders().await;
    place(&orders, 1).await;
    for _ in 0..2 {
        let order = follow(&orders, 1, completed()).await;
        assert_eq!(statuses(&order), [Pending, Confirmed]);
        let last = order.last();
        assert_eq!((last.at, order.first.at), (AT + 5, AT));
        assert_eq!((last.by.as_str(), last.event), ("notification", Some(5)));
    }
}

#[tokio::test]
async fn an_order_whose_step_never_wrote_it_is_there_after_the_end() {
    let orders = orders().await;
    let refused =
        vec![by("order", Change::failed("order", "unknown_sku", "no product has the SKU X"))];
    let order = follow(&orders, 1, refused).await;
    assert_eq!(statuses(&order), [Cancelled]);
    let reason = order.last().reason.clone().unwrap();
    assert_eq!((reason.code.as_str(), reason.step.as_deref()), ("unknown_sku", Some("order")));
    // Called off before the service had seen it: its step is settled, and still it is an order.
    let cancelled = vec![(Author::Client, Change::Cancelled), by("order", Change::undone("order"))];
    let order = follow(&orders, 2, cancelled).await;
    assert_eq!(statuses(&order), [Cancelled]);
    assert_eq!(order.last().reason.clone().unwrap().code, "cancelled");
    assert_eq!(order.placed.lines[0].quantity, 2);
    assert_eq!(orders.page(None, 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_skipped_step_gives_an_order_at_the_operators_prices() {
    let orders = orders().await;
    let mut events = completed();
    events[0] = (Author::Operator, Change::skipped("order", priced()));
    let order = follow(&orders, 1, events).await;
    assert_eq!((statuses(&order), order.placed.total), (vec![Confirmed], Some(eur(10))));
}

#[tokio::test]
async fn a_stuck_saga_calls_for_a_person_and_a_settled_one_is_over() {
    let orders = orders().await;
    place(&orders, 1).await;
    let order = follow(&orders, 1, stuck()).await;
    let reason = order.last().reason.clone().unwrap();
    assert_eq!(order.last().status, NeedsAttention);
    assert_eq!((reason.code.as_str(), reason.step.as_deref()), ("refund_failed", Some("payment")));
    let order = follow(&orders, 1, settled()).await;
    assert_eq!(statuses(&order), [Pending, NeedsAttention, Cancelled]);
    assert_eq!(order.last().reason.clone().unwrap().code, "out_of_stock");
}

#[tokio::test]
async fn old_news_changes_nothing() {
    let orders = orders().await;
    place(&orders, 1).await;
    follow(&orders, 1, settled()).await;
    let order = follow(&orders, 1, stuck()).await;
    assert_eq!(statuses(&order), [Pending, Cancelled]);
    let order = follow(&orders, 1, rolled_back()).await;
    assert_eq!(statuses(&order), [Pending, Cancelled]);
    // What no saga does is reported and changes nothing either.
    let order = follow(&orders, 1, completed()).await;
    assert_eq!(statuses(&order), [Pending, Cancelled]);
}

#[tokio::test]
async fn endings_of_one_batch_are_decided_alone() {
    let orders = orders().await;
    place(&orders, 1).await;
    place(&orders, 2).await;
    let mut foreign = ending(9, completed());
    foreign.record.id = "somebody-elses".to_owned();
    let batch =
        [ending(1, completed()), foreign, ending(2, rolled_back()), ending(3, rolled_back())];
    for answer in FollowEndings::new(orders.clone()).ended(&batch).await {
        let MirrorAnswer::Commit(work) = answer else { panic!("{answer:?}") };
        commit(&orders, work).await;
    }
    let all = orders.page(None, 10).await.unwrap();
    let found: Vec<_> =
        all.into_iter().map(|found| (found.id, found.order.last().status)).collect();
    // Number 3 was written by its ending, later than the others were placed.
    assert_eq!(found, [(id(3), Cancelled), (id(1), Confirmed), (id(2), Cancelled)]);
}

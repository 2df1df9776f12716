use jetsaga_contracts::http::order::OrderStatus::{
    self, Cancelled, Confirmed, NeedsAttention, Pending,
};
use saga_core::barrier::{Key, Row};
use saga_engine::{Barrier as _, Change, CommitError};
use service_kit::Work;

use super::{After, Orders, advance, create};
use crate::{
    order::{Entry, Placed, Standing, StoredOrder},
    testing::{AT, commit, id, input, orders},
};

fn entry(status: OrderStatus, at: i64) -> Entry {
    Entry { status, reason: None, by: "order".to_owned(), at, event: None }
}

fn order(at: i64) -> StoredOrder {
    StoredOrder::new(Placed::asked(&input(&[("TEA", 1)])), entry(Pending, at))
}

fn at(status: OrderStatus, version: usize) -> Standing {
    Standing { status, version }
}

async fn try_commit(orders: &Orders, work: Work) -> Result<(), CommitError> {
    let key = Key::new("order", &uuid::Uuid::new_v4().simple().to_string(), "order");
    let row = Row::done("r", serde_json::json!({}));
    orders.barrier().commit(vec![Change { key, seen: None, row, work }]).await.remove(0)
}

#[tokio::test]
async fn an_order_comes_back_as_it_was_written() {
    let orders = orders().await;
    commit(&orders, create(&id(1), &order(AT))).await;
    let found = orders.get(&id(1)).await.unwrap().unwrap();
    assert_eq!((found.id, found.order), (id(1), order(AT)));
    assert_eq!(orders.get(&id(2)).await.unwrap(), None);
    let standings = orders.standings(&[id(1).as_str(), id(2).as_str()]).await.unwrap();
    assert_eq!(standings.into_iter().collect::<Vec<_>>(), [(id(1), at(Pending, 1))]);
}

#[tokio::test]
async fn an_order_is_created_once_and_moved_only_from_where_it_was_seen() {
    let orders = orders().await;
    commit(&orders, create(&id(1), &order(AT))).await;
    let again = try_commit(&orders, create(&id(1), &order(AT))).await;
    assert!(matches!(again, Err(CommitError::Raced)), "{again:?}");
    commit(&orders, advance(&id(1), at(Pending, 1), &entry(NeedsAttention, AT + 1))).await;
    let stale =
        try_commit(&orders, advance(&id(1), at(Pending, 1), &entry(Confirmed, AT + 2))).await;
    assert!(matches!(stale, Err(CommitError::Raced)), "{stale:?}");
    commit(&orders, advance(&id(1), at(NeedsAttention, 2), &entry(Cancelled, AT + 3))).await;
    let found = orders.get(&id(1)).await.unwrap().unwrap().order;
    assert_eq!(found.standing(), at(Cancelled, 3));
    let standings = orders.standings(&[id(1).as_str()]).await.unwrap();
    assert_eq!(standings[&id(1)], at(Cancelled, 3));
    let times: Vec<_> = found.history().map(|entry| entry.at).collect();
    assert_eq!(times, [AT, AT + 1, AT + 3]);
    assert_eq!(orders.page(None, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_reason_goes_when_there_is_none_any_more() {
    let orders = orders().await;
    let reason = jetsaga_contracts::http::order::Reason {
        code: "refund_failed".to_owned(),
        detail: None,
        step: Some("payment".to_owned()),
    };
    commit(&orders, create(&id(1), &order(AT))).await;
    let stuck = Entry { reason: Some(reason.clone()), ..entry(NeedsAttention, AT + 1) };
    commit(&orders, advance(&id(1), at(Pending, 1), &stuck)).await;
    let found = orders.get(&id(1)).await.unwrap().unwrap().order;
    assert_eq!(found.last().reason, Some(reason));
    commit(&orders, advance(&id(1), at(NeedsAttention, 2), &entry(Cancelled, AT + 2))).await;
    let found = orders.get(&id(1)).await.unwrap().unwrap().order;
    assert_eq!((found.last().reason.as_ref(), found.standing().version), (None, 3));
}

#[tokio::test]
async fn pages_are_newest_first_and_hold_everything_once() {
    let orders = orders().await;
    // Two orders of each moment.
    for number in 0..50 {
        let at = AT + i64::try_from(number / 2).unwrap();
        commit(&orders, create(&id(number), &order(at))).await;
    }
    let mut seen = Vec::new();
    let mut after: Option<After> = None;
    loop {
        let page = orders.page(after.as_ref(), 7).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(After { created: last.order.first.at, id: last.id.clone() });
        seen.extend(page.into_iter().map(|found| (found.order.first.at, found.id)));
    }
    let mut sorted = seen.clone();
    sorted.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    assert_eq!(seen.len(), 50);
    assert_eq!(seen, sorted);
}

#[tokio::test]
async fn a_page_costs_the_same_however_many_orders_there_are() {
    let orders = orders().await;
    let binds = serde_json::json!({ "rank": 0, "id": "", "limit": 7 });
    let plan = orders.barrier().query(&format!("EXPLAIN {}", super::PAGE.trim()), binds).await;
    let plan = plan.unwrap().remove(0).to_string();
    assert!(plan.contains("DynamicScan"), "{plan}");
    assert!(plan.contains("limit: $limit]"), "the scan itself knows the limit: {plan}");
}

//! Subjects are written and read by one module, byte for byte.

use proptest::prelude::*;
use saga_core::{Author, Change, Event, Record, subject};
use serde_json::json;

use crate::definitions;

#[test]
fn a_subject_says_what_happened() {
    let plan = definitions::order();
    let record = Record::start(&plan, "0192f0c1", json!({})).unwrap();
    let subject = subject::of("order", &record);
    assert_eq!(subject, "saga.order.0192f0c1.001.saga.started.running");
    let parsed = subject::parse(&subject).unwrap();
    assert_eq!((parsed.id.as_str(), parsed.n), ("0192f0c1", 1));
    assert_eq!(subject::filter("order", "0192f0c1"), "saga.order.0192f0c1.>");
    assert_eq!(subject::stream("order", None), "SAGA_ORDER");
    assert_eq!(subject::stream("order", Some(3)), "SAGA_ORDER_3");
    assert_eq!(subject::type_token("order", Some(3)), "order-3");
    assert_eq!(subject::type_of_token("order-3"), "order");
    assert_eq!(subject::type_of_token("gift-order"), "gift-order");
}

#[test]
fn consumers_filter_what_the_protocol_says() {
    let plan = definitions::order();
    let forward = subject::forward_filters(&plan, "order", "payment");
    assert_eq!(forward, ["saga.order.*.*.order.*.running"]);
    let first = subject::forward_filters(&plan, "order", "order");
    assert_eq!(first, ["saga.order.*.*.saga.started.running"]);
    let backward = subject::backward_filters(&plan, "order", "payment");
    assert_eq!(
        backward,
        [
            "saga.order.*.*.*.*.stuck",
            "saga.order.*.*.*.failed.rolling_back",
            "saga.order.*.*.*.timedout.rolling_back",
            "saga.order.*.*.inventory.settled.rolling_back",
            "saga.order.*.*.inventory.undone.rolling_back",
            "saga.order.*.*.payment.nudged.rolling_back",
            "saga.order.*.*.payment.nudged.running",
            "saga.order.*.*.payment.settled.rolled_back",
            "saga.order.*.*.payment.settled.rolling_back",
            "saga.order.*.*.payment.skipped.completed",
            "saga.order.*.*.payment.skipped.running",
            "saga.order.*.*.saga.cancelled.rolling_back",
            "saga.order.*.*.saga.expired.rolling_back",
        ]
    );
}

/// What is not the forward way comes through consumers with one filter each, and most of a rollback
/// is not for most services.
#[test]
fn who_undoes_nothing_hears_nothing_of_rollbacks() {
    let plan = definitions::order();
    let of = |service: &str| subject::backward_consumers(&plan, "order", service);
    let all = [
        ("payment-nudged", "nudged.running"),
        ("payment-skipped", "skipped.*"),
        ("payment-undo", "*.rolling_back"),
        ("payment-undo-stuck", "*.stuck"),
        ("payment-undo-settled", "settled.rolled_back"),
    ];
    let all = all.map(|(name, what)| (name.to_owned(), format!("saga.order.*.*.*.{what}")));
    assert_eq!(of("payment"), all);
    let some: Vec<_> = of("notification").into_iter().map(|(name, _)| name).collect();
    assert_eq!(some, ["notification-nudged", "notification-skipped"]);

    let started = Record::start(&plan, "one", json!({})).unwrap();
    let done = Event::new(Author::service("order"), Change::done("order", json!({})));
    let placed = started.next(&plan, 1, done).unwrap();
    let done = Event::new(Author::service("payment"), Change::done("payment", json!({})));
    let paid = placed.next(&plan, 2, done).unwrap();
    let gone = Change::failed("inventory", "out_of_stock", "none is left");
    let refused = paid.next(&plan, 3, Event::new(Author::service("inventory"), gone)).unwrap();
    assert!(subject::asks_back(&plan, "payment", &refused));
    assert!(!subject::asks_back(&plan, "inventory", &refused));
    let undone = Event::new(Author::service("payment"), Change::undone("payment"));
    let undone = refused.next(&plan, 4, undone).unwrap();
    assert!(!subject::asks_back(&plan, "payment", &undone));

    let last = subject::backward_filters(&plan, "order", "inventory");
    assert!(last.iter().all(|filter| !filter.contains("undone") && !filter.contains("failed")));
}

/// A step behind a conditional one is woken by whatever may omit that one.
#[test]
fn filters_reach_through_conditions() {
    let filters = subject::forward_filters(&definitions::conditions(), "when", "delta");
    for step in ["a", "b", "c"] {
        assert!(filters.contains(&format!("saga.when.*.*.{step}.*.running")), "{filters:?}");
    }
}

#[test]
fn nothing_else_is_a_subject() {
    for bad in [
        "",
        "saga",
        "saga.order",
        "saga.order.1.001.saga.started",
        "saga.order.1.x.saga.started.running",
        "saga.order.1.001.saga.begun.running",
        "saga.order.1.001.saga.started.running.more",
        "other.order.1.001.saga.started.running",
        "saga.order.*.001.saga.started.running",
    ] {
        assert!(subject::parse(bad).is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn parsing_never_panics(text in "\\PC{0,120}") {
        prop_assert!(subject::parse(&text).is_err());
    }

    #[test]
    fn every_shard_is_in_range_and_stable(id in "[A-Za-z0-9_-]{1,64}", shards in 1_u32..32) {
        let mut definition = definitions::order().definition().clone();
        definition.shards = Some(shards);
        let plan = saga_core::Plan::new(definition).unwrap();
        let shard = plan.shard(&id).unwrap();
        prop_assert!(shard < shards);
        prop_assert_eq!(plan.shard(&id), Some(shard));
    }
}

//! What this crate's tests share.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use jetsaga_contracts::{
    ids::OrderId,
    order_saga::{Customer, OrderInput, OrderLine, PaymentMethod},
};
use lettre::message::Mailbox;
use saga_core::barrier::{Key, Row};
use saga_engine::{Barrier as _, Change, Job};
use service_kit::{Store, Work};
use uuid::Uuid;

use crate::{
    mail::Templates,
    post::Post,
    sink::{FileSink, Sink, SmtpSink},
    store::{Deliveries, SCHEMA},
};

/// When test orders are placed: milliseconds since the epoch.
pub(crate) const AT: i64 = 1_795_424_400_000;

pub(crate) async fn deliveries() -> Deliveries {
    Deliveries::new(Store::in_memory(SCHEMA).await.unwrap())
}

pub(crate) fn from() -> Mailbox {
    "Jetsaga Shop <orders@shop.example>".parse().unwrap()
}

pub(crate) async fn post(sink: Sink) -> Arc<Post> {
    Arc::new(Post { deliveries: deliveries().await, sink, templates: Templates::new().unwrap() })
}

pub(crate) fn files(directory: &Path) -> Sink {
    Sink::File(FileSink::new(from(), directory.join("mails")))
}

pub(crate) fn relay(port: u16) -> Sink {
    Sink::Smtp(SmtpSink::new(from(), "127.0.0.1", port, Duration::from_secs(5)))
}

/// Names of the mails that were written, sorted.
pub(crate) fn written(directory: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(directory.join("mails")) else { return Vec::new() };
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

pub(crate) fn id(number: u128) -> OrderId {
    OrderId::from_uuid(Uuid::from_u128(number))
}

pub(crate) fn input() -> OrderInput {
    OrderInput {
        customer: Customer { name: "Ada".to_owned(), email: "ada@example.com".to_owned() },
        lines: vec![OrderLine { sku: "TEA".to_owned(), quantity: 2 }],
        currency: "EUR".to_owned(),
        payment: PaymentMethod { token: "pm_card_visa".to_owned() },
    }
}

pub(crate) fn job(number: u128) -> Job<OrderInput> {
    let saga_id = id(number).into_string();
    Job {
        saga_type: "order".to_owned(),
        effect_id: format!("order.{saga_id}.notification"),
        saga_id,
        step: "notification".to_owned(),
        attempt: 1,
        left: Duration::from_secs(30),
        at_ms: AT,
        input: input(),
        outputs: BTreeMap::new(),
        traceparent: None,
    }
}

/// Commits work under a fresh barrier row, as the engine does.
pub(crate) async fn commit(deliveries: &Deliveries, work: Work) {
    let key = Key::new("order", &Uuid::new_v4().simple().to_string(), "notification");
    let row = Row::done("request", serde_json::json!({}));
    let change = Change { key, seen: None, row, work };
    let results = deliveries.barrier().commit(vec![change]).await;
    assert!(results[0].is_ok(), "{results:?}");
}

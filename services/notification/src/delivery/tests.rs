use std::collections::BTreeSet;

use jetsaga_contracts::http::notification::{Channel, NotificationEvent, NotificationStatus};

use super::{Delivery, Key, Outcome, Role};
use crate::sink::SinkError;

fn key(order: &str) -> Key<'_> {
    let (event, channel) = (NotificationEvent::OrderConfirmed, Channel::File);
    Key { order, event, channel, role: Role::Customer }
}

fn delivery() -> Delivery {
    Delivery {
        id: key("ord_1").id(),
        order: "ord_1".to_owned(),
        event: NotificationEvent::OrderConfirmed,
        channel: Channel::File,
        recipient: "ada@example.com".to_owned(),
        subject: "Hello".to_owned(),
        status: NotificationStatus::Pending,
        attempts: 0,
        message_id: "order.ord_1.notification@shop.example".to_owned(),
        last_error: None,
        created: 1,
        sent: None,
    }
}

#[test]
fn a_delivery_has_one_id_and_no_other_has_it() {
    assert_eq!(key("ord_1").id(), key("ord_1").id());
    let ids: BTreeSet<_> = ["ord_1", "ord_2"]
        .iter()
        .flat_map(|order| Key::of_order(order).map(|key| key.id()))
        .collect();
    assert_eq!(ids.len(), 8);
    assert!(ids.contains(&key("ord_2").id()));
}

#[test]
fn a_relay_that_is_away_leaves_it_pending_until_it_is_sent() {
    let mut it = delivery();
    let away = SinkError::Unavailable("away".to_owned());
    assert_eq!(it.tried(1, Err(away), 5), Outcome::Again("away".to_owned()));
    assert_eq!((it.status, it.sent), (NotificationStatus::Pending, None));
    assert_eq!(it.last_error.as_deref(), Some("away"));
    assert_eq!(it.tried(2, Ok(()), 9), Outcome::Settled);
    assert_eq!((it.status, it.sent, it.attempts), (NotificationStatus::Sent, Some(9), 2));
    assert_eq!(it.last_error, None);
}

#[test]
fn a_refusal_for_good_settles_it_as_failed() {
    let mut it = delivery();
    assert_eq!(it.tried(1, Err(SinkError::Rejected("no".to_owned())), 5), Outcome::Settled);
    assert_eq!((it.status, it.sent), (NotificationStatus::Failed, None));
}

use jetsaga_contracts::http::notification::{Channel, NotificationEvent, NotificationStatus};

use super::put;
use crate::{
    delivery::{Delivery, Key, Role},
    testing::{AT, commit, deliveries, id},
};

fn delivery(number: u128, event: NotificationEvent) -> Delivery {
    let order = id(number).into_string();
    let channel = Channel::Email;
    Delivery {
        id: Key { order: &order, event, channel, role: Role::Customer }.id(),
        order,
        event,
        channel,
        recipient: "ada@example.com".to_owned(),
        subject: "Hello".to_owned(),
        status: NotificationStatus::Pending,
        attempts: 1,
        message_id: "a@b.example".to_owned(),
        last_error: Some("away".to_owned()),
        created: AT,
        sent: None,
    }
}

use NotificationEvent::{OrderCancelled, OrderConfirmed};

#[tokio::test]
async fn deliveries_are_found_by_id_and_by_order() {
    let deliveries = deliveries().await;
    let first = delivery(1, OrderConfirmed);
    let second = Delivery { created: AT + 1, ..delivery(1, OrderCancelled) };
    let other = delivery(2, OrderConfirmed);
    for it in [&second, &first, &other] {
        commit(&deliveries, put(it)).await;
    }
    assert_eq!(deliveries.get(&first.id).await.unwrap(), Some(first.clone()));
    assert_eq!(deliveries.of_order(&id(1)).await.unwrap(), [first, second]);
    assert_eq!(deliveries.of_order(&id(3)).await.unwrap(), []);
}

#[tokio::test]
async fn a_note_never_takes_back_what_was_sent() {
    let deliveries = deliveries().await;
    let pending = delivery(1, OrderConfirmed);
    deliveries.note(std::slice::from_ref(&pending)).await.unwrap();
    assert_eq!(deliveries.get(&pending.id).await.unwrap(), Some(pending.clone()));
    let later = Delivery { attempts: 2, ..pending.clone() };
    deliveries.note(&[later.clone(), delivery(2, OrderConfirmed)]).await.unwrap();
    assert_eq!(deliveries.get(&pending.id).await.unwrap(), Some(later));
    let sent = Delivery {
        status: NotificationStatus::Sent,
        last_error: None,
        sent: Some(AT + 9),
        ..pending.clone()
    };
    commit(&deliveries, put(&sent)).await;
    deliveries.note(&[pending]).await.unwrap();
    assert_eq!(deliveries.get(&sent.id).await.unwrap(), Some(sent));
}

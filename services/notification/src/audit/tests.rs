use jetsaga_contracts::http::notification::Channel;

use super::*;
use crate::delivery::{Key, Role};

fn delivery(event: NotificationEvent, status: NotificationStatus) -> Delivery {
    let channel = Channel::File;
    Delivery {
        id: Key { order: "a", event, channel, role: Role::Customer }.id(),
        order: "a".to_owned(),
        event,
        channel,
        recipient: "ada@example.com".to_owned(),
        subject: "Your order".to_owned(),
        status,
        attempts: 1,
        message_id: "m@shop".to_owned(),
        last_error: None,
        created: 0,
        sent: None,
    }
}

#[test]
fn an_order_is_confirmed_by_one_mail_or_by_none() {
    use NotificationEvent::OrderConfirmed;
    let held = |id: &str| Expected::Held(Notified { message_id: id.to_owned() });
    let sent = delivery(OrderConfirmed, NotificationStatus::Sent);
    let failed = delivery(OrderConfirmed, NotificationStatus::Failed);
    let waits = delivery(OrderConfirmed, NotificationStatus::Pending);
    for (expected, deliveries, is_right) in [
        (held("m@shop"), vec![sent.clone()], true),
        (held("m@shop"), vec![failed], true),
        (held("other@shop"), vec![sent.clone()], false),
        (held("m@shop"), vec![], false),
        (held("m@shop"), vec![waits.clone()], false),
        (held("m@shop"), vec![sent.clone(), sent.clone()], false),
        (Expected::Nothing, vec![], true),
        (Expected::Nothing, vec![sent.clone()], false),
        (Expected::Open, vec![waits], true),
        (Expected::Open, vec![sent.clone()], true),
        (Expected::Open, vec![sent.clone(), sent], false),
    ] {
        let said = confirmation(&expected, &deliveries);
        assert_eq!(said.is_empty(), is_right, "{expected:?} {deliveries:?}: {said:?}");
    }
}

#[test]
fn who_was_cancelled_hears_of_it_once_and_nobody_else() {
    let told = delivery(NotificationEvent::OrderCancelled, NotificationStatus::Sent);
    for (ended, deliveries, is_right) in [
        (Status::RolledBack, vec![told.clone()], true),
        (Status::RolledBack, vec![], false),
        (Status::Completed, vec![], true),
        (Status::Completed, vec![told], false),
    ] {
        let said = ending(ended, &deliveries);
        assert_eq!(said.is_empty(), is_right, "{ended} {deliveries:?}: {said:?}");
    }
}

//! Which mails there must be when the log says how an order ended. Pure.

use jetsaga_contracts::{
    http::notification::{NotificationEvent, NotificationStatus},
    order_saga::Notified,
};
use saga_core::Status;
use saga_engine::Expected;

use crate::delivery::Delivery;

#[cfg(test)]
mod tests;

/// What is wrong with the confirmation of one order, whose deliveries these are.
pub fn confirmation(expected: &Expected<Notified>, deliveries: &[Delivery]) -> Vec<String> {
    let settled = settled(deliveries, NotificationEvent::OrderConfirmed);
    let why = match (expected, settled.as_slice()) {
        (Expected::Held(notified), [one]) if one.message_id != notified.message_id => {
            "the confirmation is another mail than the log says".to_owned()
        }
        (Expected::Held(_), [_]) | (Expected::Nothing, []) | (Expected::Open, [] | [_]) => {
            return Vec::new();
        }
        (_, settled) => {
            let wanted = if *expected == Expected::Nothing { "none" } else { "one" };
            format!("{} confirmations were sent, not {wanted}", settled.len())
        }
    };
    vec![why]
}

/// What is wrong with what was mailed of an ending that was mirrored.
pub fn ending(ended: Status, deliveries: &[Delivery]) -> Vec<String> {
    let cancelled = settled(deliveries, NotificationEvent::OrderCancelled).len();
    let wanted = usize::from(ended == Status::RolledBack);
    if cancelled == wanted {
        return Vec::new();
    }
    vec![format!("{cancelled} cancellations were sent, not {wanted}, and the saga is {ended}")]
}

/// Those of this kind that left, or never will.
fn settled(deliveries: &[Delivery], event: NotificationEvent) -> Vec<&Delivery> {
    let is_settled = |it: &&Delivery| it.status != NotificationStatus::Pending;
    deliveries.iter().filter(|it| it.event == event).filter(is_settled).collect()
}

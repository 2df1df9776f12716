//! A delivery: one mail to one recipient, and what became of it. Pure.

use jetsaga_contracts::{
    http::notification::{Channel, NotificationEvent, NotificationStatus},
    ids::NotificationId,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::sink::SinkError;

#[cfg(test)]
mod tests;

/// Who gets a mail. An order has one of each, so its address need not be part of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Who placed the order.
    Customer,
}

/// What makes a delivery the only one of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key<'a> {
    /// The saga's id, which is the order's.
    pub order: &'a str,
    /// What it says.
    pub event: NotificationEvent,
    /// How it travels.
    pub channel: Channel,
    /// To whom.
    pub role: Role,
}

impl<'a> Key<'a> {
    /// Keys of all deliveries that an order can have.
    pub fn of_order(order: &'a str) -> impl Iterator<Item = Key<'a>> {
        let events = [NotificationEvent::OrderConfirmed, NotificationEvent::OrderCancelled];
        events.into_iter().flat_map(move |event| {
            let channels = [Channel::Email, Channel::File];
            channels.map(|channel| Key { order, event, channel, role: Role::Customer })
        })
    }

    /// The id: a digest of the key, so that the same delivery always has the same one, and all
    /// deliveries of an order can be found by trying.
    pub fn id(&self) -> NotificationId {
        let mut hash = Sha256::new();
        hash.update(b"jetsaga notification v1");
        for part in [self.order, self.event_word(), channel_word(self.channel), self.role_word()] {
            // The length before each part: no two keys are the same bytes.
            hash.update(part.len().to_be_bytes());
            hash.update(part.as_bytes());
        }
        let mut bits = [0; 16];
        bits.copy_from_slice(&hash.finalize()[..16]);
        NotificationId::from_uuid(Uuid::from_bytes(bits))
    }

    fn event_word(&self) -> &'static str {
        match self.event {
            NotificationEvent::OrderConfirmed => "order_confirmed",
            NotificationEvent::OrderCancelled => "order_cancelled",
        }
    }

    fn role_word(&self) -> &'static str {
        match self.role {
            Role::Customer => "customer",
        }
    }
}

fn channel_word(channel: Channel) -> &'static str {
    match channel {
        Channel::Email => "email",
        Channel::File => "file",
    }
}

/// A delivery as the store keeps it. Times are milliseconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Made from the key.
    pub id: NotificationId,
    /// The saga's id, which is the order's.
    pub order: String,
    /// What it says.
    pub event: NotificationEvent,
    /// How it travels.
    pub channel: Channel,
    /// The address.
    pub recipient: String,
    /// Its subject line.
    pub subject: String,
    /// Where it stands.
    pub status: NotificationStatus,
    /// How often it was tried.
    pub attempts: u32,
    /// The Message-ID, without its brackets.
    pub message_id: String,
    /// What went wrong last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// When what it tells happened.
    pub created: i64,
    /// When it left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<i64>,
}

/// Whether a delivery is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It left, or never will: whoever waited for it may go on.
    Settled,
    /// It comes again, for this reason (which names no address).
    Again(String),
}

impl Delivery {
    /// What became of it in its `attempts`-th try, which ended at `now_ms`.
    pub fn tried(&mut self, attempts: u32, result: Result<(), SinkError>, now_ms: i64) -> Outcome {
        self.attempts = attempts;
        match result {
            Ok(()) => {
                (self.status, self.last_error) = (NotificationStatus::Sent, None);
                self.sent = Some(now_ms);
                Outcome::Settled
            }
            Err(SinkError::Rejected(why)) => {
                (self.status, self.last_error) = (NotificationStatus::Failed, Some(why));
                Outcome::Settled
            }
            Err(SinkError::Unavailable(why)) => {
                (self.status, self.last_error) = (NotificationStatus::Pending, Some(why.clone()));
                Outcome::Again(why)
            }
        }
    }
}

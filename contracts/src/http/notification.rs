//! Notifications that were sent, or will be.

use poem_openapi::{Enum, Object};
use serde::{Deserialize, Serialize};

use crate::{
    ids::{NotificationId, OrderId},
    time::Timestamp,
};

/// By which way a notification travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Enum)]
#[serde(rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
pub enum Channel {
    /// A mail by SMTP.
    Email,
    /// A mail written as a file.
    File,
}

/// What it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Enum)]
#[serde(rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
pub enum NotificationEvent {
    /// The order is confirmed.
    OrderConfirmed,
    /// The order was cancelled, and everything undone.
    OrderCancelled,
}

/// Where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Enum)]
#[serde(rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
pub enum NotificationStatus {
    /// Waiting to be sent, or to be sent again.
    Pending,
    /// The relay took it.
    Sent,
    /// The relay refused it for good.
    Failed,
}

/// One notification. Unique per order, event, channel and recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct Notification {
    /// Its id.
    pub id: NotificationId,
    /// The order it is about.
    pub order: OrderId,
    /// What it says.
    pub event: NotificationEvent,
    /// How it travels.
    pub channel: Channel,
    /// To whom.
    pub recipient: String,
    /// Its subject line.
    pub subject: String,
    /// Where it stands.
    pub status: NotificationStatus,
    /// How often it was tried.
    pub attempts: i64,
    /// The Message-ID it was, or will be, sent with.
    pub message_id: String,
    /// What the relay said last, when it did not take it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// When it was written.
    pub created_at: Timestamp,
    /// When the relay took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Timestamp>,
}

//! Orders.

use poem_openapi::{Enum, Object};
use serde::{Deserialize, Serialize};

use crate::{ids::OrderId, money::Money, order_saga::Customer, time::Timestamp};

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Enum)]
#[serde(rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
pub enum OrderStatus {
    /// Its saga is under way, forward or back.
    Pending,
    /// Paid, allocated, and the customer told.
    Confirmed,
    /// Called off; everything is undone. `reason` says why.
    Cancelled,
    /// Something could not be undone: a person has to look.
    NeedsAttention,
}

/// Why an order stands where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct Reason {
    /// Stable code, such as `out_of_stock` (see `order_saga::refusal`), `cancelled`, `timedout`.
    pub code: String,
    /// For a person to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The step that it comes from; absent for the saga as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
}

/// One line of an order; priced as soon as the order service has seen it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct OrderLineView {
    /// The product's SKU.
    pub sku: String,
    /// How many.
    pub quantity: i64,
    /// The product's name when it was ordered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The price of one when it was ordered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_price: Option<Money>,
    /// `quantity` times `unit_price`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<Money>,
}

/// One order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct Order {
    /// Its id, which is also its saga's.
    pub id: OrderId,
    /// Where it stands.
    pub status: OrderStatus,
    /// Why it was cancelled, is being rolled back, or needs attention.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// Who ordered.
    pub customer: Customer,
    /// What was ordered.
    pub lines: Vec<OrderLineView>,
    /// The sum of the lines, once they are priced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<Money>,
    /// What it is charged in (ISO 4217).
    pub currency: String,
    /// How it came here, oldest first; absent in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<Vec<OrderTransition>>,
    /// When it was placed.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// One entry of an order's history; entries are only ever added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct OrderTransition {
    /// Where it stood from then on.
    pub status: OrderStatus,
    /// Why, when there is more to say than the status does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// Who moved it: a service's name, or an operator.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// Status of an order that was just taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Enum)]
#[serde(rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
pub enum AcceptedStatus {
    /// It is in the log and will be seen through to its end.
    Accepted,
}

/// Answer to `POST /v1/orders` while the saga is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Object)]
pub struct OrderAccepted {
    /// The order's id.
    pub id: OrderId,
    /// Always `accepted`.
    pub status: AcceptedStatus,
    /// Where to go from here.
    pub links: OrderLinks,
}

/// Where an order can be seen. Paths relative to the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Object)]
pub struct OrderLinks {
    /// The order.
    #[serde(rename = "self")]
    #[oai(rename = "self")]
    pub order: String,
    /// Its progress, as server-sent events.
    pub events: String,
    /// Its saga, for operators.
    pub saga: String,
}

impl OrderLinks {
    /// The links of the order `id`.
    pub fn of(id: &OrderId) -> Self {
        Self {
            order: format!("/v1/orders/{id}"),
            events: format!("/v1/orders/{id}/events"),
            saga: format!("/v1/sagas/order/{id}"),
        }
    }
}

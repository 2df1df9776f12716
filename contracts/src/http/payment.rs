//! Payments and their ledger.

use poem_openapi::{Enum, Object};
use serde::{Deserialize, Serialize};

use crate::{
    ids::{OrderId, PaymentId},
    money::Money,
    time::Timestamp,
};

/// Where a payment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Enum)]
#[serde(rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
pub enum PaymentStatus {
    /// The provider has the money for us.
    Charged,
    /// The provider declined; nothing was charged.
    Declined,
    /// It was charged and given back.
    Refunded,
    /// It was called off; if a charge arrives late, the provider refuses it.
    Cancelled,
}

/// The payment of one order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct Payment {
    /// Its id.
    pub id: PaymentId,
    /// The order it pays.
    pub order: OrderId,
    /// Where it stands.
    pub status: PaymentStatus,
    /// What was asked for; absent when it was called off before we knew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
    /// The provider's reference of the charge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_ref: Option<String>,
    /// The provider's decline code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decline_code: Option<String>,
    /// The movements, oldest first: together they sum to zero, always; each account's sum is
    /// zero again after a refund.
    pub ledger: Vec<LedgerEntry>,
    /// When it was first written.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// An account of the ledger.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Enum,
)]
#[serde(rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
pub enum Account {
    /// What the provider owes us.
    Provider,
    /// What the customer has paid.
    Customer,
}

/// Why money moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Enum)]
#[serde(rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
pub enum LedgerKind {
    /// The customer paid.
    Charge,
    /// The customer got it back.
    Refund,
}

/// One side of one movement of money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Object)]
pub struct LedgerEntry {
    /// Whose account.
    pub account: Account,
    /// Why.
    pub kind: LedgerKind,
    /// How much: the two sides of a movement have opposite signs.
    pub amount: Money,
    /// When.
    pub at: Timestamp,
}

//! The provider's HTTP interface, as JSON. The shapes follow those of well-known card processors.
//!
//! | call | |
//! | --- | --- |
//! | `POST /v1/charges` | header `Idempotency-Key`; body [`ChargeRequest`]; 200 [`ChargeObject`], 402 [`ErrorBody`] |
//! | `GET /v1/charges/by-key/{key}` | 200 [`ChargeObject`], 404 |
//! | `POST /v1/charges/by-key/{key}/cancel` | 200 [`ChargeObject`]: `canceled`, or what it has become |
//! | `POST /v1/refunds` | header `Idempotency-Key`; body [`RefundRequest`]; 200 [`RefundObject`] |

use serde::{Deserialize, Serialize};

/// Header that makes a call happen once.
pub const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

/// Error code of a status that is asked of a key which was never seen.
pub const UNKNOWN_KEY: &str = "unknown_key";

/// A charge to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChargeRequest {
    /// Minor units; positive.
    pub amount: i64,
    /// ISO 4217 code.
    pub currency: String,
    /// A token; never a card number.
    pub payment_method: String,
    /// Whose order it is, for the provider's records.
    pub order: String,
}

/// Where a charge stands at the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChargeStatus {
    /// The money was taken.
    Succeeded,
    /// The bank declined.
    Failed,
    /// It was called off before it arrived.
    Canceled,
    /// The money was taken and given back.
    Refunded,
}

/// A charge at the provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChargeObject {
    /// The provider's reference; absent when it was cancelled before it arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Where it stands.
    pub status: ChargeStatus,
    /// Minor units; absent when it was cancelled before it arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<i64>,
    /// ISO 4217 code; absent when it was cancelled before it arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Why the bank declined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decline_code: Option<String>,
}

/// A charge to be given back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefundRequest {
    /// The provider's reference of the charge.
    pub charge: String,
    /// Minor units: the whole charge.
    pub amount: i64,
}

/// A refund at the provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundObject {
    /// The provider's reference of the refund.
    pub id: String,
    /// The charge that was given back.
    pub charge: String,
    /// Minor units.
    pub amount: i64,
}

/// Body of every answer that is not a success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What is wrong.
    pub error: ErrorObject,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorObject {
    /// `card_error`, `invalid_request_error`, `idempotency_error`, `authentication_error`,
    /// `api_error`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Stable code.
    pub code: String,
    /// Why the bank declined; only for `card_declined`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decline_code: Option<String>,
    /// For a person to read.
    pub message: String,
}

//! The order saga's own words: what goes in, what each step hands on, why a step refuses.
//!
//! Steps in their order: `order` → `payment` → `inventory` → `notification`; the definition
//! itself is a value of `saga-workflows`.

use poem_openapi::Object;
use serde::{Deserialize, Serialize};

use crate::{limits, money::Money};

mod check;
pub mod refusal;
#[cfg(test)]
mod tests;

/// The saga's type.
pub const TYPE: &str = "order";
/// Names of the steps.
pub mod step {
    /// Prices the lines and writes the order as pending.
    pub const ORDER: &str = "order";
    /// Charges the customer.
    pub const PAYMENT: &str = "payment";
    /// Allocates the stock.
    pub const INVENTORY: &str = "inventory";
    /// Sends the confirmation.
    pub const NOTIFICATION: &str = "notification";
}

/// What a customer asks for: the body of `POST /v1/orders` and the saga's input.
///
/// Parsing checks shapes; [`OrderInput::violations`] checks everything else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Object)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
pub struct OrderInput {
    /// Who orders.
    pub customer: Customer,
    /// What is ordered: 1 to 100 lines, each SKU at most once.
    #[oai(validator(min_items = 1, max_items = 100))]
    pub lines: Vec<OrderLine>,
    /// The currency to be charged in (ISO 4217); every product must be priced in it.
    #[oai(validator(pattern = "^[A-Z]{3}$"))]
    pub currency: String,
    /// How it is paid.
    pub payment: PaymentMethod,
}

/// Who orders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Object)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
pub struct Customer {
    /// Name as the customer writes it: 1 to 200 characters, no control characters.
    #[oai(validator(
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$"
    ))]
    pub name: String,
    /// Where the mails go.
    #[oai(validator(
        max_length = 254,
        pattern = r"^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)+$"
    ))]
    pub email: String,
}

/// One line of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Object)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
pub struct OrderLine {
    /// The product's SKU.
    #[oai(validator(max_length = 64, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"))]
    pub sku: String,
    /// How many: 1 to 10,000.
    #[oai(validator(minimum(value = "1"), maximum(value = "10000")))]
    pub quantity: i64,
}

/// How an order is paid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Object)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
pub struct PaymentMethod {
    /// The payment provider's token. A card number is refused.
    #[oai(validator(max_length = 64, pattern = "^pm_[a-z0-9_]{1,61}$"))]
    pub token: String,
}

/// Output of the step `order`: the lines as they were priced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Object)]
pub struct OrderPriced {
    /// The lines in the order of the input, with the product's snapshot.
    pub lines: Vec<PricedLine>,
    /// The sum of the lines: what is charged.
    pub total: Money,
}

/// A line with a snapshot of its product: a later change of the price does not touch it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Object)]
pub struct PricedLine {
    /// The product's SKU.
    pub sku: String,
    /// The product's name when it was ordered.
    pub name: String,
    /// How many.
    pub quantity: i64,
    /// The price of one when it was ordered.
    pub unit_price: Money,
    /// `quantity` times `unit_price`.
    pub total: Money,
}

/// Output of the step `payment`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Object)]
pub struct Charged {
    /// The provider's own reference of the charge.
    pub provider_ref: String,
    /// What was charged.
    pub amount: Money,
}

/// Output of the step `inventory`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Object)]
pub struct Allocated {
    /// What was set aside: the lines of the order.
    pub lines: Vec<AllocatedLine>,
}

/// How many of one SKU are set aside for the order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Object)]
pub struct AllocatedLine {
    /// The product's SKU.
    pub sku: String,
    /// How many.
    pub quantity: i64,
}

/// Output of the step `notification`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Object)]
pub struct Notified {
    /// The Message-ID of the mail.
    pub message_id: String,
}

// The attributes above can only hold literals; they are these limits.
const _: () = assert!(
    limits::MAX_LINES == 100
        && limits::MIN_QUANTITY == 1
        && limits::MAX_QUANTITY == 10_000
        && limits::MAX_CUSTOMER_NAME == 200
        && limits::MAX_EMAIL == 254
        && limits::MAX_SKU == 64
        && limits::MAX_TOKEN == 64
);
// No order can overflow a line's arithmetic by its quantity alone.
const _: () = assert!(limits::MAX_AMOUNT / limits::MAX_QUANTITY > 100_000_000);

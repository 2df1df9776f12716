//! Stock of one SKU.

use poem_openapi::Object;
use serde::{Deserialize, Serialize};

use crate::{
    limits::{MAX_REASON, MAX_STOCK},
    time::Timestamp,
    violation::{Violation, is_line},
};

/// How much of one SKU is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Object)]
pub struct Stock {
    /// The product's SKU.
    pub sku: String,
    /// What lies in the warehouse; never negative.
    pub on_hand: i64,
    /// What of it is set aside for orders; never more than `on_hand`.
    pub allocated: i64,
    /// What can still be ordered: `on_hand` less `allocated`.
    pub available: i64,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// A correction of the stock: the body of `POST /v1/stock/{sku}/adjustments`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Object)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
pub struct StockAdjustment {
    /// What comes in (positive) or goes out (negative); not zero.
    #[oai(validator(minimum(value = "-1000000000"), maximum(value = "1000000000")))]
    pub delta: i64,
    /// Why, such as `delivery` or `broken`: 1 to 500 characters, no control characters.
    #[oai(validator(
        min_length = 1,
        max_length = 500,
        pattern = r"^[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$"
    ))]
    pub reason: String,
}

impl StockAdjustment {
    /// What is wrong with it, field by field.
    pub fn violations(&self) -> Vec<Violation> {
        let mut found = Vec::new();
        if self.delta == 0 || !(-MAX_STOCK..=MAX_STOCK).contains(&self.delta) {
            let detail = format!("must be between -{MAX_STOCK} and {MAX_STOCK}, and not 0");
            found.push(Violation::new("/delta", "out_of_range", detail));
        }
        if !is_line(&self.reason, MAX_REASON) {
            let detail = format!("must have 1 to {MAX_REASON} characters, no control characters");
            found.push(Violation::new("/reason", "invalid_reason", detail));
        }
        found
    }
}

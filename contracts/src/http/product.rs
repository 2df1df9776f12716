//! Products of the catalogue.

use poem_openapi::Object;
use serde::{Deserialize, Serialize};

use crate::{
    limits::{MAX_AMOUNT, MAX_PRODUCT_NAME},
    money::Money,
    time::Timestamp,
    violation::{Violation, is_line},
};

/// Something that is, or was, for sale.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Object)]
pub struct Product {
    /// Its SKU: 1 to 64 letters, digits, dots, dashes, underscores.
    pub sku: String,
    /// Its name.
    pub name: String,
    /// The price of one.
    pub price: Money,
    /// Whether it can be ordered now.
    pub active: bool,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// What a catalogue keeper writes: the body of `PUT /v1/products/{sku}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Object)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
pub struct ProductWrite {
    /// Its name: 1 to 120 characters, no control characters.
    #[oai(validator(
        min_length = 1,
        max_length = 120,
        pattern = r"^[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$"
    ))]
    pub name: String,
    /// The price of one; not negative.
    pub price: Money,
    /// Whether it can be ordered.
    pub active: bool,
}

impl ProductWrite {
    /// What is wrong with it, field by field.
    pub fn violations(&self) -> Vec<Violation> {
        let mut found = Vec::new();
        if !is_line(&self.name, MAX_PRODUCT_NAME) {
            let detail = format!(
                "must have 1 to {MAX_PRODUCT_NAME} characters, no leading space, \
                 no control characters"
            );
            found.push(Violation::new("/name", "invalid_name", detail));
        }
        if !(0..=MAX_AMOUNT).contains(&self.price.amount) {
            let detail = format!("must be between 0 and {MAX_AMOUNT}");
            found.push(Violation::new("/price/amount", "out_of_range", detail));
        }
        found
    }
}

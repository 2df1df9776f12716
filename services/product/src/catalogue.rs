//! The domain: products, the SKUs of a question, and the demo's catalogue.

use jetsaga_contracts::limits::MAX_SKUS_PER_CALL;
use jetsaga_contracts::money::Money;
use jetsaga_contracts::violation::is_sku;
use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// A product, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredProduct {
    /// Its name.
    pub name: String,
    /// The price of one.
    pub price: Money,
    /// Whether it can be ordered.
    pub active: bool,
    /// When it was last changed: milliseconds since the epoch.
    pub updated: i64,
}

/// Why a list of SKUs cannot be answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSkus {
    /// Too many at once.
    #[error("at most {MAX_SKUS_PER_CALL} SKUs in one call")]
    TooMany,
    /// One of them is not a SKU.
    #[error("a SKU has 1 to 64 letters, digits, dots, dashes or underscores")]
    Malformed,
}

/// The SKUs of `a,b,c`, each once.
pub fn skus(text: &str) -> Result<Vec<&str>, BadSkus> {
    let mut found: Vec<&str> = text.split(',').filter(|sku| !sku.is_empty()).collect();
    found.sort_unstable();
    found.dedup();
    if found.len() > MAX_SKUS_PER_CALL {
        return Err(BadSkus::TooMany);
    }
    if found.iter().all(|sku| is_sku(sku)) { Ok(found) } else { Err(BadSkus::Malformed) }
}

/// A product of the demo's catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemoProduct {
    /// The SKU.
    pub sku: &'static str,
    /// The name.
    pub name: &'static str,
    /// The price in cents.
    pub cents: i64,
    /// Whether it can be ordered.
    pub active: bool,
}

/// The demo's catalogue, in euros.
pub fn demo() -> Vec<DemoProduct> {
    let product = |sku, name, cents| DemoProduct { sku, name, cents, active: true };
    vec![
        product("tea-assam", "Assam tea, 100 g", 590),
        product("tea-sencha", "Sencha tea, 100 g", 890),
        product("coffee-yirgacheffe", "Yirgacheffe coffee, 250 g", 1_190),
        product("cup-stoneware", "Stoneware cup", 1_450),
        product("kettle-steel", "Steel kettle, 1.2 l", 4_990),
        product("teapot-glass", "Glass teapot, 0.8 l", 2_790),
        product("honey-forest", "Forest honey, 500 g", 1_090),
        // Three of it are in stock: a fourth is refused.
        product("vase-limited", "Vase, limited edition", 12_900),
        // None is in stock: every order of it rolls back.
        product("mug-sold-out", "Mug, sold out", 990),
        DemoProduct { active: false, ..product("tea-retired", "Tea, no longer sold", 490) },
    ]
}

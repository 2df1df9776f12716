//! The domain: what can be set aside. Pure.

use std::collections::BTreeMap;

use jetsaga_contracts::order_saga::{AllocatedLine, refusal};
use saga_engine::saga_core::Reason;
use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// The stock of one SKU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level {
    /// What lies in the warehouse.
    pub on_hand: i64,
    /// What of it is set aside.
    pub allocated: i64,
}

impl Level {
    /// What can still be set aside.
    pub fn available(self) -> i64 {
        self.on_hand.saturating_sub(self.allocated)
    }
}

/// The stock as it was loaded, less what was decided since: a batch of orders is decided one after
/// the other over one of these, so that together they never take more than there is.
#[derive(Debug, Clone, Default)]
pub struct Shelf(BTreeMap<String, Level>);

impl Shelf {
    /// A shelf with these levels.
    pub fn new(levels: impl IntoIterator<Item = (String, Level)>) -> Self {
        Self(levels.into_iter().collect())
    }

    /// Sets all lines aside, or none.
    ///
    /// # Errors
    /// The first line that cannot be had, as a refusal.
    pub fn take(&mut self, lines: &[AllocatedLine]) -> Result<(), Reason> {
        // Lines of one SKU count together.
        let mut wanted: BTreeMap<&str, i64> = BTreeMap::new();
        for line in lines {
            let sum = wanted.entry(&line.sku).or_default();
            *sum = sum.saturating_add(line.quantity);
        }
        for (sku, quantity) in &wanted {
            let available = self.0.get(*sku).map_or(0, |level| level.available());
            if *quantity <= 0 || *quantity > available {
                let detail = format!("{sku}: {quantity} wanted, {available} available");
                return Err(Reason::new(refusal::OUT_OF_STOCK, &detail));
            }
        }
        for (sku, quantity) in wanted {
            if let Some(level) = self.0.get_mut(sku) {
                level.allocated += quantity;
            }
        }
        Ok(())
    }
}

/// The demo's warehouse: SKU and pieces.
pub fn demo() -> Vec<(&'static str, i64)> {
    vec![
        ("tea-assam", 1_000_000),
        ("tea-sencha", 1_000_000),
        ("coffee-yirgacheffe", 1_000_000),
        ("cup-stoneware", 100_000),
        ("kettle-steel", 10_000),
        ("teapot-glass", 10_000),
        ("honey-forest", 100_000),
        ("vase-limited", 3),
        ("mug-sold-out", 0),
        ("tea-retired", 5),
    ]
}

//! What the stock must say when the log says how an order ended. Pure.

use std::collections::BTreeMap;

use jetsaga_contracts::order_saga::{Allocated, AllocatedLine};
use saga_engine::Expected;

use crate::store::Sums;

#[cfg(test)]
mod tests;

/// What is wrong with what an order holds. `asked` is what its input asks for.
pub fn allocation(
    expected: &Expected<Allocated>,
    asked: &[AllocatedLine],
    held: Option<&[AllocatedLine]>,
) -> Vec<String> {
    let why = match (expected, held) {
        (Expected::Held(output), Some(held)) if output.lines != held => {
            "the order holds other pieces than the log says"
        }
        (Expected::Held(_), None) => "the order holds nothing, and the log says that it does",
        (Expected::Nothing, Some(_)) => "the order holds pieces, and the log says that it must not",
        (Expected::Open, Some(held)) if held != asked => {
            "the order holds other pieces than it asks for"
        }
        _ => return Vec::new(),
    };
    vec![why.to_owned()]
}

/// What is wrong with the stock as a whole: what is set aside is what orders hold, and no more
/// than there is.
pub fn sums(sums: &Sums) -> Vec<String> {
    let mut held: BTreeMap<&str, i64> = BTreeMap::new();
    for line in sums.held.iter().flatten() {
        let sum = held.entry(&line.sku).or_default();
        *sum = sum.saturating_add(line.quantity);
    }
    let mut found = Vec::new();
    for stock in &sums.stock {
        let (sku, level) = (&stock.sku, stock.level);
        let by_orders = held.remove(sku.as_str()).unwrap_or(0);
        if level.allocated != by_orders {
            let allocated = level.allocated;
            found.push(format!("{sku}: {allocated} set aside, and orders hold {by_orders}"));
        }
        if level.available() < 0 {
            let (allocated, on_hand) = (level.allocated, level.on_hand);
            found.push(format!("{sku}: {allocated} set aside, and only {on_hand} on hand"));
        }
    }
    let unknown = held.into_iter().map(|(sku, sum)| format!("{sku}: orders hold {sum}, no stock"));
    found.extend(unknown);
    found
}

//! What an order must be when the log says how its saga ended. Pure.

use jetsaga_contracts::{
    http::order::OrderStatus,
    order_saga::{OrderInput, OrderPriced},
};
use saga_core::Status;
use saga_engine::Expected;

use crate::order::{Placed, StoredOrder};

#[cfg(test)]
mod tests;

/// What is wrong with what was written of an order when it was priced.
pub fn placed(
    expected: &Expected<OrderPriced>,
    input: &OrderInput,
    order: Option<&StoredOrder>,
) -> Vec<String> {
    let Expected::Held(priced) = expected else { return Vec::new() };
    let Some(order) = order else {
        return vec!["there is no order, and the log says that it was priced".to_owned()];
    };
    let is_as_priced = order.placed == Placed::priced(input, priced);
    let why = "the order is not what was asked for at the prices of the log";
    if is_as_priced { Vec::new() } else { vec![why.to_owned()] }
}

/// What is wrong with where an order stands whose saga ended so, and whose ending was mirrored.
pub fn standing(ended: Status, order: Option<&StoredOrder>) -> Vec<String> {
    let wanted = match ended {
        Status::Completed => OrderStatus::Confirmed,
        Status::RolledBack => OrderStatus::Cancelled,
        Status::Running | Status::RollingBack | Status::Stuck => return Vec::new(),
    };
    match order.map(|order| order.last().status) {
        None => vec![format!("there is no order, and its saga is {ended}")],
        Some(status) if status != wanted => {
            vec![format!("the order is {status:?}, and its saga is {ended}")]
        }
        Some(_) => Vec::new(),
    }
}

//! An order as the log shows it.

use jetsaga_contracts::http::order::{Order, OrderLineView, OrderStatus, Reason};
use jetsaga_contracts::ids::OrderId;
use jetsaga_contracts::order_saga::{OrderInput, OrderPriced, step};
use jetsaga_contracts::time::Timestamp;
use saga_engine::Stored;
use saga_engine::saga_core::{Record, Status};
use serde::Deserialize as _;

/// Why a record cannot be shown as an order.
#[derive(Debug, thiserror::Error)]
pub enum Unshown {
    /// The id is not an order's.
    #[error("{0:?} is not an order's id")]
    Id(String),
    /// The input is not an order's.
    #[error("the input of the saga is not an order")]
    Input(#[source] serde_json::Error),
}

/// The order of a saga; `created_ms` is when its first event was stored.
pub fn order(stored: &Stored, created_ms: i64) -> Result<Order, Unshown> {
    let record = &stored.record;
    let id: OrderId = record.id.parse().map_err(|_bad| Unshown::Id(record.id.clone()))?;
    let input = OrderInput::deserialize(&*record.input).map_err(Unshown::Input)?;
    let priced = record.output(step::ORDER).map(OrderPriced::deserialize).and_then(Result::ok);
    let (lines, total) = match priced {
        Some(priced) => (priced.lines.into_iter().map(priced_line).collect(), Some(priced.total)),
        None => {
            (input.lines.into_iter().map(|line| plain(line.sku, line.quantity)).collect(), None)
        }
    };
    Ok(Order {
        id,
        status: status(record.status),
        reason: reason(record),
        customer: input.customer,
        lines,
        total,
        currency: input.currency,
        history: None,
        created_at: time(created_ms),
        updated_at: time(stored.at_ms),
    })
}

/// What the status of a saga means for its order.
pub fn status(status: Status) -> OrderStatus {
    match status {
        Status::Running | Status::RollingBack => OrderStatus::Pending,
        Status::Completed => OrderStatus::Confirmed,
        Status::RolledBack => OrderStatus::Cancelled,
        Status::Stuck => OrderStatus::NeedsAttention,
    }
}

/// Why an order is rolled back.
pub fn reason(record: &Record) -> Option<Reason> {
    record.cause.as_ref().map(|cause| Reason {
        code: cause.code.clone(),
        detail: Some(cause.detail.clone()).filter(|detail| !detail.is_empty()),
        step: Some(cause.step.clone()).filter(|step| step != "saga"),
    })
}

/// Milliseconds since the epoch as people write it.
pub fn time(milliseconds: i64) -> Timestamp {
    chrono::DateTime::from_timestamp_millis(milliseconds).unwrap_or_default().into()
}

fn plain(sku: String, quantity: i64) -> OrderLineView {
    OrderLineView { sku, quantity, name: None, unit_price: None, total: None }
}

fn priced_line(line: jetsaga_contracts::order_saga::PricedLine) -> OrderLineView {
    OrderLineView {
        sku: line.sku,
        quantity: line.quantity,
        name: Some(line.name),
        unit_price: Some(line.unit_price),
        total: Some(line.total),
    }
}

//! An order: where it stands, what moves it, what is remembered of it. Pure: times come in.

use jetsaga_contracts::{
    http::order::{OrderLineView, OrderStatus, Reason},
    money::Money,
    order_saga::{Customer, OrderInput, OrderPriced},
};
use saga_core::Cause;
use serde::{Deserialize, Serialize};

pub mod pricing;
#[cfg(test)]
mod tests;

/// What can happen to an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// Its lines were priced (the step `order` ran).
    Priced,
    /// It cannot be priced (the step `order` refused).
    Refused,
    /// The step `order` was undone.
    Undone,
    /// Its saga completed.
    Completed,
    /// Its saga rolled back.
    RolledBack,
    /// Its saga is stuck: something could not be undone.
    Stuck,
}

impl Move {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Priced, Self::Refused, Self::Undone, Self::Completed, Self::RolledBack, Self::Stuck];
}

/// Where an order goes from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// To this status; the history gets an entry.
    To(OrderStatus),
    /// Nowhere: it is there already, or the news is older than what is known.
    Keep,
}

/// A move that no saga makes: some record or row is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an order that is {from:?} cannot be moved by {by:?}")]
pub struct Illegal {
    /// Where the order stood; `None`: there was none.
    pub from: Option<OrderStatus>,
    /// What was to happen.
    pub by: Move,
}

/// Where an order goes from `from` (`None`: there is none yet) when `by` happens.
///
/// # Errors
/// [`Illegal`] for a move that no saga makes.
pub fn next(from: Option<OrderStatus>, by: Move) -> Result<Next, Illegal> {
    use OrderStatus::{Cancelled, Confirmed, NeedsAttention, Pending};
    match (from, by) {
        (None, Move::Priced) => Ok(Next::To(Pending)),
        // An operator skipped the step `order`: the ending writes the order.
        (None | Some(Pending), Move::Completed) => Ok(Next::To(Confirmed)),
        // Refused, or the saga ended before the step ran: customers see why all the same.
        (None, Move::Refused | Move::RolledBack) => Ok(Next::To(Cancelled)),
        (None | Some(Pending), Move::Stuck) => Ok(Next::To(NeedsAttention)),
        (Some(Pending | NeedsAttention), Move::Undone | Move::RolledBack) => {
            Ok(Next::To(Cancelled))
        }
        // Nothing happened yet, so nothing is to be undone.
        (None, Move::Undone)
        // Told before. A `stuck` that is told after the undo is old news: the undo of `order`
        // is the last of its saga.
        | (Some(Confirmed), Move::Completed)
        | (Some(Cancelled), Move::Undone | Move::RolledBack | Move::Stuck)
        | (Some(NeedsAttention), Move::Stuck) => Ok(Next::Keep),
        (
            Some(Pending | Cancelled | NeedsAttention),
            Move::Priced | Move::Refused | Move::Completed,
        )
        | (Some(Confirmed), _) => {
            Err(Illegal { from, by })
        }
    }
}

/// Most entries that a history can have: placed, in need of attention, cancelled.
pub const LONGEST_HISTORY: usize = 3;

/// An order as it is kept: what never changes, and a history that only grows.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredOrder {
    /// What was ordered.
    pub placed: Placed,
    /// Where it began.
    pub first: Entry,
    /// Where it went from there, oldest first.
    pub moves: Vec<Entry>,
}

/// Where an order stands, and how many entries its history has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The status.
    pub status: OrderStatus,
    /// The number of entries; the next one has this number plus one.
    pub version: usize,
}

/// What was ordered, by whom, at which prices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Placed {
    /// Who ordered.
    pub customer: Customer,
    /// The lines; with snapshots of their products once priced.
    pub lines: Vec<OrderLineView>,
    /// The sum of the lines, once priced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<Money>,
    /// What it is charged in (ISO 4217), as it was asked for.
    pub currency: String,
}

/// One entry of an order's history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Where it stood from then on.
    pub status: OrderStatus,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// Who moved it.
    pub by: String,
    /// When the event behind it was stored in the log: milliseconds since the epoch.
    pub at: i64,
    /// Number of the saga's event behind it, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<u64>,
}

impl StoredOrder {
    /// An order whose history begins with `first`.
    pub fn new(placed: Placed, first: Entry) -> Self {
        Self { placed, first, moves: Vec::new() }
    }

    /// The last entry: where it stands, why, and since when.
    pub fn last(&self) -> &Entry {
        self.moves.last().unwrap_or(&self.first)
    }

    /// The whole history, oldest first.
    pub fn history(&self) -> impl Iterator<Item = &Entry> {
        std::iter::once(&self.first).chain(&self.moves)
    }

    /// Where it stands.
    pub fn standing(&self) -> Standing {
        Standing { status: self.last().status, version: 1 + self.moves.len() }
    }
}

impl Placed {
    /// What was asked for, before anybody priced it.
    pub fn asked(input: &OrderInput) -> Self {
        let line = |line: &jetsaga_contracts::order_saga::OrderLine| OrderLineView {
            sku: line.sku.clone(),
            quantity: line.quantity,
            name: None,
            unit_price: None,
            total: None,
        };
        Self {
            customer: input.customer.clone(),
            lines: input.lines.iter().map(line).collect(),
            total: None,
            currency: input.currency.clone(),
        }
    }

    /// What was asked for, at the prices of `priced`.
    pub fn priced(input: &OrderInput, priced: &OrderPriced) -> Self {
        let line = |line: &jetsaga_contracts::order_saga::PricedLine| OrderLineView {
            sku: line.sku.clone(),
            quantity: line.quantity,
            name: Some(line.name.clone()),
            unit_price: Some(line.unit_price),
            total: Some(line.total),
        };
        Self {
            customer: input.customer.clone(),
            lines: priced.lines.iter().map(line).collect(),
            total: Some(priced.total),
            currency: input.currency.clone(),
        }
    }
}

/// A saga's cause as the reason of an order.
pub fn reason_of(cause: &Cause) -> Reason {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Reason {
        code: cause.code.clone(),
        detail: some(&cause.detail),
        step: (cause.step != saga_core::event::SAGA).then(|| cause.step.clone()),
    }
}

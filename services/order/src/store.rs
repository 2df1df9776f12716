//! The queries of the order service, and nothing but queries.

use std::collections::HashMap;

use jetsaga_contracts::{http::order::OrderStatus, ids::OrderId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use service_kit::{Store, Work, store::Error};

use crate::order::{Entry, StoredOrder};

#[cfg(test)]
mod tests;

/// The tables, as migrations.
pub const SCHEMA: &str = include_str!("../schema.surql");

const CREATE: &str = "
    CREATE type::record('orders', $m.id) CONTENT $m.order RETURN NONE;
    CREATE type::record('orders_by_time', [$m.rank, $m.id]) RETURN NONE;
";
const MOVE: &str = "
    LET $moved = (UPDATE type::record('orders', $m.id)
        SET status = $m.entry.status, reason = $m.entry.reason, updated = $m.entry.at,
            history += $m.entry
        WHERE status = $m.seen RETURN VALUE updated);
    IF array::len($moved) == 0 { THROW 'raced' };
";
const STATUSES: &str = "
    SELECT record::id(id) AS id, status FROM $ids.map(|$id| type::record('orders', $id))
";
const ONE: &str = "SELECT * FROM type::record('orders', $id)";
// The range is made by a function on purpose: of one that is written out, the database reads
// everything before it looks at the limit.
const PAGE: &str = "
    SELECT * FROM (SELECT VALUE type::record('orders', record::id(id)[1])
        FROM type::record('orders_by_time', [$rank, $id]>..) LIMIT $limit)
";

/// The order service's database.
#[derive(Debug, Clone)]
pub struct Orders(Store);

/// Where a page of the list begins: after this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct After {
    /// When that order was created: milliseconds since the epoch.
    pub created: i64,
    /// Its id.
    pub id: OrderId,
}

/// An order with its id, as it comes out of the database.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Found {
    /// Its id.
    pub id: OrderId,
    /// The order.
    #[serde(flatten)]
    pub order: StoredOrder,
}

#[derive(Deserialize)]
struct Standing {
    id: OrderId,
    status: OrderStatus,
}

impl Orders {
    /// Queries over a store that has the tables of [`SCHEMA`].
    pub fn new(store: Store) -> Self {
        Self(store)
    }

    /// The store itself: the engine's barrier.
    pub fn barrier(&self) -> &Store {
        &self.0
    }

    /// Where each of these orders stands; those that do not exist are left out.
    pub async fn statuses(&self, ids: &[&str]) -> Result<HashMap<OrderId, OrderStatus>, Error> {
        let rows: Vec<Standing> = self.0.rows(STATUSES, json!({ "ids": ids })).await?;
        Ok(rows.into_iter().map(|row| (row.id, row.status)).collect())
    }

    /// One order.
    pub async fn get(&self, id: &OrderId) -> Result<Option<Found>, Error> {
        Ok(self.0.rows(ONE, json!({ "id": id })).await?.pop())
    }

    /// The `limit` orders after `after`, newest first, of one age by id.
    pub async fn page(&self, after: Option<&After>, limit: usize) -> Result<Vec<Found>, Error> {
        // No time is before all of them: keys begin with minus the time of creation.
        let (created, id) = after.map_or((i64::MAX, ""), |a| (a.created, a.id.as_str()));
        self.0.rows(PAGE, json!({ "rank": rank(created), "id": id, "limit": limit })).await
    }
}

/// Writes an order that does not exist yet.
pub fn create(id: &OrderId, order: &StoredOrder) -> Work {
    Work::one(CREATE, json!({ "id": id, "rank": rank(order.created), "order": stored(order) }))
}

/// Moves an order that stands at `seen`, and adds to its history.
pub fn advance(id: &OrderId, seen: OrderStatus, entry: &Entry) -> Work {
    Work::one(MOVE, json!({ "id": id, "seen": seen, "entry": stored(entry) }))
}

/// Types of this crate have string keys and no floats: they always are JSON.
fn stored(value: &impl Serialize) -> serde_json::Value {
    serde_json::to_value(value).unwrap_or_default()
}

/// What sorts newer orders first.
fn rank(created: i64) -> i64 {
    created.saturating_neg()
}

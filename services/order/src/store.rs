//! The queries of the order service, and nothing but queries.

use std::collections::HashMap;

use jetsaga_contracts::{http::order::OrderStatus, ids::OrderId};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use service_kit::{Store, Work, store::Error};

use crate::order::{Entry, LONGEST_HISTORY, Placed, Standing, StoredOrder};

#[cfg(test)]
mod tests;

/// The tables, as migrations.
pub const SCHEMA: &str = include_str!("../schema.surql");

const PLACE: &str = "INSERT INTO orders $all RETURN NONE";
const LIST: &str = "INSERT INTO orders_by_time $all RETURN NONE";
const MOVE: &str = "INSERT INTO order_moves $all RETURN NONE";
const FIRST_STATUSES: &str = "
    SELECT record::id(id) AS order, first.status AS status
        FROM $ids.map(|$id| type::record('orders', $id))
";
const STATUSES: &str = "
    SELECT record::id(id) AS key, entry.status AS status
        FROM $keys.map(|$key| type::record('order_moves', $key))
";
const ORDERS: &str = "
    SELECT * FROM $ids.map(|$id| type::record('orders', $id));
    SELECT * FROM $keys.map(|$key| type::record('order_moves', $key));
";
// The range is made by a function on purpose: of one that is written out, the database reads
// everything before it looks at the limit.
const PAGE: &str = "
    SELECT VALUE record::id(id)[1] FROM type::record('orders_by_time', [$rank, $id]>..)
        LIMIT $limit
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

/// An order with its id.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Its id.
    pub id: OrderId,
    /// The order.
    pub order: StoredOrder,
}

#[derive(Deserialize)]
struct FirstStatus {
    order: OrderId,
    status: OrderStatus,
}

/// Key of an entry after the first: the order, and the entry's number.
type MoveKey = (OrderId, usize);

#[derive(Deserialize)]
struct MoveStatus {
    key: MoveKey,
    status: OrderStatus,
}

#[derive(Deserialize)]
struct OrderRow {
    id: OrderId,
    placed: Placed,
    first: Entry,
}

#[derive(Deserialize)]
struct MoveRow {
    id: MoveKey,
    entry: Entry,
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
    pub async fn standings(&self, ids: &[&str]) -> Result<HashMap<OrderId, Standing>, Error> {
        let rows: Vec<FirstStatus> = self.0.rows(FIRST_STATUSES, json!({ "ids": ids })).await?;
        let first = |row: FirstStatus| (row.order, Standing { status: row.status, version: 1 });
        let mut standings: HashMap<_, _> = rows.into_iter().map(first).collect();
        let mut latest: Vec<OrderId> = standings.keys().cloned().collect();
        // Few orders have more than one entry by the time that somebody asks here.
        while !latest.is_empty() {
            let next = |id: &OrderId| (id.clone(), standings[id].version + 1);
            let keys: Vec<MoveKey> = latest.iter().map(next).collect();
            let rows: Vec<MoveStatus> = self.0.rows(STATUSES, json!({ "keys": keys })).await?;
            latest = rows.iter().map(|row| row.key.0.clone()).collect();
            standings.extend(rows.into_iter().map(|MoveStatus { key: (id, version), status }| {
                (id, Standing { status, version })
            }));
        }
        Ok(standings)
    }

    /// One order.
    pub async fn get(&self, id: &OrderId) -> Result<Option<Found>, Error> {
        Ok(self.load(std::slice::from_ref(id)).await?.pop())
    }

    /// Those of these orders that exist, by id.
    pub async fn some(&self, ids: &[OrderId]) -> Result<HashMap<OrderId, StoredOrder>, Error> {
        let found = self.load(ids).await?;
        Ok(found.into_iter().map(|found| (found.id, found.order)).collect())
    }

    /// The `limit` orders after `after`, newest first, of one age by id.
    pub async fn page(&self, after: Option<&After>, limit: usize) -> Result<Vec<Found>, Error> {
        // No time is before all of them: keys begin with minus the time of creation.
        let (created, id) = after.map_or((i64::MAX, ""), |a| (a.created, a.id.as_str()));
        let binds = json!({ "rank": rank(created), "id": id, "limit": limit });
        self.load(&self.0.rows::<OrderId>(PAGE, binds).await?).await
    }

    /// Those of these orders that exist, in this order.
    async fn load(&self, ids: &[OrderId]) -> Result<Vec<Found>, Error> {
        let numbers = |id| (2..=LONGEST_HISTORY).map(move |number| (id, number));
        let keys: Vec<(&OrderId, usize)> = ids.iter().flat_map(numbers).collect();
        let answers = self.0.query(ORDERS, json!({ "ids": ids, "keys": keys })).await?;
        let mut answers = answers.into_iter();
        let orders: Vec<OrderRow> = read(answers.next())?;
        let mut moves: Vec<MoveRow> = read(answers.next())?;
        moves.sort_by(|a, b| a.id.cmp(&b.id));
        let mut entries: HashMap<OrderId, Vec<Entry>> = HashMap::new();
        for MoveRow { id: (order, _), entry } in moves {
            entries.entry(order).or_default().push(entry);
        }
        let found = |OrderRow { id, placed, first }| {
            let moves = entries.remove(&id).unwrap_or_default();
            Found { id, order: StoredOrder { placed, first, moves } }
        };
        Ok(orders.into_iter().map(found).collect())
    }
}

/// Writes an order that does not exist yet.
pub fn create(id: &OrderId, order: &StoredOrder) -> Work {
    let row = json!({ "id": id, "placed": stored(&order.placed), "first": stored(&order.first) });
    Work::one(PLACE, row).and(LIST, json!({ "id": [rank(order.first.at), id] }))
}

/// Adds to the history of an order that stands at `seen`.
pub fn advance(id: &OrderId, seen: Standing, entry: &Entry) -> Work {
    Work::one(MOVE, json!({ "id": [id, seen.version + 1], "entry": stored(entry) }))
}

fn read<T: DeserializeOwned>(rows: Option<Value>) -> Result<T, Error> {
    serde_json::from_value(rows.unwrap_or_default()).map_err(|e| Error::Shape(e.to_string()))
}

/// Types of this crate have string keys and no floats: they always are JSON.
fn stored(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

/// What sorts newer orders first.
fn rank(created: i64) -> i64 {
    created.saturating_neg()
}

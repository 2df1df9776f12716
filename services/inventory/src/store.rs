//! The queries of the inventory service, and nothing but queries.

use std::collections::HashMap;

use jetsaga_contracts::order_saga::AllocatedLine;
use serde::Deserialize;
use serde_json::{Value, json};
use service_kit::store::Error;
use service_kit::{Store, Work};

use crate::stock::{Level, Shelf};

/// The tables, as migrations.
pub const SCHEMA: &str = include_str!("../schema.surql");

const SEED: &str = "INSERT IGNORE INTO stock $stock RETURN NONE";
const LEVELS: &str = "
    SELECT on_hand, allocated, updated, record::id(id) AS sku
        FROM $skus.map(|$sku| type::record('stock', $sku))
";
const PAGE: &str = "
    SELECT on_hand, allocated, updated, record::id(id) AS sku FROM stock
        WHERE record::id(id) > $after ORDER BY id LIMIT $limit
";
/// Sets lines aside: one update per SKU, however many orders want it, since an update costs five
/// times an insert. Something that is no longer there means that somebody was faster.
const ALLOCATE: &str = "
    LET $at = array::max($all.at);
    FOR $line IN (SELECT sku, math::sum(quantity) AS quantity
            FROM array::flatten($all.lines) GROUP BY sku) {
        LET $left = (UPDATE type::record('stock', $line.sku)
            SET allocated += $line.quantity, updated = $at
            WHERE on_hand - allocated >= $line.quantity RETURN VALUE allocated);
        IF array::len($left) == 0 { THROW 'raced' };
    };
    INSERT INTO allocations $all RETURN NONE;
";
/// Gives back exactly what the order holds.
const RELEASE: &str = "
    LET $held = (DELETE type::record('allocations', $m.order) RETURN BEFORE);
    FOR $line IN array::flatten($held.lines) {
        UPDATE type::record('stock', $line.sku)
            SET allocated -= $line.quantity, updated = $m.at RETURN NONE;
    };
";
const ADJUST: &str = "
    BEGIN;
    INSERT IGNORE INTO stock { id: $sku, on_hand: 0, allocated: 0, updated: $at } RETURN NONE;
    LET $now = (UPDATE type::record('stock', $sku)
        SET on_hand += $delta, updated = $at RETURN AFTER);
    IF $now[0].on_hand < $now[0].allocated { THROW 'too_few' };
    CREATE adjustments SET sku = $sku, delta = $delta, reason = $reason, at = $at RETURN NONE;
    COMMIT;
";

const ALLOCATIONS: &str = "
    SELECT lines, record::id(id) AS order
        FROM $orders.map(|$order| type::record('allocations', $order))
";
// One statement is one snapshot: nobody allocates between the two.
const SUMS: &str = "
    RETURN {
        stock: (SELECT on_hand, allocated, updated, record::id(id) AS sku FROM stock),
        held: (SELECT VALUE lines FROM allocations),
    }
";

/// The inventory service's database.
#[derive(Debug, Clone)]
pub struct Warehouse(Store);

/// The stock of a SKU, as it comes out of the database.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Found {
    /// The SKU.
    pub sku: String,
    /// How much of it.
    #[serde(flatten)]
    pub level: Level,
    /// When it was last changed: milliseconds since the epoch.
    pub updated: i64,
}

/// What orders hold.
#[derive(Debug, Deserialize)]
struct Allocation {
    order: String,
    lines: Vec<AllocatedLine>,
}

/// The stock, and everything that is set aside of it, at one moment.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Sums {
    /// The stock of every SKU.
    pub stock: Vec<Found>,
    /// The lines of every order that holds some.
    pub held: Vec<Vec<AllocatedLine>>,
}

/// Why the stock was not corrected.
#[derive(Debug, thiserror::Error)]
pub enum AdjustError {
    /// Less would be left than is set aside for orders, or than nothing.
    #[error("less would be left than is set aside for orders")]
    TooFew,
    /// The database said no.
    #[error(transparent)]
    Store(#[from] Error),
}

impl Warehouse {
    /// Queries over a store that has the tables of [`SCHEMA`].
    pub fn new(store: Store) -> Self {
        Self(store)
    }

    /// The store itself: the engine's barrier.
    pub fn barrier(&self) -> &Store {
        &self.0
    }

    /// Adds what is not there; what is there stays as it is.
    pub async fn seed(&self, demo: &[(&str, i64)]) -> Result<(), Error> {
        let row = |(sku, on_hand): &(&str, i64)| json!({ "id": sku, "on_hand": on_hand, "allocated": 0, "updated": 0 });
        let stock: Vec<Value> = demo.iter().map(row).collect();
        self.0.query(SEED, json!({ "stock": stock })).await.map(drop)
    }

    /// The stock of these SKUs; unknown ones are left out.
    pub async fn levels(&self, skus: &[&str]) -> Result<Vec<Found>, Error> {
        if skus.is_empty() {
            return Ok(Vec::new());
        }
        self.0.rows(LEVELS, json!({ "skus": skus })).await
    }

    /// The stock of these SKUs, to decide over.
    pub async fn shelf(&self, skus: &[&str]) -> Result<Shelf, Error> {
        let found = self.levels(skus).await?;
        Ok(Shelf::new(found.into_iter().map(|found| (found.sku, found.level))))
    }

    /// Stock by SKU, after `after`.
    pub async fn page(&self, after: &str, limit: usize) -> Result<Vec<Found>, Error> {
        self.0.rows(PAGE, json!({ "after": after, "limit": limit })).await
    }

    /// What these orders hold; those that hold nothing are left out.
    pub async fn allocations(
        &self,
        orders: &[&str],
    ) -> Result<HashMap<String, Vec<AllocatedLine>>, Error> {
        let found: Vec<Allocation> = self.0.rows(ALLOCATIONS, json!({ "orders": orders })).await?;
        Ok(found.into_iter().map(|it| (it.order, it.lines)).collect())
    }

    /// All stock and all that is set aside.
    pub async fn sums(&self) -> Result<Sums, Error> {
        let found: Vec<Sums> = self.0.rows(SUMS, json!({})).await?;
        Ok(found.into_iter().next().unwrap_or_default())
    }

    /// Corrects the stock of a SKU, new ones included.
    pub async fn adjust(
        &self,
        sku: &str,
        delta: i64,
        reason: &str,
        at: i64,
    ) -> Result<(), AdjustError> {
        let binds = json!({ "sku": sku, "delta": delta, "reason": reason, "at": at });
        match self.0.query(ADJUST, binds).await {
            Ok(_) => Ok(()),
            Err(Error::Thrown(text)) if text.contains("too_few") => Err(AdjustError::TooFew),
            // The rule `on_hand >= 0` of the table itself.
            Err(Error::Wrong(text)) if text.contains("on_hand") => Err(AdjustError::TooFew),
            Err(error) => Err(error.into()),
        }
    }
}

/// The work that sets the lines of an order aside.
pub fn allocate(order: &str, lines: &[AllocatedLine], at: i64) -> Work {
    Work::one(ALLOCATE, json!({ "id": order, "lines": lines, "at": at }))
}

/// The work that gives back what an order holds.
pub fn release(order: &str, at: i64) -> Work {
    Work::one(RELEASE, json!({ "order": order, "at": at }))
}

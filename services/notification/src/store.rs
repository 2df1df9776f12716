//! The queries of the notification service, and nothing but queries.

use std::collections::HashMap;

use jetsaga_contracts::ids::{NotificationId, OrderId};
use serde_json::{Value, json};
use service_kit::{Store, Work, store::Error};

use crate::delivery::{Delivery, Key};

#[cfg(test)]
mod tests;

/// The tables, as migrations.
pub const SCHEMA: &str = include_str!("../schema.surql");

const PUT: &str = "
    INSERT INTO notifications $all ON DUPLICATE KEY UPDATE status = $input.status,
        attempts = $input.attempts, last_error = $input.last_error, sent = $input.sent
        RETURN NONE
";
// What was settled meanwhile stays as it is.
const NOTE: &str = "
    FOR $m IN $pending {
        LET $it = type::record('notifications', $m.id);
        IF $it.status IS NONE OR $it.status = 'pending' { UPSERT $it CONTENT $m RETURN NONE };
    };
";
const SOME: &str = "SELECT * FROM $ids.map(|$id| type::record('notifications', $id))";

/// The notification service's database.
#[derive(Debug, Clone)]
pub struct Deliveries(Store);

impl Deliveries {
    /// Queries over a store that has the tables of [`SCHEMA`].
    pub fn new(store: Store) -> Self {
        Self(store)
    }

    /// The store itself: the engine's barrier.
    pub fn barrier(&self) -> &Store {
        &self.0
    }

    /// One delivery.
    pub async fn get(&self, id: &NotificationId) -> Result<Option<Delivery>, Error> {
        Ok(self.some(std::slice::from_ref(id)).await?.pop())
    }

    /// Those of these deliveries that exist.
    pub async fn some(&self, ids: &[NotificationId]) -> Result<Vec<Delivery>, Error> {
        self.0.rows(SOME, json!({ "ids": ids })).await
    }

    /// All deliveries of an order, oldest first.
    pub async fn of_order(&self, order: &OrderId) -> Result<Vec<Delivery>, Error> {
        let ids: Vec<_> = Key::of_order(order.as_str()).map(|key| key.id()).collect();
        let mut found = self.some(&ids).await?;
        found.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
        Ok(found)
    }

    /// All deliveries of these orders, by order.
    pub async fn of_orders(
        &self,
        orders: &[&str],
    ) -> Result<HashMap<String, Vec<Delivery>>, Error> {
        let ids = orders.iter().flat_map(|order| Key::of_order(order).map(|key| key.id()));
        let mut found: HashMap<String, Vec<Delivery>> = HashMap::new();
        for delivery in self.some(&ids.collect::<Vec<_>>()).await? {
            found.entry(delivery.order.clone()).or_default().push(delivery);
        }
        Ok(found)
    }

    /// Takes note of tries that did not succeed, outside of any barrier: these deliveries come
    /// again, and meanwhile can be seen.
    pub async fn note(&self, pending: &[Delivery]) -> Result<(), Error> {
        let pending: Vec<_> = pending.iter().map(data).collect();
        self.0.query(NOTE, json!({ "pending": pending })).await.map(drop)
    }
}

/// Writes a delivery that is settled.
pub fn put(delivery: &Delivery) -> Work {
    Work::one(PUT, data(delivery))
}

/// String keys and no floats: it always is JSON.
fn data(delivery: &Delivery) -> Value {
    serde_json::to_value(delivery).unwrap_or_default()
}

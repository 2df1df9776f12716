//! The queries of the product service, and nothing but queries.

use jetsaga_contracts::http::product::ProductWrite;
use serde::Deserialize;
use serde_json::{Value, json};
use service_kit::Store;
use service_kit::store::Error;

use crate::catalogue::{DemoProduct, StoredProduct};

/// The tables, as migrations.
pub const SCHEMA: &str = include_str!("../schema.surql");

const SEED: &str = "INSERT IGNORE INTO products $products RETURN NONE";
const SOME: &str = "
    SELECT *, record::id(id) AS sku FROM $skus.map(|$sku| type::record('products', $sku))
";
const PAGE: &str = "
    SELECT *, record::id(id) AS sku FROM products WHERE record::id(id) > $after
        ORDER BY id LIMIT $limit
";
const WRITE: &str = "
    UPSERT type::record('products', $sku) CONTENT $product RETURN BEFORE
";

/// The product service's database.
#[derive(Debug, Clone)]
pub struct Products(Store);

/// A product with its SKU, as it comes out of the database.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Found {
    /// The SKU.
    pub sku: String,
    /// The product.
    #[serde(flatten)]
    pub product: StoredProduct,
}

impl Products {
    /// Queries over a store that has the tables of [`SCHEMA`].
    pub fn new(store: Store) -> Self {
        Self(store)
    }

    /// Adds what is not there; what is there stays as it is.
    pub async fn seed(&self, demo: &[DemoProduct]) -> Result<(), Error> {
        let products: Vec<Value> = demo
            .iter()
            .map(|it| {
                json!({
                    "id": it.sku,
                    "name": it.name,
                    "price": { "amount": it.cents, "currency": "EUR" },
                    "active": it.active,
                    "updated": 0,
                })
            })
            .collect();
        self.0.query(SEED, json!({ "products": products })).await.map(drop)
    }

    /// The products of these SKUs; unknown ones are left out.
    pub async fn some(&self, skus: &[&str]) -> Result<Vec<Found>, Error> {
        if skus.is_empty() {
            return Ok(Vec::new());
        }
        self.0.rows(SOME, json!({ "skus": skus })).await
    }

    /// Products by SKU, after `after`.
    pub async fn page(&self, after: &str, limit: usize) -> Result<Vec<Found>, Error> {
        self.0.rows(PAGE, json!({ "after": after, "limit": limit })).await
    }

    /// Writes a product; says whether it is new.
    pub async fn write(&self, sku: &str, product: &ProductWrite, now: i64) -> Result<bool, Error> {
        let product = json!({
            "name": product.name,
            "price": product.price,
            "active": product.active,
            "updated": now,
        });
        let before: Vec<Value> =
            self.0.rows(WRITE, json!({ "sku": sku, "product": product })).await?;
        Ok(before.iter().all(Value::is_null))
    }
}

//! Routes that are answered by a service behind the gateway.

use std::time::Duration;

use jetsaga_contracts::http::notification::Notification;
use jetsaga_contracts::http::page::Page;
use jetsaga_contracts::http::payment::Payment;
use jetsaga_contracts::http::product::Product;
use jetsaga_contracts::http::stock::Stock;
use jetsaga_contracts::ids::OrderId;
use poem_openapi::OpenApi;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use serde::de::DeserializeOwned;
use service_kit::http::{Call, Problem, Result};

use super::Group;
use crate::Shared;

/// How long a service may take in all.
const PATIENCE: Duration = Duration::from_secs(5);

/// Products, stock, payments and notifications.
#[derive(Debug, Clone)]
pub struct Catalogue(pub(super) Option<Shared>);

impl Catalogue {
    async fn ask<T: DeserializeOwned>(&self, call: &Call<'_>) -> Result<Json<T>> {
        let shared = self.0.as_ref().ok_or_else(super::orders::not_running)?;
        Ok(Json(shared.context.client.call(call).await.map_err(Problem::from)?))
    }
}

#[OpenApi]
impl Catalogue {
    /// Products
    ///
    /// A page of the catalogue, or the products of some SKUs.
    #[oai(
        path = "/v1/products",
        method = "get",
        operation_id = "listProducts",
        tag = "Group::Catalogue"
    )]
    async fn products(
        &self,
        /// SKUs with commas between them; absent: all products.
        #[oai(validator(pattern = "^[A-Za-z0-9._,-]{1,6500}$"))]
        sku: Query<Option<String>>,
        /// Most products of this page: 1 to 100, 20 when absent.
        #[oai(validator(minimum(value = "1"), maximum(value = "100")))]
        limit: Query<Option<u32>>,
        /// Where to go on: `next_cursor` of the page before.
        #[oai(validator(pattern = "^[A-Za-z0-9_-]{1,512}$"))]
        cursor: Query<Option<String>>,
    ) -> Result<Json<Page<Product>>> {
        let mut call = Call::get("product", "/v1/products", PATIENCE);
        for (name, value) in [
            ("sku", sku.0),
            ("limit", limit.0.map(|limit| limit.to_string())),
            ("cursor", cursor.0),
        ] {
            if let Some(value) = value {
                call = call.query(name, value);
            }
        }
        self.ask(&call).await
    }

    /// Stock of a SKU
    ///
    /// How many there are, and how many of them are set aside for orders.
    #[oai(
        path = "/v1/stock/:sku",
        method = "get",
        operation_id = "getStock",
        tag = "Group::Catalogue"
    )]
    async fn stock(
        &self,
        /// The product's SKU.
        #[oai(validator(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"))]
        sku: Path<String>,
    ) -> Result<Json<Stock>> {
        let path = format!("/v1/stock/{}", sku.0);
        self.ask(&Call::get("inventory", &path, PATIENCE)).await
    }

    /// Payments of an order
    ///
    /// Each with its ledger, whose entries sum to zero per account after a rollback.
    #[oai(
        path = "/v1/payments",
        method = "get",
        operation_id = "listPayments",
        tag = "Group::Records"
    )]
    async fn payments(
        &self,
        /// The order's id.
        order: Query<OrderId>,
    ) -> Result<Json<Page<Payment>>> {
        self.ask(&Call::get("payment", "/v1/payments", PATIENCE).query("order", &order.0)).await
    }

    /// Notifications of an order
    ///
    /// Each mail with what became of it.
    #[oai(
        path = "/v1/notifications",
        method = "get",
        operation_id = "listNotifications",
        tag = "Group::Records"
    )]
    async fn notifications(
        &self,
        /// The order's id.
        order: Query<OrderId>,
    ) -> Result<Json<Page<Notification>>> {
        let call = Call::get("notification", "/v1/notifications", PATIENCE);
        self.ask(&call.query("order", &order.0)).await
    }
}

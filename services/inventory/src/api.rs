//! The routes of the inventory service.

use jetsaga_contracts::http::page::Page;
use jetsaga_contracts::http::stock::{Stock, StockAdjustment};
use jetsaga_contracts::time::Timestamp;
use jetsaga_contracts::violation::{Violation, is_sku};
use poem_openapi::OpenApi;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use service_kit::http::{Cursor, FieldProblem, JsonBody, Problem, Result, page_limit};

use crate::store::{AdjustError, Found, Warehouse};

#[cfg(test)]
mod tests;

/// The routes.
#[derive(Debug, Clone)]
pub struct Api {
    warehouse: Warehouse,
}

impl Api {
    /// Routes over a warehouse.
    pub fn new(warehouse: Warehouse) -> Self {
        Self { warehouse }
    }

    async fn one(&self, sku: &str) -> Result<Stock> {
        let found = self.warehouse.levels(&[sku]).await.map_err(Problem::from)?.pop();
        let unknown = || Problem::not_found("stock_not_found", "there is no stock of this SKU");
        Ok(view(found.ok_or_else(unknown)?))
    }
}

#[OpenApi]
impl Api {
    /// All stock
    ///
    /// A page of it, by SKU.
    #[oai(path = "/v1/stock", method = "get", operation_id = "listStock")]
    async fn list(
        &self,
        /// Most SKUs of this page: 1 to 100, 20 when absent.
        #[oai(validator(minimum(value = "1"), maximum(value = "100")))]
        limit: Query<Option<u32>>,
        /// Where to go on: `next_cursor` of the page before.
        cursor: Query<Option<String>>,
    ) -> Result<Json<Page<Stock>>> {
        let limit = usize::try_from(page_limit(limit.0)?).unwrap_or(usize::MAX);
        let after: String = cursor.0.map_or(Ok(String::new()), |it| Cursor::decode(&it))?;
        // One more than asked for tells whether another page follows.
        let found = self.warehouse.page(&after, limit + 1).await.map_err(Problem::from)?;
        Ok(Json(page(found, limit)))
    }

    /// Stock of a SKU
    #[oai(path = "/v1/stock/:sku", method = "get", operation_id = "getStock")]
    async fn get(
        &self,
        /// The product's SKU.
        sku: Path<String>,
    ) -> Result<Json<Stock>> {
        Ok(Json(self.one(&sku.0).await?))
    }

    /// Correct the stock of a SKU
    ///
    /// A delivery, a loss, a count; never to less than is set aside for orders.
    #[oai(path = "/v1/stock/:sku/adjustments", method = "post", operation_id = "adjustStock")]
    async fn adjust(
        &self,
        /// The product's SKU.
        sku: Path<String>,
        body: JsonBody<StockAdjustment>,
    ) -> Result<Json<Stock>> {
        let mut errors = body.0.violations();
        if !is_sku(&sku.0) {
            let detail = "must have 1 to 64 letters, digits, dots, dashes or underscores";
            errors.push(Violation::new("sku", "invalid_sku", detail));
        }
        refuse(errors)?;
        let now = Timestamp::now().utc().timestamp_millis();
        let result = self.warehouse.adjust(&sku.0, body.0.delta, &body.0.reason, now).await;
        result.map_err(|error| match error {
            AdjustError::TooFew => Problem::conflict("stock_too_low", error.to_string()),
            AdjustError::Store(error) => error.into(),
        })?;
        Ok(Json(self.one(&sku.0).await?))
    }
}

fn refuse(violations: Vec<Violation>) -> Result<()> {
    let errors: Vec<FieldProblem> = violations
        .into_iter()
        .map(|it| FieldProblem { pointer: it.pointer, code: it.code, detail: it.detail })
        .collect();
    if errors.is_empty() {
        return Ok(());
    }
    let detail = "the correction breaks rules; each is named";
    Err(Problem::unprocessable("invalid_adjustment", detail, errors).into())
}

fn page(mut found: Vec<Found>, limit: usize) -> Page<Stock> {
    let is_last = found.len() <= limit;
    found.truncate(limit);
    let next = found.last().filter(|_| !is_last).map(|last| Cursor::encode(&last.sku));
    Page::new(found.into_iter().map(view).collect(), next)
}

fn view(found: Found) -> Stock {
    let updated_at = chrono::DateTime::from_timestamp_millis(found.updated).unwrap_or_default();
    Stock {
        sku: found.sku,
        on_hand: found.level.on_hand,
        allocated: found.level.allocated,
        available: found.level.available(),
        updated_at: updated_at.into(),
    }
}

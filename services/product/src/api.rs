//! The routes of the product service.

use jetsaga_contracts::http::page::Page;
use jetsaga_contracts::http::product::{Product, ProductWrite};
use jetsaga_contracts::time::Timestamp;
use jetsaga_contracts::violation::{Violation, is_sku};
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi};
use service_kit::http::{Cursor, FieldProblem, JsonBody, Problem, Result, page_limit};

use crate::catalogue::skus;
use crate::store::{Found, Products};

#[cfg(test)]
mod tests;

/// The routes.
#[derive(Debug, Clone)]
pub struct Api {
    products: Products,
}

impl Api {
    /// Routes over `products`.
    pub fn new(products: Products) -> Self {
        Self { products }
    }

    async fn one(&self, sku: &str) -> Result<Product> {
        let found = self.products.some(&[sku]).await.map_err(Problem::from)?.pop();
        let unknown = || Problem::not_found("product_not_found", "no product has this SKU");
        Ok(view(found.ok_or_else(unknown)?))
    }
}

/// A product that was written.
#[derive(ApiResponse)]
enum Written {
    /// It was there before.
    #[oai(status = 200)]
    Changed(Json<Product>),
    /// It is new.
    #[oai(status = 201)]
    Created(Json<Product>),
}

#[OpenApi]
impl Api {
    /// Products
    ///
    /// The products of some SKUs, unknown ones left out, or a page of all of them by SKU.
    #[oai(path = "/v1/products", method = "get", operation_id = "listProducts")]
    async fn list(
        &self,
        /// SKUs with commas between them, at most 100; absent: all products.
        sku: Query<Option<String>>,
        /// Most products of this page: 1 to 100, 20 when absent. Not with `sku`.
        #[oai(validator(minimum(value = "1"), maximum(value = "100")))]
        limit: Query<Option<u32>>,
        /// Where to go on: `next_cursor` of the page before.
        cursor: Query<Option<String>>,
    ) -> Result<Json<Page<Product>>> {
        if let Some(text) = &sku.0 {
            let bad = |error| Problem::bad_request("invalid_request", format!("sku: {error}"));
            let skus = skus(text).map_err(|error| bad(error.to_string()))?;
            let found = self.products.some(&skus).await.map_err(Problem::from)?;
            return Ok(Json(Page::whole(found.into_iter().map(view).collect())));
        }
        let limit = usize::try_from(page_limit(limit.0)?).unwrap_or(usize::MAX);
        let after: String = cursor.0.map_or(Ok(String::new()), |it| Cursor::decode(&it))?;
        // One more than asked for tells whether another page follows.
        let found = self.products.page(&after, limit + 1).await.map_err(Problem::from)?;
        Ok(Json(page(found, limit)))
    }

    /// One product
    #[oai(path = "/v1/products/:sku", method = "get", operation_id = "getProduct")]
    async fn get(
        &self,
        /// Its SKU.
        sku: Path<String>,
    ) -> Result<Json<Product>> {
        Ok(Json(self.one(&sku.0).await?))
    }

    /// Write a product
    ///
    /// Orders that were priced before keep the old name and price.
    #[oai(path = "/v1/products/:sku", method = "put", operation_id = "putProduct")]
    async fn put(
        &self,
        /// Its SKU.
        sku: Path<String>,
        body: JsonBody<ProductWrite>,
    ) -> Result<Written> {
        let mut errors = body.0.violations();
        if !is_sku(&sku.0) {
            let detail = "must have 1 to 64 letters, digits, dots, dashes or underscores";
            errors.push(Violation::new("sku", "invalid_sku", detail));
        }
        refuse(errors)?;
        let now = Timestamp::now().utc().timestamp_millis();
        let is_new = self.products.write(&sku.0, &body.0, now).await.map_err(Problem::from)?;
        let product = Json(self.one(&sku.0).await?);
        Ok(if is_new { Written::Created(product) } else { Written::Changed(product) })
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
    let detail = "the product breaks rules; each is named";
    Err(Problem::unprocessable("invalid_product", detail, errors).into())
}

fn page(mut found: Vec<Found>, limit: usize) -> Page<Product> {
    let is_last = found.len() <= limit;
    found.truncate(limit);
    let next = found.last().filter(|_| !is_last).map(|last| Cursor::encode(&last.sku));
    Page::new(found.into_iter().map(view).collect(), next)
}

fn view(found: Found) -> Product {
    let Found { sku, product } = found;
    let updated_at = chrono::DateTime::from_timestamp_millis(product.updated).unwrap_or_default();
    Product {
        sku,
        name: product.name,
        price: product.price,
        active: product.active,
        updated_at: updated_at.into(),
    }
}

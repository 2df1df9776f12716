//! The routes of the payment service.

use jetsaga_contracts::{
    http::{page::Page, payment::Payment},
    ids::OrderId,
};
use poem_openapi::{OpenApi, Tags, param::Query, payload::Json};
use service_kit::http::{Problem, Result};

use crate::store::Payments;

#[derive(Tags)]
enum Tag {
    /// What was charged, and what was given back.
    Payments,
}

/// `/v1/payments`.
#[derive(Debug, Clone)]
pub struct PaymentsApi {
    payments: Payments,
}

impl PaymentsApi {
    /// Answers from `payments`.
    pub fn new(payments: Payments) -> Self {
        Self { payments }
    }
}

#[OpenApi(tag = "Tag::Payments")]
impl PaymentsApi {
    /// Payments of an order
    ///
    /// The payment of one order with its ledger; none while the first call to the provider is
    /// under way, or when the order never came so far.
    #[oai(path = "/v1/payments", method = "get", operation_id = "listPayments")]
    async fn list(&self, order: Query<OrderId>) -> Result<Json<Page<Payment>>> {
        let found = self.payments.of(&order).await.map_err(Problem::from)?;
        Ok(Json(Page::whole(found.into_iter().collect())))
    }
}

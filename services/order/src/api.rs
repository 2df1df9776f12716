//! The routes of the order service.

use chrono::DateTime;
use jetsaga_contracts::{
    http::{
        order::{Order, OrderTransition},
        page::Page,
    },
    ids::OrderId,
    time::Timestamp,
};
use poem_openapi::{
    ApiResponse, OpenApi,
    param::{Header, Path, Query},
    payload::Json,
};
use service_kit::http::{Cursor, Problem, Result, page_limit};

use crate::{
    order::{Entry, StoredOrder},
    store::{After, Found, Orders},
};

#[cfg(test)]
mod tests;

/// The routes.
#[derive(Debug, Clone)]
pub struct Api {
    orders: Orders,
}

impl Api {
    /// Routes over `orders`.
    pub fn new(orders: Orders) -> Self {
        Self { orders }
    }
}

/// An order, or word that the caller has it already.
#[derive(ApiResponse)]
#[expect(clippy::large_enum_variant, reason = "one is made per request, and moved once")]
enum OneOrder {
    /// The order as it is now.
    #[oai(status = 200)]
    Order(
        Json<Order>,
        /// Its version, for `If-None-Match`.
        #[oai(header = "ETag")]
        String,
    ),
    /// It is still of the version that the caller named.
    #[oai(status = 304)]
    NotModified(
        /// Its version.
        #[oai(header = "ETag")]
        String,
    ),
}

#[OpenApi]
impl Api {
    /// One order
    ///
    /// With its history. An order is here once its step ran or its saga ended, whichever is first.
    #[oai(path = "/v1/orders/:id", method = "get", operation_id = "getOrder")]
    async fn get(
        &self,
        /// Its id.
        id: Path<OrderId>,
        /// Versions that the caller has.
        #[oai(name = "If-None-Match")]
        if_none_match: Header<Option<String>>,
    ) -> Result<OneOrder> {
        let found = self.orders.get(&id.0).await.map_err(Problem::from)?;
        let unknown = || Problem::not_found("order_not_found", "there is no such order");
        let found = found.ok_or_else(unknown)?;
        let etag = etag(&found.order);
        if if_none_match.0.is_some_and(|has| names(&has, &etag)) {
            return Ok(OneOrder::NotModified(etag));
        }
        let history = found.order.history().map(transition).collect();
        Ok(OneOrder::Order(Json(Order { history: Some(history), ..view(found) }), etag))
    }

    /// All orders
    ///
    /// Newest first; of one age, by id. Without their histories.
    #[oai(path = "/v1/orders", method = "get", operation_id = "listOrders")]
    async fn list(
        &self,
        /// Most orders of this page: 1 to 100, 20 when absent.
        #[oai(validator(minimum(value = "1"), maximum(value = "100")))]
        limit: Query<Option<u32>>,
        /// Where to go on: `next_cursor` of the page before.
        cursor: Query<Option<String>>,
    ) -> Result<Json<Page<Order>>> {
        let limit = usize::try_from(page_limit(limit.0)?).unwrap_or(usize::MAX);
        let after = cursor.0.as_deref().map(Cursor::decode::<After>).transpose()?;
        // One more than asked for tells whether another page follows.
        let found = self.orders.page(after.as_ref(), limit + 1).await.map_err(Problem::from)?;
        Ok(Json(page(found, limit)))
    }
}

fn page(mut found: Vec<Found>, limit: usize) -> Page<Order> {
    let is_last = found.len() <= limit;
    found.truncate(limit);
    let next = found
        .last()
        .filter(|_| !is_last)
        .map(|last| Cursor::encode(&After { created: last.order.first.at, id: last.id.clone() }));
    Page::new(found.into_iter().map(view).collect(), next)
}

/// The history only grows, so its length is the version.
fn etag(order: &StoredOrder) -> String {
    format!("\"{}\"", order.standing().version)
}

/// Whether an `If-None-Match` names this entity tag (RFC 9110, section 13.1.2: weak comparison).
fn names(header: &str, etag: &str) -> bool {
    header
        .split(',')
        .map(|tag| tag.trim().trim_start_matches("W/"))
        .any(|tag| tag == "*" || tag == etag)
}

fn view(Found { id, order }: Found) -> Order {
    let Entry { status, reason, at: updated, .. } = order.last().clone();
    let StoredOrder { placed, first, .. } = order;
    Order {
        id,
        status,
        reason,
        customer: placed.customer,
        lines: placed.lines,
        total: placed.total,
        currency: placed.currency,
        history: None,
        created_at: time(first.at),
        updated_at: time(updated),
    }
}

fn transition(entry: &Entry) -> OrderTransition {
    OrderTransition {
        status: entry.status,
        reason: entry.reason.clone(),
        by: entry.by.clone(),
        at: time(entry.at),
    }
}

fn time(millis: i64) -> Timestamp {
    DateTime::from_timestamp_millis(millis).unwrap_or_default().into()
}

//! The routes of the notification service.

use chrono::DateTime;
use jetsaga_contracts::{
    http::{notification::Notification, page::Page},
    ids::{NotificationId, OrderId},
    time::Timestamp,
};
use poem_openapi::{OpenApi, param::Path, param::Query, payload::Json};
use service_kit::http::{Problem, Result};

use crate::{delivery::Delivery, store::Deliveries};

#[cfg(test)]
mod tests;

/// The routes.
#[derive(Debug, Clone)]
pub struct Api {
    deliveries: Deliveries,
}

impl Api {
    /// Routes over `deliveries`.
    pub fn new(deliveries: Deliveries) -> Self {
        Self { deliveries }
    }
}

#[OpenApi]
impl Api {
    /// The notifications of an order
    ///
    /// All of them, oldest first, also those that wait for their relay. An order that nobody was
    /// told about, or that does not exist, has none.
    #[oai(path = "/v1/notifications", method = "get", operation_id = "listNotifications")]
    async fn list(
        &self,
        /// The order.
        order: Query<OrderId>,
    ) -> Result<Json<Page<Notification>>> {
        let found = self.deliveries.of_order(&order.0).await.map_err(Problem::from)?;
        Ok(Json(Page::whole(found.into_iter().filter_map(view).collect())))
    }

    /// One notification
    #[oai(path = "/v1/notifications/:id", method = "get", operation_id = "getNotification")]
    async fn get(
        &self,
        /// Its id.
        id: Path<NotificationId>,
    ) -> Result<Json<Notification>> {
        let found = self.deliveries.get(&id.0).await.map_err(Problem::from)?;
        let unknown =
            || Problem::not_found("notification_not_found", "there is no such notification");
        Ok(Json(found.and_then(view).ok_or_else(unknown)?))
    }
}

/// `None` for a saga that is not an order's.
fn view(it: Delivery) -> Option<Notification> {
    Some(Notification {
        id: it.id,
        order: it.order.parse().ok()?,
        event: it.event,
        channel: it.channel,
        recipient: it.recipient,
        subject: it.subject,
        status: it.status,
        attempts: it.attempts.into(),
        message_id: it.message_id,
        last_error: it.last_error,
        created_at: time(it.created),
        sent_at: it.sent.map(time),
    })
}

fn time(millis: i64) -> Timestamp {
    DateTime::from_timestamp_millis(millis).unwrap_or_default().into()
}

//! The notification service: mails about orders.
//!
//! It performs the step `notification` of the order saga ([`steps`]), tells customers whose order
//! rolled back ([`mirror`]) and lists what was sent ([`api`]). What it promises: one delivery per
//! order, event, channel and recipient; a relay that is down delays mails and never fails an order;
//! addresses of customers are in no log.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use jetsaga_contracts::order_saga::{TYPE, step};
use poem::Route;
use poem_openapi::OpenApiService;
use saga_engine::Participant;
use service_kit::{Context, Running, Service, StartError};

pub mod api;
pub mod audit;
pub mod config;
pub mod delivery;
pub mod mail;
pub mod mirror;
pub mod post;
pub mod sink;
pub mod steps;
pub mod store;
#[cfg(test)]
mod testing;

use config::{Config, Way};
use sink::{FileSink, Sink, SmtpSink};

/// Time to finish what is in hand when the program stops.
const DRAIN: Duration = Duration::from_secs(10);
/// Where mails are written, in the service's directory.
const MAILS: &str = "mails";

/// The notification service.
#[derive(Debug, Clone)]
pub struct NotificationService {
    config: Config,
}

/// The service, to be hosted.
pub fn service(config: Config) -> NotificationService {
    NotificationService { config }
}

#[async_trait]
impl Service for NotificationService {
    fn name(&self) -> &'static str {
        "notification"
    }

    fn schema(&self) -> Option<&'static str> {
        Some(store::SCHEMA)
    }

    fn mirrors(&self) -> &'static [&'static str] {
        &[TYPE]
    }

    async fn start(&self, context: Context) -> Result<Running, StartError> {
        let deliveries = store::Deliveries::new(context.store()?);
        let from = self.config.from.clone();
        let sink = match &self.config.way {
            Way::Files => Sink::File(FileSink::new(from, context.directory.join(MAILS))),
            Way::Relay { host, port, timeout } => {
                Sink::Smtp(SmtpSink::new(from, host, *port, *timeout))
            }
        };
        let post = Arc::new(post::Post {
            deliveries: deliveries.clone(),
            sink,
            templates: mail::Templates::new()?,
        });
        let mut participant =
            Participant::new(context.engine.clone(), self.name(), deliveries.barrier().clone())
                .step(step::NOTIFICATION, steps::Confirm::new(Arc::clone(&post)))
                .on_end(mirror::TellCancelled::new(post));
        for definition in saga_workflows::all().iter().filter(|it| it.name == TYPE) {
            let plan = context.engine.plan(&definition.name, definition.version).await?;
            participant = participant.saga(plan);
        }
        let participant = participant.start().await?;
        let api = api::Api::new(deliveries);
        let api = OpenApiService::new(api, "notification", env!("CARGO_PKG_VERSION"));
        Ok(Running {
            specs: vec![api.spec()],
            route: Route::new().nest("/", api),
            document: None,
            paths: Vec::new(),
            on_stop: vec![Box::pin(async move {
                let left = participant.shutdown(DRAIN).await;
                tracing::debug!(left, "the notification service stopped");
            })],
        })
    }
}

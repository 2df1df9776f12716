//! The order service: prices and keeps orders.
//!
//! It performs the step `order` of the order saga ([`steps`]), follows how sagas end ([`mirror`])
//! and lists orders ([`api`]). What it promises: an order moves only as [`mod@order`] says, its
//! history is only ever added to, and every saga that ended has its order here.

use std::time::Duration;

use async_trait::async_trait;
use jetsaga_contracts::order_saga::{TYPE, step};
use poem::Route;
use poem_openapi::OpenApiService;
use saga_engine::{Participant, participant::Valve};
use service_kit::{Context, Running, Service, StartError};

pub mod api;
pub mod audit;
pub mod config;
pub mod mirror;
pub mod order;
pub mod products;
pub mod steps;
pub mod store;
#[cfg(test)]
mod testing;

use config::Config;

/// Time to finish what is in hand when the program stops.
const DRAIN: Duration = Duration::from_secs(10);

/// The order service.
#[derive(Debug, Clone)]
pub struct OrderService {
    config: Config,
}

/// The service, to be hosted.
pub fn service(config: Config) -> OrderService {
    OrderService { config }
}

#[async_trait]
impl Service for OrderService {
    fn name(&self) -> &'static str {
        "order"
    }

    fn schema(&self) -> Option<&'static str> {
        Some(store::SCHEMA)
    }

    fn mirrors(&self) -> &'static [&'static str] {
        &[TYPE]
    }

    async fn start(&self, context: Context) -> Result<Running, StartError> {
        let orders = store::Orders::new(context.store()?);
        let valve = Valve::default();
        let products = products::Products::new(context.client, self.config.product_patience)
            .closing(valve.clone(), context.stop.clone());
        let mut participant =
            Participant::new(context.engine.clone(), self.name(), orders.barrier().clone())
                .step(step::ORDER, steps::PlaceOrder::new(orders.clone(), products))
                .on_end(mirror::FollowEndings::new(orders.clone()))
                .valve(valve);
        for definition in saga_workflows::all().iter().filter(|it| it.name == TYPE) {
            let plan = context.engine.plan(&definition.name, definition.version).await?;
            participant = participant.saga(plan);
        }
        let participant = participant.start().await?;
        let api = OpenApiService::new(api::Api::new(orders), "order", env!("CARGO_PKG_VERSION"));
        Ok(Running {
            specs: vec![api.spec()],
            route: Route::new().nest("/", api),
            document: None,
            paths: Vec::new(),
            on_stop: vec![Box::pin(async move {
                let left = participant.shutdown(DRAIN).await;
                tracing::debug!(left, "the order service stopped");
            })],
        })
    }
}

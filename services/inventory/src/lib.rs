//! The inventory service: stock on hand and allocated.
//!
//! It performs the step `inventory` of the order saga ([`steps`]) and lets people correct the
//! stock ([`api`]). What it promises: all lines of an order are set aside or none; never more than
//! there is; and what is set aside is the sum of what open and confirmed orders hold.

use std::time::Duration;

use async_trait::async_trait;
use jetsaga_contracts::order_saga::{TYPE, step};
use poem::Route;
use poem_openapi::OpenApiService;
use saga_engine::Participant;
use service_kit::{Context, Running, Service, StartError};

pub mod api;
pub mod audit;
pub mod config;
pub mod steps;
pub mod stock;
pub mod store;

use config::Config;

/// Time to finish what is in hand when the program stops.
const DRAIN: Duration = Duration::from_secs(10);

/// The inventory service.
#[derive(Debug, Clone)]
pub struct InventoryService {
    config: Config,
}

/// The service, to be hosted.
pub fn service(config: Config) -> InventoryService {
    InventoryService { config }
}

#[async_trait]
impl Service for InventoryService {
    fn name(&self) -> &'static str {
        "inventory"
    }

    fn schema(&self) -> Option<&'static str> {
        Some(store::SCHEMA)
    }

    async fn start(&self, context: Context) -> Result<Running, StartError> {
        let warehouse = store::Warehouse::new(context.store()?);
        if self.config.has_demo {
            warehouse.seed(&stock::demo()).await?;
        }
        let mut participant =
            Participant::new(context.engine.clone(), self.name(), warehouse.barrier().clone())
                .step(step::INVENTORY, steps::Allocate::new(warehouse.clone()));
        for definition in saga_workflows::all().iter().filter(|it| it.name == TYPE) {
            let plan = context.engine.plan(&definition.name, definition.version).await?;
            participant = participant.saga(plan);
        }
        let participant = participant.start().await?;
        let api = api::Api::new(warehouse);
        let api = OpenApiService::new(api, "inventory", env!("CARGO_PKG_VERSION"));
        Ok(Running {
            specs: vec![api.spec()],
            route: Route::new().nest("/", api),
            document: None,
            paths: Vec::new(),
            on_stop: vec![Box::pin(async move {
                let left = participant.shutdown(DRAIN).await;
                tracing::debug!(left, "the inventory service stopped");
            })],
        })
    }
}

//! The product service: the catalogue.
//!
//! It answers what a SKU is called and costs ([`api`]), for a whole order in one call. What it
//! promises: a change of a price touches no order that was priced before, since orders keep
//! snapshots; and a product is never deleted, only no longer active.

use async_trait::async_trait;
use poem::Route;
use poem_openapi::OpenApiService;
use service_kit::{Context, Running, Service, StartError};

pub mod api;
pub mod catalogue;
pub mod config;
pub mod store;

use config::Config;

/// The product service.
#[derive(Debug, Clone)]
pub struct ProductService {
    config: Config,
}

/// The service, to be hosted.
pub fn service(config: Config) -> ProductService {
    ProductService { config }
}

#[async_trait]
impl Service for ProductService {
    fn name(&self) -> &'static str {
        "product"
    }

    fn schema(&self) -> Option<&'static str> {
        Some(store::SCHEMA)
    }

    async fn start(&self, context: Context) -> Result<Running, StartError> {
        let products = store::Products::new(context.store()?);
        if self.config.has_demo {
            products.seed(&catalogue::demo()).await?;
        }
        let api = api::Api::new(products);
        let api = OpenApiService::new(api, "product", env!("CARGO_PKG_VERSION"));
        let specs = vec![api.spec()];
        Ok(Running { specs, route: Route::new().nest("/", api), ..Running::default() })
    }
}

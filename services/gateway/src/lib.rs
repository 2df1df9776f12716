//! The gateway: the public REST API.
//!
//! It starts orders by one guarded append to the log, with no database on the way, and reads the
//! log for everything that is under way; lists and what retention took away come from the services
//! by REST. What it promises: an order that it accepted is in the log, the same request again is
//! answered the same, and an answer is never older than what the same order was shown to be before.

use admission::Admission;
use async_trait::async_trait;
use config::GatewayOptions;
use jetsaga_contracts::order_saga::TYPE;
use poem::Route;
use saga_engine::wishes::WishClient;
use saga_engine::{Hub, Sagas};
use service_kit::{Context, Running, Service, StartError};

pub mod admission;
pub mod api;
pub mod config;
pub mod document;
pub mod events;
pub mod view;

/// The port of the gateway, and so of the monolith.
pub const PORT: u16 = 8080;

/// The gateway.
#[derive(Debug, Clone, Copy, Default)]
pub struct Gateway {
    options: GatewayOptions,
}

/// The service, to be hosted.
pub fn service(options: GatewayOptions) -> Gateway {
    Gateway { options }
}

/// What the routes work with.
#[derive(Debug, Clone)]
pub struct Shared {
    /// Starts, reads and follows order sagas.
    pub orders: Sagas,
    /// How many orders are in work.
    pub admission: Admission,
    /// Asks coordinators.
    pub wishes: WishClient,
    /// What every service is given.
    pub context: Context,
}

#[async_trait]
impl Service for Gateway {
    fn name(&self) -> &'static str {
        "gateway"
    }

    fn port(&self) -> Option<u16> {
        Some(PORT)
    }

    async fn start(&self, context: Context) -> Result<Running, StartError> {
        let plan = context.engine.newest(TYPE).ok_or("the order saga is not defined")?;
        let hub = Hub::start(context.engine.clone(), plan.clone(), &context.stop).await?;
        let shared = Shared {
            admission: Admission::following(&hub, self.options.gateway_orders_in_work_max),
            orders: Sagas::following(hub),
            wishes: WishClient::new(context.engine.client().clone()),
            context,
        };
        let document = document::public();
        let page = document::page(&document);
        let route = Route::new()
            .at("/docs", poem::get(page))
            .at("/docs/errors/:code", poem::get(document::error_page))
            .nest("/", api::routes(shared));
        let (paths, document) = (vec!["/docs", "/docs/errors/{code}"], Some(document));
        Ok(Running { route, paths, document, ..Running::default() })
    }
}

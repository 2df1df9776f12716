//! The payment service: charges and refunds through a provider, and keeps the ledger.
//!
//! What it promises: a charge happens at most once per order, however often it is asked for and
//! whatever answers are lost; after a rollback the customer has everything back, or the saga says
//! that a person is needed; each order's ledger sums to zero, always, and each of its accounts does
//! after a rollback. No card number ever reaches it, only the provider's tokens.
//!
//! - [`ledger`], [`audit`]: the domain. Pure.
//! - [`steps`]: the step `payment` and its undo; an effect outside the database.
//! - [`provider`]: the provider as a port, and over HTTP.
//! - [`simulator`]: a provider to play with, which fails on demand.
//! - [`store`], [`api`], [`config`]: queries, routes, settings.

use std::{io, path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use jetsaga_contracts::order_saga;
use poem::Route;
use poem_openapi::OpenApiService;
use saga_engine::{Participant, Valve};
use service_kit::{Context, Running, Service, StartError, host::Check};

pub mod api;
pub mod audit;
pub mod config;
pub mod ledger;
pub mod provider;
pub mod simulator;
pub mod steps;
pub mod store;

pub use config::{Config, ConfigError, PaymentOptions};

use config::ProviderChoice;
use provider::{ClientSettings, HttpProvider, Provider, Watched};
use simulator::{Simulator, SimulatorSettings};

/// The service's name.
pub const NAME: &str = "payment";
/// Under which name the provider's address stands among the URLs of the services.
pub const PROVIDER: &str = "payment-provider";
/// Where the simulator listens unless told otherwise, so that its faults can be switched by a
/// command to copy.
const SIMULATOR_PORT: u16 = 8090;
/// Calls to the provider at the same time: a few that hang must not hold up the others.
const CALLS: usize = 256;
/// How long a stop waits for calls that are under way.
const DRAIN: Duration = Duration::from_secs(10);

/// The payment service, to be hosted.
#[derive(Debug, Clone)]
pub struct PaymentService {
    config: Config,
}

/// The payment service with these settings.
///
/// # Errors
/// [`ConfigError`] names the setting that is wrong.
pub fn service(options: PaymentOptions) -> Result<PaymentService, ConfigError> {
    Ok(PaymentService { config: options.try_into()? })
}

#[async_trait]
impl Service for PaymentService {
    fn name(&self) -> &'static str {
        NAME
    }

    fn schema(&self) -> Option<&'static str> {
        Some(store::SCHEMA)
    }

    async fn start(&self, context: Context) -> Result<Running, StartError> {
        let (url, simulator) = self.provider(&context.directory).await?;
        context.urls.set(PROVIDER, &url);
        let Config { api_key, call_timeout, .. } = self.config.clone();
        let provider = HttpProvider::new(ClientSettings { url, api_key, call_timeout })?;
        watch(&context, provider.clone());
        let valve = Valve::default();
        let watched = Watched::new(Arc::new(provider), valve.clone(), context.stop.clone());

        let store = context.store()?;
        let plan = context.engine.newest(order_saga::TYPE).ok_or("there is no order saga")?;
        let payments = store::Payments::new(store.clone());
        let charge = steps::ChargeCustomer::new(Arc::new(watched), payments.clone(), call_timeout);
        let participant = Participant::new(context.engine.clone(), NAME, store)
            .saga(plan)
            .step(order_saga::step::PAYMENT, charge)
            .calls(CALLS)
            .valve(valve)
            .start()
            .await?;

        let api = api::PaymentsApi::new(payments);
        let routes = OpenApiService::new(api, NAME, env!("CARGO_PKG_VERSION"));
        Ok(Running {
            specs: vec![routes.spec()],
            route: Route::new().nest("/", routes),
            on_stop: vec![Box::pin(async move {
                participant.shutdown(DRAIN).await;
                // Only now: the last calls have had their answers.
                drop(simulator);
            })],
            ..Running::default()
        })
    }
}

impl PaymentService {
    /// Where the provider is; starts one when none is set.
    async fn provider(&self, directory: &Path) -> Result<(String, Option<Simulator>), StartError> {
        let port = match &self.config.provider {
            ProviderChoice::At(url) => return Ok((url.clone(), None)),
            ProviderChoice::Simulator(port) => *port,
        };
        let on = |port| SimulatorSettings {
            port,
            journal: Some(directory.join("provider.jsonl")),
            ..SimulatorSettings::default()
        };
        let started = match Simulator::start(on(port.unwrap_or(SIMULATOR_PORT))).await {
            Err(error) if port.is_none() && error.kind() == io::ErrorKind::AddrInUse => {
                Simulator::start(on(0)).await
            }
            started => started,
        };
        let simulator = started.map_err(|error| format!("the provider's simulator: {error}"))?;
        tracing::warn!(url = simulator.url(), "no payment provider is set: a simulator is used");
        Ok((simulator.url(), Some(simulator)))
    }
}

/// A provider that does not answer is worth a warning; the service can still take part.
fn watch(context: &Context, provider: HttpProvider) {
    context.health.add("payment:provider", move || {
        let provider = provider.clone();
        Box::pin(async move {
            match provider.status("health").await {
                Ok(_) => Check::Pass,
                Err(error) => Check::Warn(error.to_string()),
            }
        })
    });
}

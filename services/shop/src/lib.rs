//! The shop: all services, the coordinator and a NATS server in one process.
//!
//! The monolith takes no shortcut: each service listens on a loopback port of its own and is
//! called by REST, and speaks to the others through the log, exactly as when it is split.

use std::sync::Arc;

use saga_coordinator::CoordinatorOptions;
use saga_engine::saga_core::Plan;
use service_kit::host::{HostOptions, Program, Service, StartError};

pub mod greeting;
pub mod reset;

/// Options of the shop: those of every program, and those of each service.
#[derive(Debug, Clone, clap::Args)]
pub struct ShopOptions {
    /// Host only these services, with commas between them; the others are found by --service-url
    #[arg(long, env = "JETSAGA_ONLY", value_delimiter = ',')]
    pub only: Vec<String>,

    /// Options of every program.
    #[command(flatten)]
    pub host: HostOptions,

    /// Options of the coordinator.
    #[command(flatten)]
    pub coordinator: CoordinatorOptions,

    /// Options of the gateway.
    #[command(flatten)]
    pub gateway: gateway::config::GatewayOptions,

    /// Options of the order service.
    #[command(flatten)]
    pub order: order::config::OrderOptions,

    /// Options of the payment service.
    #[command(flatten)]
    pub payment: payment::PaymentOptions,

    /// Options of the product service.
    #[command(flatten)]
    pub product: product::config::ProductOptions,

    /// Options of the inventory service.
    #[command(flatten)]
    pub inventory: inventory::config::InventoryOptions,

    /// Options of the notification service.
    #[command(flatten)]
    pub notification: notification::config::NotificationOptions,
}

/// A name after `--only` that no service has.
#[derive(Debug, thiserror::Error)]
#[error("there is no service {name:?}; there are {}", .known.join(", "))]
pub struct UnknownService {
    name: String,
    known: Vec<&'static str>,
}

/// The program: everything, or the part that `--only` names.
///
/// # Errors
/// When a setting is wrong; the message names it.
pub fn program(options: &ShopOptions) -> Result<Program, StartError> {
    program_of(options, saga_workflows::plans()?)
}

/// The same with other definitions: those of a suite that is in a hurry, say.
///
/// # Errors
/// As [`program`].
pub fn program_of(options: &ShopOptions, plans: Vec<Arc<Plan>>) -> Result<Program, StartError> {
    let coordinator =
        saga_coordinator::service(plans.clone(), options.coordinator.clone().try_into()?);
    // Whoever is asked by others starts first, the one that people ask starts last.
    let mut services: Vec<Arc<dyn Service>> = vec![
        Arc::new(product::service(options.product.clone().into())),
        Arc::new(inventory::service(options.inventory.clone().into())),
        Arc::new(payment::service(options.payment.clone())?),
        Arc::new(notification::service(options.notification.clone().try_into()?)),
        Arc::new(order::service(options.order.clone().try_into()?)),
        Arc::new(coordinator),
        Arc::new(gateway::service(options.gateway)),
    ];
    let known: Vec<&'static str> = services.iter().map(|service| service.name()).collect();
    if let Some(name) = options.only.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(UnknownService { name: name.clone(), known }.into());
    }
    if !options.only.is_empty() {
        services.retain(|service| options.only.iter().any(|name| name == service.name()));
    }
    Ok(Program { services, plans })
}

//! Settings of the gateway.

use clap::Args;

/// Unless told otherwise: half a second of work for two cores.
const ORDERS_IN_WORK_MAX: usize = 400;

/// Settings of the gateway.
#[derive(Debug, Clone, Copy, Args)]
pub struct GatewayOptions {
    /// Most orders that are accepted and not yet carried out; more are told to come again
    #[arg(long, env = "GATEWAY_ORDERS_IN_WORK_MAX", default_value_t = ORDERS_IN_WORK_MAX)]
    pub gateway_orders_in_work_max: usize,
}

impl Default for GatewayOptions {
    fn default() -> Self {
        Self { gateway_orders_in_work_max: ORDERS_IN_WORK_MAX }
    }
}

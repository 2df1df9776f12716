//! Settings: as they are written, and as they are checked.

use clap::Args;

/// Settings of the inventory service, as they are written.
#[derive(Debug, Clone, Default, Args)]
pub struct InventoryOptions {
    /// Start with an empty warehouse instead of the demo's
    #[arg(long, env = "INVENTORY_NO_DEMO")]
    pub inventory_no_demo: bool,
}

/// Settings of the inventory service, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Whether an empty warehouse is filled with the demo's stock.
    pub has_demo: bool,
}

impl From<InventoryOptions> for Config {
    fn from(options: InventoryOptions) -> Self {
        Self { has_demo: !options.inventory_no_demo }
    }
}

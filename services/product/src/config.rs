//! Settings: as they are written, and as they are checked.

use clap::Args;

/// Settings of the product service, as they are written.
#[derive(Debug, Clone, Default, Args)]
pub struct ProductOptions {
    /// Start with an empty catalogue instead of the demo's
    #[arg(long, env = "PRODUCT_NO_DEMO")]
    pub product_no_demo: bool,
}

/// Settings of the product service, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Whether an empty catalogue is filled with the demo's products.
    pub has_demo: bool,
}

impl From<ProductOptions> for Config {
    fn from(options: ProductOptions) -> Self {
        Self { has_demo: !options.product_no_demo }
    }
}

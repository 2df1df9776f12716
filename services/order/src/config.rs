//! Settings: as they are written, and as they are checked.

use std::time::Duration;

use clap::Args;

const PATIENCE_MS: u64 = 3_000;
/// Shorter than a round trip makes every order come again; longer than this, one question would
/// use up the step's time-out, and everything behind it waits meanwhile.
const PATIENCE_MS_BOUNDS: std::ops::RangeInclusive<u64> = 10..=10_000;

/// Settings of the order service, as they are written.
#[derive(Debug, Clone, Args)]
pub struct OrderOptions {
    /// Longest time for one question to the product service, all tries together, in milliseconds
    #[arg(long, env = "ORDER_PRODUCT_PATIENCE_MS", default_value_t = PATIENCE_MS)]
    pub order_product_patience_ms: u64,
}

impl Default for OrderOptions {
    fn default() -> Self {
        Self { order_product_patience_ms: PATIENCE_MS }
    }
}

/// Settings of the order service, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Longest time for one question to the product service, all tries together.
    pub product_patience: Duration,
}

/// What is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A time out of bounds.
    #[error(
        "ORDER_PRODUCT_PATIENCE_MS must be between {} and {}",
        PATIENCE_MS_BOUNDS.start(),
        PATIENCE_MS_BOUNDS.end()
    )]
    Patience,
}

impl Default for Config {
    fn default() -> Self {
        Self { product_patience: Duration::from_millis(PATIENCE_MS) }
    }
}

impl TryFrom<OrderOptions> for Config {
    type Error = ConfigError;

    fn try_from(options: OrderOptions) -> Result<Self, ConfigError> {
        if !PATIENCE_MS_BOUNDS.contains(&options.order_product_patience_ms) {
            return Err(ConfigError::Patience);
        }
        Ok(Self { product_patience: Duration::from_millis(options.order_product_patience_ms) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_legal_and_what_is_not_is_named() {
        assert_eq!(Config::try_from(OrderOptions::default()), Ok(Config::default()));
        for wrong in [0, 9, 10_001] {
            let options = OrderOptions { order_product_patience_ms: wrong };
            let error = Config::try_from(options).unwrap_err();
            assert!(error.to_string().contains("between 10 and 10000"), "{error}");
        }
    }
}

//! Settings: as they are written, and as they are checked.

use std::time::Duration;

use clap::Args;
use secrecy::SecretString;

/// The simulator takes every key that begins so.
const SIMULATOR_KEY: &str = "sk_test_simulator";
/// Shortest and longest time-out of a call: shorter ones turn every charge into an unknown one,
/// longer ones leave no time to ask again before the step is late.
const CALL_TIMEOUT_MS: std::ops::RangeInclusive<u64> = 50..=20_000;

/// Settings of the payment service, as they are written.
#[derive(Debug, Clone, Args)]
pub struct PaymentOptions {
    /// The payment provider's address, such as <http://127.0.0.1:8090>; without one the service
    /// runs a simulator of its own
    #[arg(long, env = "PAYMENT_PROVIDER_URL")]
    pub payment_provider_url: Option<String>,

    /// Our key at the payment provider; needed with its address
    #[arg(long, env = "PAYMENT_PROVIDER_KEY", hide_env_values = true)]
    pub payment_provider_key: Option<SecretString>,

    /// Longest time for one call to the payment provider, in milliseconds
    #[arg(long, env = "PAYMENT_CALL_TIMEOUT_MS", default_value_t = 5_000)]
    pub payment_call_timeout_ms: u64,

    /// Loopback port of the provider's simulator; 0 takes a free one [default: 8090, or a free one
    /// if that is in use]
    #[arg(long, env = "PAYMENT_SIMULATOR_PORT")]
    pub payment_simulator_port: Option<u16>,
}

impl Default for PaymentOptions {
    fn default() -> Self {
        Self {
            payment_provider_url: None,
            payment_provider_key: None,
            payment_call_timeout_ms: 5_000,
            payment_simulator_port: None,
        }
    }
}

/// Settings of the payment service, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Who moves the money.
    pub provider: ProviderChoice,
    /// Our key there.
    pub api_key: SecretString,
    /// Longest time for one call.
    pub call_timeout: Duration,
}

/// Who moves the money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProviderChoice {
    /// Somebody at this base URL.
    At(String),
    /// A simulator of our own, on this loopback port, or else on a usual one.
    Simulator(Option<u16>),
}

/// What is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The address is not one.
    #[error("PAYMENT_PROVIDER_URL must begin with http://; other schemes are not built in")]
    Url,
    /// A provider without a key.
    #[error("PAYMENT_PROVIDER_URL needs PAYMENT_PROVIDER_KEY")]
    NoKey,
    /// A time-out out of bounds.
    #[error("PAYMENT_CALL_TIMEOUT_MS must be between {} and {}", CALL_TIMEOUT_MS.start(), CALL_TIMEOUT_MS.end())]
    CallTimeout,
}

impl TryFrom<PaymentOptions> for Config {
    type Error = ConfigError;

    fn try_from(options: PaymentOptions) -> Result<Self, ConfigError> {
        if !CALL_TIMEOUT_MS.contains(&options.payment_call_timeout_ms) {
            return Err(ConfigError::CallTimeout);
        }
        let call_timeout = Duration::from_millis(options.payment_call_timeout_ms);
        let (provider, api_key) = match options.payment_provider_url {
            None => {
                let port = options.payment_simulator_port;
                (ProviderChoice::Simulator(port), SIMULATOR_KEY.into())
            }
            Some(url) if !url.starts_with("http://") => return Err(ConfigError::Url),
            Some(url) => {
                let key = options.payment_provider_key.ok_or(ConfigError::NoKey)?;
                (ProviderChoice::At(url.trim_end_matches('/').to_owned()), key)
            }
        };
        Ok(Self { provider, api_key, call_timeout })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(change: impl FnOnce(&mut PaymentOptions)) -> Result<Config, ConfigError> {
        let mut options = PaymentOptions::default();
        change(&mut options);
        Config::try_from(options)
    }

    #[test]
    fn without_settings_it_plays_with_its_own_simulator() {
        let config = with(|_| {}).unwrap();
        assert_eq!(config.provider, ProviderChoice::Simulator(None));
        assert_eq!(config.call_timeout, Duration::from_secs(5));
    }

    #[test]
    fn a_provider_needs_an_address_and_a_key() {
        let url = |text: &str| Some(text.to_owned());
        let no_key = with(|options| options.payment_provider_url = url("http://pay:1"));
        assert_eq!(no_key.unwrap_err(), ConfigError::NoKey);
        let scheme = with(|options| options.payment_provider_url = url("https://pay"));
        assert_eq!(scheme.unwrap_err(), ConfigError::Url);
        let good = with(|options| {
            options.payment_provider_url = url("http://pay:1/");
            options.payment_provider_key = Some("sk_live_secret".into());
        });
        let good = good.unwrap();
        assert_eq!(good.provider, ProviderChoice::At("http://pay:1".to_owned()));
        assert!(!format!("{good:?}").contains("secret"));
    }

    #[test]
    fn a_time_out_is_neither_hasty_nor_endless() {
        for milliseconds in [0, 49, 20_001] {
            let wrong = with(|options| options.payment_call_timeout_ms = milliseconds);
            assert_eq!(wrong.unwrap_err(), ConfigError::CallTimeout);
        }
    }
}

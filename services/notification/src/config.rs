//! Settings: as they are written, and as they are checked.

use std::time::Duration;

use clap::Args;
use lettre::message::Mailbox;

const FROM: &str = "Jetsaga Shop <orders@jetsaga.example>";
const SMTP_PORT: u16 = 25;
const SMTP_TIMEOUT_MS: u64 = 5_000;
/// Shorter than a relay needs on a good day would delay every mail; longer than this, one that
/// hangs would hold up too many.
const SMTP_TIMEOUT_MS_BOUNDS: std::ops::RangeInclusive<u64> = 50..=30_000;

/// Settings of the notification service, as they are written.
#[derive(Debug, Clone, Args)]
pub struct NotificationOptions {
    /// Host of the SMTP relay that mails go to; without one they are written as files
    #[arg(long, env = "NOTIFICATION_SMTP_HOST")]
    pub notification_smtp_host: Option<String>,

    /// Port of the SMTP relay
    #[arg(long, env = "NOTIFICATION_SMTP_PORT", default_value_t = SMTP_PORT)]
    pub notification_smtp_port: u16,

    /// Longest time for one mail to the SMTP relay, in milliseconds
    #[arg(long, env = "NOTIFICATION_SMTP_TIMEOUT_MS", default_value_t = SMTP_TIMEOUT_MS)]
    pub notification_smtp_timeout_ms: u64,

    /// Sender of all mails
    #[arg(long, env = "NOTIFICATION_FROM", default_value = FROM)]
    pub notification_from: String,
}

impl Default for NotificationOptions {
    fn default() -> Self {
        Self {
            notification_smtp_host: None,
            notification_smtp_port: SMTP_PORT,
            notification_smtp_timeout_ms: SMTP_TIMEOUT_MS,
            notification_from: FROM.to_owned(),
        }
    }
}

/// Settings of the notification service, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where mails go.
    pub way: Way,
    /// Their sender.
    pub from: Mailbox,
}

/// Where mails go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// Into files in the service's directory.
    Files,
    /// To a relay.
    Relay {
        /// Its host.
        host: String,
        /// Its port.
        port: u16,
        /// Longest time for one mail.
        timeout: Duration,
    },
}

/// What is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The sender is no address.
    #[error("NOTIFICATION_FROM must be an address such as `{FROM}`")]
    From,
    /// The host is empty.
    #[error("NOTIFICATION_SMTP_HOST must name a host, or not be set at all")]
    Host,
    /// A time out of bounds.
    #[error(
        "NOTIFICATION_SMTP_TIMEOUT_MS must be between {} and {}",
        SMTP_TIMEOUT_MS_BOUNDS.start(),
        SMTP_TIMEOUT_MS_BOUNDS.end()
    )]
    Timeout,
}

impl TryFrom<NotificationOptions> for Config {
    type Error = ConfigError;

    fn try_from(options: NotificationOptions) -> Result<Self, ConfigError> {
        let from = options.notification_from.parse().map_err(|_unreadable| ConfigError::From)?;
        if !SMTP_TIMEOUT_MS_BOUNDS.contains(&options.notification_smtp_timeout_ms) {
            return Err(ConfigError::Timeout);
        }
        let way = match options.notification_smtp_host {
            None => Way::Files,
            Some(host) if host.trim().is_empty() => return Err(ConfigError::Host),
            Some(host) => Way::Relay {
                host,
                port: options.notification_smtp_port,
                timeout: Duration::from_millis(options.notification_smtp_timeout_ms),
            },
        };
        Ok(Self { way, from })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(change: impl FnOnce(&mut NotificationOptions)) -> Result<Config, ConfigError> {
        let mut options = NotificationOptions::default();
        change(&mut options);
        Config::try_from(options)
    }

    #[test]
    fn without_settings_mails_are_files() {
        let config = with(|_| {}).unwrap();
        assert_eq!(config.way, Way::Files);
        assert_eq!(config.from.email.domain(), "jetsaga.example");
    }

    #[test]
    fn a_host_makes_it_a_relay() {
        let config = with(|it| it.notification_smtp_host = Some("relay.local".to_owned())).unwrap();
        let timeout = Duration::from_secs(5);
        assert_eq!(config.way, Way::Relay { host: "relay.local".to_owned(), port: 25, timeout });
    }

    #[test]
    fn what_is_wrong_is_named() {
        let from = with(|it| it.notification_from = "nobody".to_owned());
        assert_eq!(from, Err(ConfigError::From));
        let host = with(|it| it.notification_smtp_host = Some(" ".to_owned()));
        assert_eq!(host, Err(ConfigError::Host));
        for wrong in [0, 49, 30_001] {
            let timeout = with(|it| it.notification_smtp_timeout_ms = wrong);
            assert_eq!(timeout, Err(ConfigError::Timeout));
        }
    }
}

//! The payment provider as a port: what we ask of whoever really moves the money.
//!
//! Two demands make it safe to lose an answer at any moment. A repeated key gets the first answer;
//! and once a key is cancelled, a charge under it that arrives late is refused.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use jetsaga_contracts::money::Money;
use secrecy::SecretString;

mod http;
mod watched;
pub mod wire;

pub use http::{ClientSettings, HttpProvider};
pub use watched::Watched;

/// Somebody who charges customers and gives money back.
#[async_trait]
pub trait Provider: Send + Sync + 'static {
    /// Charges once, however often it is called with this `key`.
    ///
    /// # Errors
    /// [`ProviderError::Unknown`] when the charge may or may not have happened.
    async fn charge(&self, charge: &Charge, key: &str) -> Result<Receipt, ProviderError>;

    /// Makes sure that no charge under `key` happens from now on, and tells whether one has. A
    /// charge that has happened is *not* given back by this.
    async fn cancel(&self, key: &str) -> Result<Fate, ProviderError>;

    /// Gives back a charge, once, however often it is called with this `key`.
    async fn refund(&self, refund: &Refund, key: &str) -> Result<String, ProviderError>;

    /// What has become of the charge under `key` so far.
    async fn status(&self, key: &str) -> Result<Fate, ProviderError>;
}

/// A charge to be made.
#[derive(Debug, Clone)]
pub struct Charge {
    /// How much.
    pub amount: Money,
    /// The customer's means of payment, as the provider named it. Not shown by `Debug`.
    pub token: SecretString,
    /// Our order, for the provider's own records.
    pub order: String,
}

/// A charge that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The provider's reference of the charge.
    pub provider_ref: String,
    /// How much was charged.
    pub amount: Money,
}

/// A charge to be given back in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refund {
    /// The provider's reference of the charge.
    pub provider_ref: String,
    /// How much: all of it.
    pub amount: Money,
}

/// What has become of a charge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// The provider has not seen it; it may still be on its way.
    NotSeen,
    /// It was made.
    Charged(Receipt),
    /// It was made and given back.
    Refunded(Receipt),
    /// It was declined, with this code; nothing was charged.
    Declined(String),
    /// It was cancelled before it arrived; it will be refused if it does.
    Cancelled,
}

/// Why the provider did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// The customer's bank said no. Final.
    #[error("declined: {code}")]
    Declined {
        /// The provider's decline code, such as `insufficient_funds`.
        code: String,
    },
    /// The provider refuses this request as such; repeating it is of no use. Final.
    #[error("refused: {code}: {message}")]
    Invalid {
        /// The provider's error code.
        code: String,
        /// For the log.
        message: String,
    },
    /// Nothing has happened; it may work later.
    #[error("not now: {message}")]
    Transient {
        /// For the log.
        message: String,
        /// How long the provider asks us to wait.
        after: Option<Duration>,
    },
    /// It may have happened: the answer was lost or makes no sense. Ask for the status.
    #[error("no usable answer: {message}")]
    Unknown {
        /// For the log.
        message: String,
    },
}

impl ProviderError {
    /// A transient error without a wish for when to come again.
    pub(crate) fn transient(message: impl fmt::Display) -> Self {
        Self::Transient { message: message.to_string(), after: None }
    }

    /// An unknown outcome.
    pub(crate) fn unknown(message: impl fmt::Display) -> Self {
        Self::Unknown { message: message.to_string() }
    }
}

//! Asks a coordinator.

use std::time::Duration;

use async_nats::{Client, HeaderMap, RequestErrorKind};

use super::{ERROR_HEADER, Wish, subject};

/// Longest wait for an answer. An append may be retried a few times on the way.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Sends wishes to whichever coordinator answers.
#[derive(Debug, Clone)]
pub struct WishClient {
    client: Client,
    timeout: Duration,
}

/// Why a wish was not granted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WishError {
    /// A coordinator refused it: wishing again does not help until the saga has moved.
    #[error("{message}")]
    Refused {
        /// For programs: a code of [`saga_core::Refusal::code`], or one of `malformed`,
        /// `unknown_type`, `unknown_saga`, `unknown_definition`, `id_taken`.
        code: String,
        /// As HTTP uses them: 400, 404, 409, 422.
        status: u16,
        /// For people.
        message: String,
    },
    /// No coordinator answers, or it cannot reach the stream now: wish again later. It may have
    /// been granted; repeating it does no harm.
    #[error("no coordinator grants wishes now: {0}")]
    Unavailable(String),
    /// The answer is not what this program expects: another version.
    #[error("the coordinator's answer cannot be read: {0}")]
    Unreadable(String),
}

impl WishClient {
    /// A client over a connection.
    pub fn new(client: Client) -> Self {
        Self { client, timeout: TIMEOUT }
    }

    /// With another longest wait for an answer.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sends a wish and awaits the answer.
    ///
    /// # Errors
    /// [`WishError`] says whether wishing again can help.
    pub async fn ask<W: Wish>(&self, wish: &W) -> Result<W::Answer, WishError> {
        let payload = serde_json::to_vec(wish).map_err(|error| unreadable(&error))?;
        let answer = tokio::time::timeout(
            self.timeout,
            self.client.request(subject(W::NAME), payload.into()),
        )
        .await
        .map_err(|elapsed| WishError::Unavailable(elapsed.to_string()))?
        .map_err(|error| match error.kind() {
            RequestErrorKind::NoResponders => {
                WishError::Unavailable("no coordinator is running".to_owned())
            }
            _ => WishError::Unavailable(error.to_string()),
        })?;
        if let Some(refusal) = answer.headers.as_ref().and_then(refusal) {
            return Err(refusal);
        }
        serde_json::from_slice(&answer.payload).map_err(|error| unreadable(&error))
    }
}

fn unreadable(error: &serde_json::Error) -> WishError {
    WishError::Unreadable(error.to_string())
}

fn refusal(headers: &HeaderMap) -> Option<WishError> {
    let text = |name: &str| headers.get(name).map(|value| value.as_str().to_owned());
    let message = text(async_nats::service::NATS_SERVICE_ERROR)?;
    let status = text(async_nats::service::NATS_SERVICE_ERROR_CODE)
        .and_then(|code| code.parse::<u16>().ok())
        .unwrap_or(500);
    if status >= 500 {
        return Some(WishError::Unavailable(message));
    }
    let code = text(ERROR_HEADER).unwrap_or_else(|| "refused".to_owned());
    Some(WishError::Refused { code, status, message })
}

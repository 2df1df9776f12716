//! An HTTP answer, and which of the four kinds of error it is.

use std::time::Duration;

use reqwest::StatusCode;
use serde::de::DeserializeOwned;

use super::{ErrorBody, ProviderError};

/// Longest decline code that we hand on.
const MAX_CODE: usize = 64;

/// An answer that arrived in full.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) after: Option<Duration>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// The body of a success, or what the answer means otherwise.
    pub(super) fn read<T: DeserializeOwned>(self) -> Result<T, ProviderError> {
        if !self.status.is_success() {
            return Err(classify(&self));
        }
        // Which part did not fit is not said: it could hold what the provider sent.
        serde_json::from_slice(&self.body).map_err(|error| {
            ProviderError::unknown(format_args!("unreadable: {:?}", error.classify()))
        })
    }

    /// The provider's error code, when the body has one.
    pub(super) fn error_code(&self) -> Option<String> {
        serde_json::from_slice::<ErrorBody>(&self.body).ok().map(|body| body.error.code)
    }
}

/// What an answer that is not a success means.
///
/// Nothing happened: 408, 425, 429 and 503 (by RFC 9110 the server did not handle the request), a
/// key that is in use at this moment, and 401 and 403, which are a fault of our settings and not of
/// the order. Final: every other 4xx. May have happened: everything else.
pub(super) fn classify(answer: &Answer) -> ProviderError {
    let error = serde_json::from_slice::<ErrorBody>(&answer.body).ok().map(|body| body.error);
    let status = answer.status;
    let code = error.as_ref().map_or(String::new(), |error| short(&error.code));
    if matches!(status.as_u16(), 401 | 403) {
        tracing::error!(%status, code, "the payment provider does not accept our key");
    }
    let is_later = matches!(status.as_u16(), 401 | 403 | 408 | 425 | 429 | 503);
    if is_later || code == "idempotency_key_in_use" {
        let message = format!("the provider answered {status}");
        return ProviderError::Transient { message, after: answer.after };
    }
    match error {
        Some(error) if status == StatusCode::PAYMENT_REQUIRED => {
            ProviderError::Declined { code: decline_code(error.decline_code) }
        }
        Some(error) if status.is_client_error() => {
            ProviderError::Invalid { code, message: error.message.chars().take(200).collect() }
        }
        // Not the provider's own words: a proxy or a wrong address. Says nothing about a charge.
        _ => ProviderError::unknown(format_args!("the provider answered {status}")),
    }
}

/// A decline code that can be shown: known characters, bounded.
pub(super) fn decline_code(code: Option<String>) -> String {
    let code = code.map(|code| short(&code)).unwrap_or_default();
    if code.is_empty() { "generic_decline".to_owned() } else { code }
}

fn short(code: &str) -> String {
    code.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(MAX_CODE).collect()
}

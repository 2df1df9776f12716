//! The provider over HTTP, and what each of its answers means.

use std::time::Duration;

use async_trait::async_trait;
use futures::TryStreamExt as _;
use jetsaga_contracts::money::{Currency, Money};
use reqwest::{Client, Method, RequestBuilder, StatusCode, header::RETRY_AFTER, redirect::Policy};
use secrecy::{ExposeSecret, SecretString};
use serde::{Serialize, de::DeserializeOwned};

use super::wire::{
    ChargeObject, ChargeRequest, ChargeStatus, ErrorBody, IDEMPOTENCY_KEY, RefundObject,
    RefundRequest, UNKNOWN_KEY,
};
use super::{Charge, Fate, Provider, ProviderError, Receipt, Refund};

mod answer;

use answer::Answer;

/// An answer of the provider is far smaller; a larger one is not read.
const MAX_ANSWER: usize = 64 * 1024;

/// Where the provider is, and how long we wait for it.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// Base URL, such as `http://127.0.0.1:8090`, without a slash at its end.
    pub url: String,
    /// Our key at the provider. Not shown by `Debug`.
    pub api_key: SecretString,
    /// Longest time for one call, from connecting to the last byte of the answer.
    pub call_timeout: Duration,
}

/// A provider that speaks [`super::wire`].
#[derive(Debug, Clone)]
pub struct HttpProvider {
    client: Client,
    settings: ClientSettings,
}

impl HttpProvider {
    /// A client; connects when it is first used.
    ///
    /// # Errors
    /// When the HTTP client cannot be built.
    pub fn new(settings: ClientSettings) -> Result<Self, reqwest::Error> {
        // A redirect or a proxy would carry our key and the tokens to somebody else. Connecting has
        // half of the time, so that "not connected" is never mistaken for "no answer".
        let client = Client::builder()
            .timeout(settings.call_timeout)
            .connect_timeout(settings.call_timeout / 2)
            .redirect(Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self { client, settings })
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.settings.url);
        self.client.request(method, url).bearer_auth(self.settings.api_key.expose_secret())
    }

    async fn post<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        path: &str,
        key: &str,
        body: &B,
    ) -> Result<T, ProviderError> {
        send(self.request(Method::POST, path).header(IDEMPOTENCY_KEY, key).json(body)).await?.read()
    }
}

#[async_trait]
impl Provider for HttpProvider {
    async fn charge(&self, charge: &Charge, key: &str) -> Result<Receipt, ProviderError> {
        let body = ChargeRequest {
            amount: charge.amount.amount,
            currency: charge.amount.currency.to_string(),
            payment_method: charge.token.expose_secret().to_owned(),
            order: charge.order.clone(),
        };
        let made: ChargeObject = self.post("/v1/charges", key, &body).await?;
        match fate(made)? {
            // Refunded: somebody gave it back meanwhile; it was charged all the same.
            Fate::Charged(receipt) | Fate::Refunded(receipt) if receipt.amount == charge.amount => {
                Ok(receipt)
            }
            other => Err(ProviderError::unknown(format_args!("a charge answered by {other:?}"))),
        }
    }

    async fn cancel(&self, key: &str) -> Result<Fate, ProviderError> {
        let path = format!("/v1/charges/by-key/{key}/cancel");
        fate(send(self.request(Method::POST, &path)).await?.read()?)
    }

    async fn refund(&self, refund: &Refund, key: &str) -> Result<String, ProviderError> {
        let body =
            RefundRequest { charge: refund.provider_ref.clone(), amount: refund.amount.amount };
        let made: RefundObject = self.post("/v1/refunds", key, &body).await?;
        if made.charge != body.charge || made.amount != body.amount {
            return Err(ProviderError::unknown("the answer is about another refund"));
        }
        Ok(made.id)
    }

    async fn status(&self, key: &str) -> Result<Fate, ProviderError> {
        let path = format!("/v1/charges/by-key/{key}");
        let answer = send(self.request(Method::GET, &path)).await?;
        if answer.status == StatusCode::NOT_FOUND
            && answer.error_code().as_deref() == Some(UNKNOWN_KEY)
        {
            return Ok(Fate::NotSeen);
        }
        fate(answer.read()?)
    }
}

/// Sends a request and reads its answer, whatever its status.
async fn send(request: RequestBuilder) -> Result<Answer, ProviderError> {
    let answer = request.send().await.map_err(|error| lost(&error))?;
    let status = answer.status();
    let after = answer
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .map(Duration::from_secs);
    let mut body = Vec::new();
    let mut chunks = answer.bytes_stream();
    while let Some(chunk) = chunks.try_next().await.map_err(|error| lost(&error))? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(ProviderError::unknown("the answer is too large"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status, after, body })
}

/// An exchange that broke: nothing happened only if no connection was made.
fn lost(error: &reqwest::Error) -> ProviderError {
    // The URL is left out: it names the effect, and nothing that the caller does not know.
    let what = if error.is_timeout() { "time-out" } else { "connection lost" };
    if error.is_connect() || error.is_builder() {
        ProviderError::transient("cannot connect to the payment provider")
    } else {
        ProviderError::unknown(what)
    }
}

/// What a charge at the provider means to us.
fn fate(charge: ChargeObject) -> Result<Fate, ProviderError> {
    let receipt = || {
        let currency: Currency = charge.currency.as_deref()?.parse().ok()?;
        let amount = Money::new(charge.amount?, currency).ok()?;
        // What is kept in records must be bounded, whatever a provider sends.
        let provider_ref = charge.id.clone().filter(|id| !id.is_empty() && id.len() <= 200)?;
        Some(Receipt { provider_ref, amount })
    };
    let incomplete = || ProviderError::unknown("an incomplete charge");
    match charge.status {
        ChargeStatus::Succeeded => receipt().map(Fate::Charged).ok_or_else(incomplete),
        ChargeStatus::Refunded => receipt().map(Fate::Refunded).ok_or_else(incomplete),
        ChargeStatus::Failed => Ok(Fate::Declined(answer::decline_code(charge.decline_code))),
        ChargeStatus::Canceled => Ok(Fate::Cancelled),
    }
}

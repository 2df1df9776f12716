//! REST from one service to another: time-outs, retries within a budget, a breaker per target.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Problem;

mod breaker;

use breaker::Breaker;

/// One try may take this long, unless the caller's deadline is sooner.
const TRY: Duration = Duration::from_secs(2);
/// Most tries of one call.
const TRIES: u32 = 3;
/// Longest pause before the second try; doubled for the third.
const PAUSE: Duration = Duration::from_millis(50);

/// Where the services are: base URLs by name. In one process they are known only once every
/// listener is bound, so they may be set after the client was made.
#[derive(Debug, Clone, Default)]
pub struct ServiceUrls(Arc<RwLock<BTreeMap<String, String>>>);

impl ServiceUrls {
    /// Sets the base URL of a service.
    pub fn set(&self, service: &str, url: &str) {
        let url = url.trim_end_matches('/').to_owned();
        let mut urls = self.0.write().unwrap_or_else(PoisonError::into_inner);
        urls.insert(service.to_owned(), url);
    }

    /// The base URL of a service.
    pub fn get(&self, service: &str) -> Option<String> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(service).cloned()
    }

    /// All of them.
    pub fn all(&self) -> BTreeMap<String, String> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Calls other services.
#[derive(Debug, Clone)]
pub struct ServiceClient {
    http: reqwest::Client,
    urls: ServiceUrls,
    breakers: Arc<Mutex<BTreeMap<String, Breaker>>>,
}

/// The value of a query parameter.
#[derive(Debug, Clone)]
pub struct QueryValue(String);

impl<T: std::fmt::Display> From<T> for QueryValue {
    fn from(value: T) -> Self {
        Self(value.to_string())
    }
}

/// A call to another service.
#[derive(Debug, Clone)]
pub struct Call<'a> {
    /// The service's name.
    pub service: &'a str,
    /// The method; only those without effects are tried again.
    pub method: Method,
    /// The path, from `/`.
    pub path: &'a str,
    /// Query parameters.
    pub query: Vec<(&'a str, String)>,
    /// A JSON body.
    pub body: Option<Value>,
    /// When the caller has no use for an answer any more.
    pub deadline: Instant,
    /// W3C trace context.
    pub traceparent: Option<&'a str>,
}

impl<'a> Call<'a> {
    /// A GET that may take `limit` in all.
    pub fn get(service: &'a str, path: &'a str, limit: Duration) -> Self {
        Self {
            service,
            method: Method::GET,
            path,
            query: Vec::new(),
            body: None,
            deadline: Instant::now() + limit,
            traceparent: None,
        }
    }

    /// With a query parameter.
    #[must_use]
    pub fn query(mut self, name: &'a str, value: impl Into<QueryValue>) -> Self {
        self.query.push((name, value.into().0));
        self
    }

    /// With another method and a JSON body.
    #[must_use]
    pub fn send(mut self, method: Method, body: &impl Serialize) -> Self {
        self.method = method;
        self.body = serde_json::to_value(body).ok();
        self
    }

    /// Within a trace.
    #[must_use]
    pub fn traced(mut self, traceparent: Option<&'a str>) -> Self {
        self.traceparent = traceparent;
        self
    }
}

/// Why a call has no answer to work with.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The service cannot be reached, does not answer in time, or is known to be down.
    #[error("{service} does not answer: {why}")]
    Unavailable {
        /// The service.
        service: String,
        /// Why.
        why: String,
    },
    /// The service says no.
    #[error("{service} says: {problem}")]
    Refused {
        /// The service.
        service: String,
        /// What it says.
        problem: Box<Problem>,
    },
    /// The answer is not of the expected shape.
    #[error("{service} answered in another shape: {why}")]
    Shape {
        /// The service.
        service: String,
        /// What is wrong with it.
        why: String,
    },
}

impl From<CallError> for Problem {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused { problem, .. } if problem.status < 500 => *problem,
            CallError::Shape { .. } => Self::internal(&error),
            other => Self::unavailable("unavailable", other.to_string(), 1),
        }
    }
}

impl ServiceClient {
    /// A client that finds services in `urls`.
    pub fn new(urls: ServiceUrls) -> Self {
        // A proxy of the environment is for the world, not for services on loopback; a service
        // that redirects is not the one that was meant.
        let builder = reqwest::Client::builder().no_proxy();
        let builder = builder.redirect(reqwest::redirect::Policy::none());
        let http = builder.build().unwrap_or_default();
        Self { http, urls, breakers: Arc::default() }
    }

    /// The URLs.
    pub fn urls(&self) -> &ServiceUrls {
        &self.urls
    }

    /// Makes a call and reads its answer.
    pub async fn call<T: DeserializeOwned>(&self, call: &Call<'_>) -> Result<T, CallError> {
        let answer = self.call_json(call).await?;
        serde_json::from_value(answer).map_err(|error| CallError::Shape {
            service: call.service.to_owned(),
            why: error.to_string(),
        })
    }

    /// Makes a call and returns its answer as JSON; null when there is none.
    pub async fn call_json(&self, call: &Call<'_>) -> Result<Value, CallError> {
        let mut tries = 1;
        loop {
            if !self.breaker(call.service, Breaker::allows) {
                return Err(unavailable(
                    call,
                    "it did not answer lately; waiting before a new try",
                ));
            }
            let result = self.once(call).await;
            let is_up = !matches!(result, Err(CallError::Unavailable { .. }));
            self.breaker(call.service, |breaker| breaker.record(is_up));
            let may_repeat = call.method == Method::GET
                && tries < TRIES
                && Instant::now() < call.deadline
                && self.breaker(call.service, Breaker::take_retry);
            if is_up || !may_repeat {
                return result;
            }
            let bound = PAUSE.saturating_mul(tries);
            tokio::time::sleep(bound.mul_f64(rand::random_range(0.1..=1.0))).await;
            tries += 1;
        }
    }

    fn breaker<T>(&self, service: &str, act: impl FnOnce(&mut Breaker) -> T) -> T {
        let mut breakers = self.breakers.lock().unwrap_or_else(PoisonError::into_inner);
        act(breakers.entry(service.to_owned()).or_default())
    }

    async fn once(&self, call: &Call<'_>) -> Result<Value, CallError> {
        let Some(base) = self.urls.get(call.service) else {
            return Err(unavailable(call, "nobody said where it is (--service-url)"));
        };
        let left = call.deadline.saturating_duration_since(Instant::now());
        let mut request = self
            .http
            .request(call.method.clone(), format!("{base}{}", call.path))
            .query(&call.query)
            .timeout(left.min(TRY));
        if let Some(traceparent) = call.traceparent {
            request = request.header("traceparent", traceparent);
        }
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(|error| unavailable(call, reason(&error)))?;
        let status = response.status();
        let body = response.bytes().await.map_err(|error| unavailable(call, reason(&error)))?;
        if status.is_success() {
            return json(call, &body);
        }
        let is_down = matches!(
            status,
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
        );
        if is_down || status == StatusCode::INTERNAL_SERVER_ERROR {
            return Err(unavailable(call, format!("it answered {status}")));
        }
        let problem = serde_json::from_slice(&body).unwrap_or_else(|_| {
            Problem::new(status, "unavailable", format!("it answered {status}"))
        });
        Err(CallError::Refused { service: call.service.to_owned(), problem: Box::new(problem) })
    }
}

fn json(call: &Call<'_>, body: &[u8]) -> Result<Value, CallError> {
    if body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(body).map_err(|error| CallError::Shape {
        service: call.service.to_owned(),
        why: error.to_string(),
    })
}

fn reason(error: &reqwest::Error) -> String {
    super::problem::chain(error)
}

fn unavailable(call: &Call<'_>, why: impl Into<String>) -> CallError {
    CallError::Unavailable { service: call.service.to_owned(), why: why.into() }
}

#[cfg(test)]
mod tests;

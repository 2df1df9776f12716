//! What a test says to a shop over HTTP.

use async_nats::ConnectOptions;
use reqwest::{Method, RequestBuilder, Response};
use saga_engine::Engine;
use serde_json::{Value, json};
use service_kit::http::ServiceUrls;

use super::{eventually, order};

/// An answer, read whole.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers, as lower-case names and texts.
    pub headers: std::collections::BTreeMap<String, String>,
    /// The body as JSON; null when it is none.
    pub body: Value,
}

impl Answer {
    async fn of(response: Response) -> Self {
        let status = response.status().as_u16();
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| {
                (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            })
            .collect();
        let bytes = response.bytes().await.unwrap_or_default();
        Self { status, headers, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) }
    }

    /// The id in the body.
    pub fn id(&self) -> String {
        self.body["id"].as_str().unwrap_or_else(|| panic!("no id: {self:?}")).to_owned()
    }

    /// The problem's code.
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// The ways into a shop, wherever it runs: its gateway, its services and its log.
pub struct Front {
    /// The gateway's URL.
    pub url: String,
    pub(super) http: reqwest::Client,
    urls: ServiceUrls,
    engine: Engine,
}

impl Front {
    /// Of services that are there.
    ///
    /// # Panics
    /// When the NATS server does not answer.
    pub async fn new(urls: ServiceUrls, nats_url: &str) -> Self {
        let url = urls.get("gateway").unwrap_or_default();
        let client = jetsaga_nats::connect(nats_url, ConnectOptions::new()).await;
        let engine = Engine::new(client.expect("the server of the shop answers"));
        Self { url, http: reqwest::Client::new(), urls, engine }
    }

    /// The engine over this shop's account.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The URL of a service behind the gateway, or of the payment provider.
    ///
    /// # Panics
    /// When there is none.
    pub fn service(&self, name: &str) -> String {
        self.urls.get(name).unwrap_or_else(|| panic!("{name} has no URL"))
    }

    /// Switches a fault of the payment provider.
    ///
    /// # Panics
    /// When it cannot be switched.
    pub async fn fault(&self, name: &str, mode: &str) {
        let url = format!("{}/admin/faults/{name}", self.service("payment-provider"));
        let answer = self.http.put(url).json(&json!({ "mode": mode })).send().await;
        assert!(answer.is_ok_and(|answer| answer.status().is_success()), "{name} {mode}");
    }

    /// A request to the gateway.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    /// Sends a request.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        Answer::of(request.send().await.expect("the shop answers")).await
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    /// POST of JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    /// Places an order and returns its id.
    pub async fn place(&self, token: &str, lines: &[(&str, i64)]) -> String {
        let answer = self.post("/v1/orders", &order(token, lines)).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        answer.id()
    }

    /// The record of an order's saga.
    pub async fn record(&self, id: &str) -> Value {
        self.get(&format!("/v1/sagas/order/{id}")).await.body["record"].clone()
    }

    /// Waits until the order's saga has a status, and returns its record.
    pub async fn until(&self, id: &str, status: &str) -> Value {
        eventually(&format!("{status}: {id}"), async || {
            let record = self.record(id).await;
            if record["status"] == status { Ok(record) } else { Err(record.to_string()) }
        })
        .await
    }

    /// Waits until a step's event of some kind is in the log.
    pub async fn until_event(&self, id: &str, step: &str, kind: &str) {
        eventually(&format!("{step}.{kind}: {id}"), async || {
            let story = self.get(&format!("/v1/sagas/order/{id}/history")).await.body;
            let events = story["events"].as_array().cloned().unwrap_or_default();
            let found =
                events.iter().any(|it| it["event"]["step"] == step && it["event"]["kind"] == kind);
            if found { Ok(()) } else { Err(story.to_string()) }
        })
        .await;
    }

    /// A wish of an operator.
    pub async fn wish(&self, id: &str, wish: &str, mut body: Value) -> Answer {
        body["actor"] = json!("operator");
        body["reason"] = json!("a test wishes it");
        self.post(&format!("/v1/sagas/order/{id}/{wish}"), &body).await
    }

    /// What of a SKU is set aside.
    pub async fn allocated(&self, sku: &str) -> i64 {
        let stock = self.get(&format!("/v1/stock/{sku}")).await.body;
        stock["allocated"].as_i64().unwrap_or_else(|| panic!("no stock: {stock}"))
    }

    /// What the payment provider says of itself.
    pub async fn provider(&self) -> Value {
        let url = format!("{}/admin/summary", self.service("payment-provider"));
        let answer = self.http.get(url).send().await.expect("the provider answers");
        Answer::of(answer).await.body
    }
}

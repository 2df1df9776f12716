//! What this crate's tests share: orders, jobs, and a product service on a loopback port.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use jetsaga_contracts::{
    http::{page::Page, product::Product},
    ids::OrderId,
    money::{Currency, Money},
    order_saga::{Customer, OrderInput, OrderLine, PaymentMethod},
    time::Timestamp,
};
use poem::{
    EndpointExt as _, Response, Route, Server, get, handler,
    http::StatusCode,
    listener::{Acceptor as _, Listener as _, TcpListener},
    web::{Data, Query},
};
use saga_core::barrier::{Key, Row};
use saga_engine::{Barrier as _, Change, Job, Undo};
use service_kit::{
    Store, Work,
    http::{ServiceClient, ServiceUrls},
};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::{
    products::Products,
    store::{Orders, SCHEMA},
};

/// When test orders are placed: milliseconds since the epoch.
pub(crate) const AT: i64 = 1_795_424_400_000;

pub(crate) async fn orders() -> Orders {
    Orders::new(Store::in_memory(SCHEMA).await.unwrap())
}

/// Order number `number`; its id sorts like its number.
pub(crate) fn id(number: u128) -> OrderId {
    OrderId::from_uuid(Uuid::from_u128(number))
}

pub(crate) fn input(lines: &[(&str, i64)]) -> OrderInput {
    let line =
        |(sku, quantity): &(&str, i64)| OrderLine { sku: (*sku).to_owned(), quantity: *quantity };
    OrderInput {
        customer: Customer { name: "Ada".to_owned(), email: "ada@example.com".to_owned() },
        lines: lines.iter().map(line).collect(),
        currency: "EUR".to_owned(),
        payment: PaymentMethod { token: "pm_card_visa".to_owned() },
    }
}

pub(crate) fn eur(amount: i64) -> Money {
    Money::new(amount, Currency::EUR).unwrap()
}

pub(crate) fn product(sku: &str, price: Money) -> Product {
    let name = format!("Product {sku}");
    Product { sku: sku.to_owned(), name, price, active: true, updated_at: Timestamp::now() }
}

pub(crate) fn job(number: u128, input: OrderInput) -> Job<OrderInput> {
    let saga_id = id(number).into_string();
    Job {
        saga_type: "order".to_owned(),
        effect_id: format!("order.{saga_id}.order"),
        saga_id,
        step: "order".to_owned(),
        attempt: 1,
        left: Duration::from_secs(30),
        at_ms: AT,
        input,
        outputs: BTreeMap::new(),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
    }
}

pub(crate) fn undo<O>(
    job: Job<OrderInput>,
    cause: Option<saga_core::Cause>,
) -> Undo<OrderInput, O> {
    let undo_id = format!("{}.undo", job.effect_id);
    Undo { job: Job { at_ms: AT + 1_000, ..job }, undo_id, output: None, cause }
}

pub(crate) fn cause(step: &str, code: &str) -> saga_core::Cause {
    saga_core::Cause { step: step.to_owned(), code: code.to_owned(), detail: "because".to_owned() }
}

/// Commits work under a fresh barrier row, as the engine does.
pub(crate) async fn commit(orders: &Orders, work: Work) {
    let key = Key::new("order", &Uuid::new_v4().simple().to_string(), "order");
    let row = Row::done("request", serde_json::json!({}));
    let change = Change { key, seen: None, row, work };
    let results = orders.barrier().commit(vec![change]).await;
    assert!(results[0].is_ok(), "{results:?}");
}

/// What the product service does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Answers 503.
    Down,
    /// Never answers.
    Silent,
    /// Answers something else.
    Odd,
}

#[derive(Debug)]
struct State {
    products: BTreeMap<String, Product>,
    fault: Fault,
    /// The SKUs of each question.
    asked: Vec<Vec<String>>,
    traces: Vec<Option<String>>,
}

/// A product service on a loopback port.
pub(crate) struct Shop {
    state: Arc<Mutex<State>>,
    urls: ServiceUrls,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Shop {
    pub(crate) async fn open(products: &[Product]) -> Self {
        let products = products.iter().map(|it| (it.sku.clone(), it.clone())).collect();
        let state = State { products, fault: Fault::None, asked: Vec::new(), traces: Vec::new() };
        let state = Arc::new(Mutex::new(state));
        let acceptor = TcpListener::bind("127.0.0.1:0").into_acceptor().await.unwrap();
        let address = *acceptor.local_addr()[0].as_socket_addr().unwrap();
        let route = Route::new().at("/v1/products", get(answer)).data(Arc::clone(&state));
        let serving = tokio::spawn(Server::new_with_acceptor(acceptor).run(route));
        let urls = ServiceUrls::default();
        urls.set("product", &format!("http://{address}"));
        Self { state, urls, serving }
    }

    /// A shop with one product, `TEA` at 7.99 EUR.
    pub(crate) async fn with_tea() -> Self {
        Self::open(&[product("TEA", eur(799))]).await
    }

    pub(crate) fn products(&self) -> Products {
        let patience = Duration::from_millis(500);
        Products::new(ServiceClient::new(self.urls.clone()), patience)
    }

    pub(crate) fn fault(&self, fault: Fault) {
        self.state.lock().unwrap().fault = fault;
    }

    pub(crate) fn asked(&self) -> Vec<Vec<String>> {
        self.state.lock().unwrap().asked.clone()
    }

    pub(crate) fn traces(&self) -> Vec<Option<String>> {
        self.state.lock().unwrap().traces.clone()
    }
}

#[derive(serde::Deserialize)]
struct Asked {
    sku: String,
}

#[handler]
async fn answer(
    Query(Asked { sku }): Query<Asked>,
    state: Data<&Arc<Mutex<State>>>,
    request: &poem::Request,
) -> Response {
    let skus: Vec<String> = sku.split(',').map(str::to_owned).collect();
    let (fault, found) = {
        let mut state = state.lock().unwrap();
        let found: Vec<_> =
            skus.iter().filter_map(|sku| state.products.get(sku).cloned()).collect();
        state.asked.push(skus);
        state.traces.push(request.header("traceparent").map(str::to_owned));
        (state.fault, found)
    };
    let json = |body: String| Response::builder().content_type("application/json").body(body);
    match fault {
        Fault::None => json(serde_json::to_string(&Page::whole(found)).unwrap()),
        Fault::Down => StatusCode::SERVICE_UNAVAILABLE.into(),
        Fault::Silent => std::future::pending().await,
        Fault::Odd => {
            json(r#"{"data":[{"sku":"TEA","price":"much"}],"has_more":false}"#.to_owned())
        }
    }
}

//! Orders through HTTP, all services and their databases.

use std::time::Duration;

use jetsaga_contracts::demo;
use jetsaga_tests::harness::{Setup, Shop, order};
use reqwest::StatusCode;
use serde_json::{Value, json};
use service_kit::host::Apart;

use super::figure::{Failure, Figure, Outcome, closed_loop, open_loop};
use super::process::{Meter, Parts};
use super::report::Report;

pub(crate) const DURABILITY: &str = "R1, file, synced every 2 min; SurrealKV synced at each commit";
/// Pieces that no run sells out.
const PLENTY: i64 = 1_000_000_000;
/// Orders in flight right before and after the overload, to be compared.
const AROUND: usize = 16;
const SKU: &str = "tea-assam";

/// A customer of a shop, who may be sent to another task.
#[derive(Clone)]
pub(crate) struct Customer {
    http: reqwest::Client,
    url: String,
    body: Value,
}

impl Customer {
    /// Of the shop whose gateway has this URL.
    pub(crate) fn of(url: &str) -> Self {
        let body = order(demo::VISA, &[(SKU, 1)]);
        Self { http: reqwest::Client::new(), url: url.to_owned(), body }
    }

    /// Places an order and waits for its end.
    pub(crate) async fn order(self) -> Result<Outcome, Failure> {
        let request = self.http.post(format!("{}/v1/orders", self.url));
        let answer = request.header("Prefer", "wait=30").json(&self.body).send().await?;
        match answer.status() {
            StatusCode::CREATED => Ok(Outcome::Done),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Ok(Outcome::Shed),
            status => Err(format!("an order was answered with {status}").into()),
        }
    }
}

/// A shop as `cargo run` starts it, with its databases and its NATS server on a fresh disk, and
/// enough to sell.
pub(crate) async fn shop() -> Result<Shop, Failure> {
    Box::pin(shop_with(Setup::default())).await
}

/// The same with a setup of its own.
async fn shop_with(setup: Setup) -> Result<Shop, Failure> {
    let shop = Shop::over_with(tempfile::tempdir()?, setup).await;
    stock(&shop.service("inventory")).await?;
    Ok(shop)
}

/// Gives the inventory at this URL enough to sell.
pub(crate) async fn stock(inventory: &str) -> Result<(), Failure> {
    let url = format!("{inventory}/v1/stock/{SKU}/adjustments");
    let body = json!({ "delta": PLENTY, "reason": "bench" });
    let answer = reqwest::Client::new().post(url).json(&body).send().await?;
    if answer.status().is_success() { Ok(()) } else { Err(answer.text().await?.into()) }
}

/// Customers who order again as soon as their order has ended.
pub(crate) async fn closed(url: &str, in_flight: usize, duration: Duration) -> Figure {
    let customer = Customer::of(url);
    closed_loop(in_flight, duration, move |_| customer.clone().order()).await
}

/// Figure e.
pub(crate) async fn figures(report: &mut Report, duration: Duration) -> Result<(), Failure> {
    let shop = Box::pin(shop()).await?;
    let mut best = 0.0_f64;
    for (in_flight, goal) in [(1, "p50 at most 15 ms"), (16, "none"), (128, "800/s")] {
        let meter = Meter::start();
        let figure = closed(&shop.url, in_flight, duration).await;
        let note = format!("goal: {goal}; {}", meter.per(&figure, "order"));
        report.row("e", &format!("orders, closed loop of {in_flight}"), &figure, DURABILITY, &note);
        best = best.max(figure.per_second());
    }
    for (share, what) in [(0.5, "half"), (0.8, "0.8")] {
        let rate = whole(best * share);
        let customer = Customer::of(&shop.url);
        let figure = open_loop(rate, duration, |_| customer.clone().order()).await;
        let what = format!("orders, open loop at {rate}/s, {what} of the best");
        report.row("e", &what, &figure, DURABILITY, &format!("{} shed", figure.shed));
    }
    overload(report, &shop, whole(best * 2.0), duration).await;
    shop.stop().await;
    Ok(())
}

/// Figure e once more, with each part on threads of its own, whose time the system counts apart.
pub(crate) async fn split(
    report: &mut Report,
    parts: &Parts,
    duration: Duration,
) -> Result<(), Failure> {
    let apart = Apart {
        services: [("gateway", parts.gateway.clone())].into(),
        databases: Some(parts.databases.clone()),
    };
    let starting = parts.services.spawn(async move {
        // What is said to whoever started it is text: errors need not be sent across threads.
        Box::pin(shop_with(Setup { apart, ..Setup::default() }))
            .await
            .map_err(|why| why.to_string())
    });
    let shop = starting.await??;
    closed(&shop.url, 128, duration / 4).await;
    let meter = Meter::start();
    let figure = closed(&shop.url, 128, duration).await;
    let split = meter.split(&figure, &[Parts::GATEWAY, Parts::SERVICES, Parts::DATABASES]);
    let what = "orders, closed loop of 128, each part on threads of its own";
    report.row("e", what, &figure, DURABILITY, &format!("per order: {split}"));
    parts.services.spawn(shop.stop()).await?;
    Ok(())
}

/// Twice what it can: what is accepted stays quick, the rest is told to come again, and afterwards
/// all is as before. A shop with some thousand orders is slower than an empty one in any case, so
/// before means right before.
async fn overload(report: &mut Report, shop: &Shop, rate: u32, duration: Duration) {
    let before = closed(&shop.url, AROUND, duration).await;
    let what = format!("before the overload, closed loop of {AROUND}");
    report.row("e", &what, &before, DURABILITY, "");
    let customer = Customer::of(&shop.url);
    let figure = open_loop(rate, duration, |_| customer.clone().order()).await;
    let what = format!("orders, open loop at {rate}/s, twice the best");
    report.row("e", &what, &figure, DURABILITY, &format!("{} shed", figure.shed));
    let after = closed(&shop.url, AROUND, duration).await;
    let what = format!("after the overload, closed loop of {AROUND}");
    let note = format!("{:.2} of before it", after.per_second() / before.per_second());
    report.row("e", &what, &after, DURABILITY, &note);
}

/// A rate without its fraction; rates here are far below what fits.
fn whole(rate: f64) -> u32 {
    format!("{rate:.0}").parse().unwrap_or(1).max(1)
}

//! Places orders of every kind at a running shop and prints what became of each.
#![expect(clippy::print_stdout, reason = "what happened is for whoever asked")]

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use jetsaga_contracts::demo;
use jetsaga_tests::harness::order;
use serde_json::Value;

/// Place a few orders of each kind at a running shop, and print what happened
#[derive(Debug, Parser)]
#[command(name = "demo")]
struct Options {
    /// Where the shop is
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
}

/// What is ordered, with which token, and what it shows.
const ORDERS: &[(&str, &str, &str, i64)] = &[
    ("all is well", demo::VISA, "tea-assam", 2),
    ("the card is declined", demo::DECLINED, "tea-assam", 1),
    ("no such product", demo::VISA, "tea-of-nowhere", 1),
    ("out of stock: the charge is refunded", demo::VISA, "mug-sold-out", 1),
    ("charged, then the provider answers 500", demo::CHARGED_THEN_500, "honey-forest", 1),
    ("charged, but the answer is lost", demo::TIMEOUT_BUT_CHARGED, "honey-forest", 1),
    ("the provider is down for two seconds", "pm_fault_down_for_2s", "tea-sencha", 1),
    ("the refund fails twice, then works", demo::REFUND_FAILS_TWICE, "mug-sold-out", 1),
    ("the refund never works: a person is needed", demo::REFUND_NEVER_WORKS, "mug-sold-out", 1),
];

#[tokio::main]
async fn main() -> ExitCode {
    let Options { url } = Options::parse();
    let url = url.trim_end_matches('/').to_owned();
    let http = reqwest::Client::new();
    if let Err(error) = http.get(format!("{url}/health/live")).send().await {
        eprintln!("No shop answers at {url}: {error}. Start one with `just up`, or give --url.");
        return ExitCode::FAILURE;
    }
    let shows = ORDERS.iter().map(|kind| show(&http, &url, kind));
    let told = futures::future::join_all(shows).await;
    let mut code = ExitCode::SUCCESS;
    for ((what, ..), told) in ORDERS.iter().zip(told) {
        match told {
            Ok(lines) => println!("{what}\n{lines}"),
            Err(error) => {
                println!("{what}\n  could not be shown: {error}\n");
                code = ExitCode::FAILURE;
            }
        }
    }
    println!("Everything: {url}/v1/orders and {url}/v1/sagas");
    code
}

/// Places an order, waits for its end, and tells its events.
async fn show(
    http: &reqwest::Client,
    url: &str,
    (_, token, sku, quantity): &(&str, &str, &str, i64),
) -> Result<String, reqwest::Error> {
    let body = order(token, &[(sku, *quantity)]);
    let request = http.post(format!("{url}/v1/orders")).header("Prefer", "wait=12").json(&body);
    let answer = request.timeout(Duration::from_secs(40)).send().await?;
    let (status, path) = (answer.status(), path_of(answer).await?);
    let Some(path) = path else { return Ok(format!("  {status}\n")) };
    let id = path.rsplit('/').next().unwrap_or_default();
    let history = format!("{url}/v1/sagas/order/{id}/history");
    let story: Value = http.get(history).send().await?.json().await?;
    let mut lines = format!("  {status}  {path}\n");
    for event in story["events"].as_array().into_iter().flatten() {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (step, kind) = (text(&event["event"]["step"]), text(&event["event"]["kind"]));
        let (after, code) = (text(&event["status"]), text(&event["reason"]["code"]));
        let line = format!("    {:>3}  {step:<13}{kind:<11}{after:<14}{code}", event["n"]);
        lines.extend([line.trim_end(), "\n"]);
    }
    Ok(lines)
}

/// Where the order is: in the header, or in the problem of one that was rolled back.
async fn path_of(answer: reqwest::Response) -> Result<Option<String>, reqwest::Error> {
    let location = answer.headers().get("location").and_then(|value| value.to_str().ok());
    if let Some(location) = location {
        return Ok(Some(location.to_owned()));
    }
    let body: Value = answer.json().await?;
    Ok(body["errors"][0]["pointer"].as_str().map(str::to_owned))
}

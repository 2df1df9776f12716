//! The real binary: killed under load and started again, and what it says when it cannot start.

use std::net::TcpListener;
use std::path::Path;
use std::process::Output;

use jetsaga_contracts::demo;
use jetsaga_tests::harness::binary::{Running, command, free_port, output};
use jetsaga_tests::harness::{Shop, order, run};
use tokio::sync::mpsc;

/// Acknowledged orders after which the shop is killed.
const ACKNOWLEDGED: usize = 12;
/// Customers who order at the same time.
const CUSTOMERS: usize = 6;

const KINDS: &[(&str, &str)] = &[
    (demo::VISA, "tea-assam"),
    (demo::DECLINED, "tea-assam"),
    (demo::VISA, "mug-sold-out"),
    (demo::CHARGED_THEN_500, "honey-forest"),
];

/// Orders without end until the shop is gone; tells the id of each order that was acknowledged.
async fn customer(url: String, number: usize, told: mpsc::UnboundedSender<String>) {
    let http = reqwest::Client::new();
    for (token, sku) in KINDS.iter().cycle().skip(number) {
        let body = order(token, &[(sku, 1)]);
        let answer = http.post(format!("{url}/v1/orders")).json(&body).send().await;
        let Ok(answer) = answer else { return };
        let accepted = answer.status() == 202;
        let Ok(body) = answer.json::<serde_json::Value>().await else { return };
        assert!(accepted, "{body}");
        if told.send(body["id"].as_str().unwrap().to_owned()).is_err() {
            return;
        }
    }
}

/// Starts the shop, lets customers order, and kills it and its NATS server in the middle of it.
async fn killed_under_load(data: &Path) -> Vec<String> {
    let mut shop = Running::start(command(data), free_port()).await;
    let (tell, mut told) = mpsc::unbounded_channel();
    let customers: Vec<_> = (0..CUSTOMERS)
        .map(|number| tokio::spawn(customer(shop.url(), number, tell.clone())))
        .collect();
    drop(tell);
    let mut acknowledged = Vec::new();
    while acknowledged.len() < ACKNOWLEDGED {
        acknowledged.push(told.recv().await.expect("customers order until the shop is killed"));
    }
    shop.kill_with_server();
    for customer in customers {
        customer.await.unwrap();
    }
    while let Some(id) = told.recv().await {
        acknowledged.push(id);
    }
    acknowledged
}

#[test]
fn no_acknowledged_order_is_lost_or_half_done_after_kill_9() {
    run(async {
        let data = tempfile::tempdir().unwrap();
        let mut acknowledged = killed_under_load(data.path()).await;
        acknowledged.extend(killed_under_load(data.path()).await);
        // Now a shop of this process finishes what the killed ones left.
        let shop = Shop::over(data).await;
        let all = shop.all().await;
        for id in &acknowledged {
            assert!(all.contains(id), "{id} was acknowledged and is lost");
        }
        // Also those whose acknowledgement was lost with the shop.
        for id in &all {
            shop.agrees_with_its_record(id).await;
        }
        shop.all_agree(&all.iter().map(String::as_str).collect::<Vec<_>>()).await;
        shop.stop().await;
    });
}

/// Exit code 1, and what it said.
fn refusal(output: Output) -> String {
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    said
}

#[test]
fn a_port_that_is_in_use_is_named() {
    let data = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let mut shop = command(data.path());
    shop.args(["--port", &port]);
    let said = refusal(output(shop));
    assert!(said.contains(&port) && said.contains("--port"), "{said}");
}

#[test]
fn a_data_directory_that_another_shop_uses_is_refused() {
    run(async {
        let data = tempfile::tempdir().unwrap();
        let first = Running::start(command(data.path()), free_port()).await;
        let mut second = command(data.path());
        second.args(["--port", &free_port().to_string()]);
        let said = refusal(tokio::task::spawn_blocking(|| output(second)).await.unwrap());
        assert!(said.contains(&data.path().display().to_string()), "{said}");
        let ready = reqwest::get(format!("{}/health/ready", first.url())).await.unwrap();
        assert!(ready.status().is_success(), "the first one goes on");
    });
}

/// Overwrites whatever a database has on disk.
fn damage(directory: &Path) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            damage(&path);
        } else {
            std::fs::write(path, "this is no database").unwrap();
        }
    }
}

#[test]
fn a_damaged_data_directory_is_named_with_what_to_do() {
    run(async {
        let data = tempfile::tempdir().unwrap();
        Running::start(command(data.path()), free_port()).await.kill();
        let database = data.path().join("order").join("db");
        damage(&database);
        let mut again = command(data.path());
        again.args(["--port", &free_port().to_string()]);
        let said = refusal(tokio::task::spawn_blocking(|| output(again)).await.unwrap());
        assert!(said.contains(&database.display().to_string()), "{said}");
        assert!(said.contains("backup"), "{said}");
    });
}

#[test]
fn a_nats_server_that_is_not_there_is_named() {
    let data = tempfile::tempdir().unwrap();
    let url = format!("nats://127.0.0.1:{}", free_port());
    let mut shop = command(data.path());
    shop.args(["--port", "0", "--nats-url", &url]);
    let said = refusal(output(shop));
    assert!(said.contains(&url), "{said}");
}

#[test]
fn without_any_server_the_ways_to_get_one_are_told() {
    let data = tempfile::tempdir().unwrap();
    let mut shop = command(data.path());
    shop.args(["--port", "0"]).env("PATH", data.path()).env("XDG_CACHE_HOME", data.path());
    let said = refusal(output(shop));
    assert!(said.contains("nats-server") && said.contains("NATS_URL"), "{said}");
}

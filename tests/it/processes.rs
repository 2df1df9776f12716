//! Every service, the coordinator and the NATS server as processes of their own, killed and paused
//! at every point: every saga ends, nothing is doubled, nothing is lost.

use std::time::Duration;

use futures::future::{join, join_all};
use jetsaga_contracts::demo;
use jetsaga_tests::harness::split::{PROCESSES, Programs, Split};
use jetsaga_tests::harness::{Ending, Front, order, run};
use tokio::sync::watch;

const TEA: &[(&str, i64)] = &[("tea-assam", 1)];
const SOLD_OUT: &[(&str, i64)] = &[("mug-sold-out", 1)];
/// The services that have a step, each of its own name.
const STEPS: [&str; 4] = ["order", "payment", "inventory", "notification"];
/// Where each of them dies in turn.
const POINTS: [&str; 4] = ["before-effect", "after-effect", "after-append", "before-ack"];

const KINDS: &[(&str, &[(&str, i64)])] = &[
    (demo::VISA, TEA),
    (demo::VISA, SOLD_OUT),
    (demo::DECLINED, TEA),
    (demo::CHARGED_THEN_500, TEA),
];

/// Orders of each kind, one after the other, until nobody counts any more; the ids that were
/// acknowledged. While the gateway or NATS is away nothing is.
async fn customer(shop: &Front, count: watch::Sender<usize>) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for (token, lines) in KINDS.iter().cycle() {
        if count.is_closed() {
            break;
        }
        let request = shop.request(reqwest::Method::POST, "/v1/orders");
        // Gives the order a moment to get somewhere before the next one comes.
        let request = request.header("Prefer", "wait=1").json(&order(token, lines));
        let Ok(answer) = request.send().await else {
            // The gateway is gone; the loop ends with the trouble.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        // Accepted or confirmed; what was rolled back meanwhile is found in the list of all.
        if let 201 | 202 = answer.status().as_u16() {
            let body: serde_json::Value = answer.json().await.unwrap();
            acknowledged.push(body["id"].as_str().unwrap().to_owned());
            count.send_replace(acknowledged.len());
        }
    }
    acknowledged
}

/// Plays `trouble` while a customer orders; then every order ended, and all agree on each.
async fn under_load(shop: &Split, trouble: impl AsyncFnOnce(&mut watch::Receiver<usize>)) {
    let (count, mut counted) = watch::channel(0);
    let trouble = async move {
        Box::pin(trouble(&mut counted)).await;
        // One more, of a shop that is whole again; then the customer leaves.
        counted.changed().await.unwrap();
    };
    let (acknowledged, ()) = join(customer(shop, count), trouble).await;
    everybody_agrees(shop, &acknowledged).await;
}

/// Each acknowledged order is there, and each that is there has ended as all say that it did.
async fn everybody_agrees(shop: &Front, acknowledged: &[String]) {
    let all = shop.all().await;
    for id in acknowledged {
        assert!(all.contains(id), "{id} was acknowledged and is lost");
    }
    join_all(all.iter().map(|id| shop.agrees_with_its_record(id))).await;
    shop.all_agree(&all.iter().map(String::as_str).collect::<Vec<_>>()).await;
}

#[test]
fn each_service_dies_at_each_point_of_its_step() {
    run(async {
        let shop = Split::start(Programs::Monolith).await;
        let dying = STEPS.map(|name| {
            let shop = &shop;
            async move {
                let call = (name == "payment").then_some("before-call");
                for point in POINTS.into_iter().chain(call) {
                    shop.start_one(name, Some(&format!("{point}:{name}"))).await;
                    shop.until_dead(name).await;
                }
                shop.start_one(name, None).await;
            }
        });
        let all_died = Box::pin(join_all(dying));
        under_load(&shop, async |_| drop(all_died.await)).await;
    });
}

#[test]
fn each_service_dies_at_each_point_of_its_undo() {
    run(async {
        let shop = Split::start(Programs::Monolith).await;
        let mut placed = Vec::new();
        for point in ["before-effect", "after-effect", "after-append", "before-call"] {
            // Each passes the point once with its step, and dies in its undo.
            let dying: &[&'static str] =
                if point == "before-call" { &["payment"] } else { &["order", "payment"] };
            for name in dying {
                shop.start_one(name, Some(&format!("{point}:{name}:2"))).await;
            }
            let id = shop.place(demo::VISA, SOLD_OUT).await;
            for name in dying.iter().rev() {
                shop.until_dead(name).await;
                shop.start_one(name, None).await;
            }
            shop.agrees(&id, Ending::Cancelled("out_of_stock")).await;
            placed.push(id);
        }
        everybody_agrees(&shop, &placed).await;
    });
}

#[test]
fn coordinator_gateway_and_server_die_and_then_everything_at_once() {
    run(async {
        let shop = Split::start(Programs::Monolith).await;
        under_load(&shop, async |orders| {
            for name in ["coordinator", "product"] {
                shop.kill(name).await;
                orders.changed().await.unwrap();
                shop.start_one(name, None).await;
            }
            shop.start_one("gateway", None).await;
            orders.changed().await.unwrap();
            shop.nats.lock().await.restart().await;
            orders.changed().await.unwrap();
            join_all(PROCESSES.map(|name| shop.kill(name))).await;
            shop.nats.lock().await.restart().await;
            shop.start_all().await;
        })
        .await;
    });
}

#[test]
fn a_service_that_sleeps_past_its_time_out_and_wakes_has_no_effect() {
    run(async {
        let shop = Split::start(Programs::Monolith).await;
        shop.signal("inventory", "STOP").await;
        let late = shop.place(demo::VISA, TEA).await;
        shop.until_event(&late, "inventory", "timedout").await;
        shop.signal("inventory", "CONT").await;
        shop.agrees(&late, Ending::Cancelled("timeout")).await;
        let next = shop.place(demo::VISA, TEA).await;
        shop.agrees(&next, Ending::Confirmed).await;
        shop.all_agree(&[&late, &next]).await;
    });
}

#[test]
fn each_service_in_its_own_program() {
    run(async {
        let shop = Split::start(Programs::Own).await;
        under_load(&shop, async |orders| {
            for name in PROCESSES {
                orders.changed().await.unwrap();
                shop.start_one(name, None).await;
            }
        })
        .await;
    });
}

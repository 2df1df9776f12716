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

/// The order saga's time for the step, and a little more.
const INVENTORY_TIMEOUT: Duration = Duration::from_secs(16);

const KINDS: &[(&str, &[(&str, i64)])] = &[
    (demo::VISA, TEA),
    (demo::VISA, SOLD_OUT),
    (demo::DECLINED, TEA),
    (demo::CHARGED_THEN_500, TEA),
];

/// Customers who order at the same time.
const CUSTOMERS: usize = 3;

/// Orders of each kind, one after the other, until nobody counts any more; the ids that were
/// acknowledged. While the gateway or NATS is away nothing is.
async fn customer(shop: &Front, number: usize, count: &watch::Sender<usize>) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for (token, lines) in KINDS.iter().cycle().skip(number) {
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
            count.send_modify(|count| *count += 1);
        }
    }
    acknowledged
}

/// Plays `trouble` while customers order; then every order ended, and all agree on each.
async fn under_load(shop: &Split, trouble: impl AsyncFnOnce(&mut watch::Receiver<usize>)) {
    let (count, mut counted) = watch::channel(0);
    let trouble = async move {
        Box::pin(trouble(&mut counted)).await;
        // One more, of a shop that is whole again; then the customers leave.
        counted.changed().await.unwrap();
    };
    let customers = (0..CUSTOMERS).map(|number| customer(shop, number, &count));
    let (acknowledged, ()) = join(join_all(customers), trouble).await;
    everybody_agrees(shop, &acknowledged.concat()).await;
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

/// The fail-point of a service at its step, which has its name. A message is acknowledged as a whole,
/// whatever step it was about.
fn at(point: &str, name: &str) -> String {
    if point == "before-ack" { format!("{point}:{name}") } else { format!("{point}:{name}:{name}") }
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
                    shop.start_one(name, Some(&at(point, name))).await;
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
        for point in POINTS.into_iter().chain(["before-call"]) {
            // Each passes the point once with its step, and dies in its undo. The order service
            // also acknowledges what is not for it.
            let dying: &[&'static str] = match point {
                "before-call" | "before-ack" => &["payment"],
                _ => &["order", "payment"],
            };
            for name in dying {
                shop.start_one(name, Some(&format!("{}:2", at(point, name)))).await;
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
fn services_that_sleep_past_their_time_outs_and_wake_have_no_effect() {
    run(async {
        let shop = Split::start(Programs::Monolith).await;
        // One order waits for each of them.
        shop.signal("inventory", "STOP").await;
        let at_inventory = shop.place(demo::VISA, TEA).await;
        shop.until_event(&at_inventory, "payment", "done").await;
        shop.signal("payment", "STOP").await;
        let at_payment = shop.place(demo::VISA, TEA).await;
        shop.until_event(&at_payment, "order", "done").await;
        shop.signal("order", "STOP").await;
        let at_order = shop.place(demo::VISA, TEA).await;
        // A coordinator that was dead in between knows when each of them is late.
        shop.kill("coordinator").await;
        shop.start_one("coordinator", None).await;
        let late = [("inventory", &at_inventory), ("order", &at_order), ("payment", &at_payment)];
        for (name, id) in late {
            shop.until_event(id, name, "timedout").await;
            shop.signal(name, "CONT").await;
        }
        for (_, id) in late {
            shop.agrees(id, Ending::Cancelled("timeout")).await;
        }
        // What cannot fail is only late.
        shop.signal("notification", "STOP").await;
        let mailed = shop.place(demo::VISA, TEA).await;
        shop.until_event(&mailed, "inventory", "done").await;
        shop.signal("notification", "CONT").await;
        shop.agrees(&mailed, Ending::Confirmed).await;
        shop.all_agree(&[&at_inventory, &at_payment, &at_order, &mailed]).await;
    });
}

#[test]
fn a_server_that_sleeps_past_a_time_out_and_wakes_has_lost_nothing() {
    run(async {
        let shop = Split::start(Programs::Monolith).await;
        shop.signal("inventory", "STOP").await;
        let id = shop.place(demo::VISA, TEA).await;
        shop.until_event(&id, "payment", "done").await;
        shop.nats.lock().await.pause();
        shop.signal("inventory", "CONT").await;
        // The time-out of the step, which nobody can hear of: there is nothing to be awaited.
        tokio::time::sleep(INVENTORY_TIMEOUT).await;
        shop.nats.lock().await.resume();
        // Whichever of the service and the coordinator came first.
        shop.agrees_with_its_record(&id).await;
        let next = shop.place(demo::VISA, TEA).await;
        shop.agrees(&next, Ending::Confirmed).await;
        shop.all_agree(&[&id, &next]).await;
    });
}

#[test]
fn each_service_in_its_own_program() {
    run(async {
        let shop = Split::start(Programs::Own).await;
        under_load(&shop, async |orders| {
            for name in PROCESSES {
                orders.changed().await.unwrap();
                if STEPS.contains(&name) {
                    shop.start_one(name, Some(&at("after-effect", name))).await;
                    shop.until_dead(name).await;
                }
                shop.start_one(name, None).await;
            }
        })
        .await;
    });
}

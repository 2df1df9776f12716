//! The audit of a whole shop: clean after every kind of ending, and naming whatever somebody
//! changed by hand in the log, in a database or at the payment provider.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use jetsaga_contracts::demo;
use jetsaga_tests::harness::binary::{self, free_port};
use jetsaga_tests::harness::{Ending, Setup, Shop, eventually, run};
use saga_core::{Record, Status, subject};
use saga_engine::Engine;
use saga_engine::audit::{self, Report};
use serde_json::{Value, json};
use service_kit::Store;
use service_kit::store::StoreConfig;

const TEA: &[(&str, i64)] = &[("tea-assam", 2)];
const SOLD_OUT: &[(&str, i64)] = &[("mug-sold-out", 1)];

async fn report(shop: &Shop) -> Report {
    let plans = shop.engine().registered().await.unwrap();
    audit::world(shop.engine(), &plans).await.unwrap()
}

/// The audit as its own program.
fn program(nats_url: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary::coordinator());
    command.env_remove("NATS_URL").args(["audit", "--nats-url", nats_url]).args(arguments);
    binary::output(command)
}

async fn confirmed(shop: &Shop) -> String {
    let id = shop.place(demo::VISA, TEA).await;
    shop.agrees(&id, Ending::Confirmed).await;
    id
}

async fn cancelled(shop: &Shop, token: &str, lines: &[(&str, i64)], code: &'static str) -> String {
    let id = shop.place(token, lines).await;
    shop.agrees(&id, Ending::Cancelled(code)).await;
    id
}

#[test]
fn a_shop_with_every_kind_of_ending_is_clean() {
    run(async {
        let shop = Shop::with(Setup { call_timeout_ms: 300, ..Setup::default() }).await;
        confirmed(&shop).await;
        cancelled(&shop, demo::VISA, SOLD_OUT, "out_of_stock").await;
        cancelled(&shop, demo::DECLINED, TEA, "card_declined").await;
        cancelled(&shop, demo::VISA, &[("ghost", 1)], "unknown_sku").await;
        // Stuck, one for good; the other one is refunded by a person.
        let stuck = shop.place("pm_fault_refund_never_works", SOLD_OUT).await;
        let settled = shop.place("pm_fault_refund_never_works", SOLD_OUT).await;
        for id in [&stuck, &settled] {
            shop.until(id, "stuck").await;
        }
        shop.wish(&settled, "settle", json!({ "step": "payment" })).await;
        shop.until(&settled, "rolled_back").await;
        // Called off on its way; paid in cash; still waiting for the provider.
        let late = shop.place("pm_fault_late_arrival", TEA).await;
        shop.until_event(&late, "order", "done").await;
        shop.post(&format!("/v1/orders/{late}/cancel"), &json!({})).await;
        shop.agrees(&late, Ending::Cancelled("cancelled")).await;
        let skipped = shop.place("pm_fault_down_for_600s", TEA).await;
        shop.until_event(&skipped, "order", "done").await;
        let amount = json!({ "amount": 2 * 590, "currency": "EUR" });
        let output = json!({ "provider_ref": "in_cash", "amount": amount });
        shop.wish(&skipped, "skip", json!({ "step": "payment", "output": output })).await;
        shop.agrees(&skipped, Ending::Confirmed).await;

        let report = eventually("everybody has acknowledged everything", async || {
            let report = report(&shop).await;
            let is_behind = report.services.values().any(|service| service.behind > 0);
            if is_behind { Err(format!("{report:?}")) } else { Ok(report) }
        })
        .await;
        assert_eq!(report.findings, []);
        assert_eq!((report.sagas, report.open), (8, 1));
        assert_eq!(report.stuck, [format!("order.{stuck}")]);
        let names: Vec<&str> = report.services.keys().map(String::as_str).collect();
        assert_eq!(names, ["inventory", "notification", "order", "payment"]);
        shop.stop().await;
    });
}

/// A service's database while the shop is stopped.
async fn damage(data: &Path, service: &str, schema: &str, text: &str, binds: Value) {
    let store = Store::open(&StoreConfig::embedded(data, service), schema).await.unwrap();
    let changed = store.query(text, binds).await.unwrap();
    let is_changed = |it: &Value| it.as_array().is_some_and(|rows| !rows.is_empty());
    assert!(changed.iter().all(is_changed), "nothing was damaged by {text}: {changed:?}");
    store.close().await.unwrap();
}

/// A record of an ended saga that goes on as if it had not.
async fn lie(engine: &Engine, id: &str) {
    let plan = engine.plan("order", 1).await.unwrap();
    let last = engine.log().last(&plan, id, 0).await.unwrap().unwrap().stored;
    let (n, base) = (last.record.n + 1, last.sequence);
    let record = Record { n, base, status: Status::Running, ..last.record };
    let subject = subject::of("order", &record);
    let sent = engine.jetstream().publish(subject, record.to_json().into()).await.unwrap();
    sent.await.unwrap();
}

/// A saga's last event once more, past the check.
async fn slip(engine: &Engine, id: &str) {
    let plan = engine.plan("order", 1).await.unwrap();
    let last = engine.log().last(&plan, id, 0).await.unwrap().unwrap().stored.record;
    let subject = subject::of("order", &last);
    let sent = engine.jetstream().publish(subject, last.to_json().into()).await.unwrap();
    sent.await.unwrap();
}

/// A saga's third event is taken out of its middle.
async fn take_out(engine: &Engine, id: &str) {
    let stream = engine.jetstream().get_stream("SAGA_ORDER").await.unwrap();
    let purged =
        stream.purge().filter(subject::filter("order", id).replace('>', "003.>")).await.unwrap();
    assert_eq!(purged.purged, 1);
}

/// The provider forgets a charge.
fn forget_charge(data: &Path, id: &str) {
    let journal: PathBuf = data.join("payment").join("provider.jsonl");
    let text = std::fs::read_to_string(&journal).unwrap();
    let key = format!("order.{id}.payment");
    let kept: Vec<&str> = text.lines().filter(|line| !line.contains(&key)).collect();
    assert!(kept.len() < text.lines().count(), "the journal does not name {key}");
    std::fs::write(&journal, kept.join("\n") + "\n").unwrap();
}

/// Everything that can be damaged by hand, each at an order of its own.
async fn damage_everything(engine: &Engine, data: &Path, order: &BTreeMap<&str, String>) {
    let id = |name: &str| json!({ "id": order[name] });
    lie(engine, &order["lie"]).await;
    slip(engine, &order["slip"]).await;
    take_out(engine, &order["gap"]).await;
    forget_charge(data, &order["provider"]);
    let barrier = json!({ "id": format!("order.{}.payment", order["row"]) });
    let set = "UPDATE type::record('barrier', $id)
        SET row = string::replace(row, '\"done\"', '\"undone\"')";
    damage(data, "payment", payment::store::SCHEMA, set, barrier).await;
    let set = "UPDATE type::record('ledger', string::concat($id, '.0')) SET amount = 1";
    damage(data, "payment", payment::store::SCHEMA, set, id("ledger")).await;
    let inventory = inventory::store::SCHEMA;
    let delete = "DELETE type::record('allocations', $id) RETURN BEFORE";
    damage(data, "inventory", inventory, delete, id("allocation")).await;
    let set = "UPDATE type::record('stock', 'kettle-steel') SET allocated += 5";
    damage(data, "inventory", inventory, set, json!({})).await;
    let delete = "DELETE notifications WHERE order = $id RETURN BEFORE";
    for name in ["confirmation", "cancellation"] {
        damage(data, "notification", notification::store::SCHEMA, delete, id(name)).await;
    }
    let delete = "DELETE order_moves WHERE record::id(id)[0] = $id RETURN BEFORE";
    damage(data, "order", order::store::SCHEMA, delete, id("status")).await;
}

/// Orders that are confirmed before something of each is damaged.
const CONFIRMED: [&str; 10] = [
    "lie",
    "slip",
    "gap",
    "row",
    "ledger",
    "provider",
    "allocation",
    "confirmation",
    "status",
    "whole",
];

const EXPECTED: [&str; 14] = [
    "lying lie/-",
    "slipped slip/-",
    "gap gap/-",
    "row row/payment the log says done, and the row is undone",
    "effect ledger/payment the ledger of the order does not sum to zero",
    "effect ledger/payment the books do not say that",
    "sum -/payment all ledgers together sum to",
    "effect provider/payment the provider holds nothing, and it was charged",
    "effect allocation/inventory the order holds nothing, and the log says that it does",
    "sum -/inventory tea-assam: 20 set aside, and orders hold 18",
    "sum -/inventory kettle-steel: 5 set aside, and orders hold 0",
    "effect confirmation/notification 0 confirmations were sent, not one",
    "effect cancellation/saga 0 cancellations were sent, not 1",
    "effect status/saga the order is Pending, and its saga is completed",
];

#[test]
fn whatever_is_damaged_by_hand_is_named() {
    run(async {
        let shop = Shop::with(Setup { store: "embedded", ..Setup::default() }).await;
        let mut orders = BTreeMap::new();
        for name in CONFIRMED {
            orders.insert(name, confirmed(&shop).await);
        }
        let rolled_back = cancelled(&shop, demo::VISA, SOLD_OUT, "out_of_stock").await;
        orders.insert("cancellation", rolled_back);
        let clean = program(&shop.nats_url(), &[]);
        let said = String::from_utf8_lossy(&clean.stdout).into_owned();
        assert_eq!(clean.status.code(), Some(0), "{said}");
        assert!(said.contains("Everything agrees with the log."), "{said}");

        let data = shop.data().to_owned();
        let damage = async |engine: &Engine| damage_everything(engine, &data, &orders).await;
        let shop = shop.restart(damage).await;
        let damaged = program(&shop.nats_url(), &["--json"]);
        assert_eq!(damaged.status.code(), Some(1), "{damaged:?}");
        let report: Report = serde_json::from_slice(&damaged.stdout).unwrap();
        let names: BTreeMap<&str, &str> =
            orders.iter().map(|(name, id)| (id.as_str(), *name)).collect();
        let line = |found: &audit::Found| {
            let about = found.about.as_deref().map_or("-", |id| names[id]);
            let step = found.step.as_deref().unwrap_or("-");
            format!("{} {about}/{step} {}", found.kind.as_str(), found.detail)
        };
        let found: BTreeSet<String> = report.findings.iter().map(line).collect();
        for wanted in EXPECTED {
            assert!(found.iter().any(|it| it.starts_with(wanted)), "{wanted}: {found:#?}");
        }
        assert_eq!(found.len(), EXPECTED.len(), "{found:#?}");
        let readable = program(&shop.nats_url(), &[]);
        assert_eq!(readable.status.code(), Some(1));
        let said = String::from_utf8_lossy(&readable.stdout).into_owned();
        assert!(said.contains("14 findings:") && said.contains(&orders["status"]), "{said}");
        shop.stop().await;
    });
}

#[test]
fn what_cannot_be_looked_at_is_no_clean_audit() {
    run(async {
        let nobody = program(&format!("nats://127.0.0.1:{}", free_port()), &[]);
        let said = String::from_utf8_lossy(&nobody.stderr).into_owned();
        assert_eq!(nobody.status.code(), Some(2), "{said}");
        assert!(said.starts_with("audit: no connection to the NATS server"), "{said}");
        let account = jetsaga_nats::testing::broker().await.account();
        let empty = program(account.url(), &[]);
        assert_eq!(empty.status.code(), Some(2), "{empty:?}");

        let only = vec!["gateway", "coordinator", "order", "inventory", "notification", "product"];
        let shop = Shop::with(Setup { only, ..Setup::default() }).await;
        let silent = program(&shop.nats_url(), &[]);
        let said = String::from_utf8_lossy(&silent.stdout).into_owned();
        assert_eq!(silent.status.code(), Some(1), "{said}");
        assert!(said.contains("service payment does not answer"), "{said}");
        shop.stop().await;
    });
}

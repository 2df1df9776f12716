//! Everything delivered again, restarts in the middle, two coordinators, undo before its step.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::datetime;
use jetsaga_contracts::demo;
use jetsaga_tests::harness::{Ending, Setup, Shop, eventually, run};
use saga_core::subject;
use saga_engine::Engine;
use saga_engine::testing::{Fault, Faults, Place, Point};
use saga_engine::topology::Topology;
use serde_json::{Value, json};

const TEA: &[(&str, i64)] = &[("tea-assam", 2)];
/// Token, lines, and how it ends.
type Kind = (&'static str, &'static [(&'static str, i64)], Ending);

const KINDS: &[Kind] = &[
    (demo::VISA, TEA, Ending::Confirmed),
    (demo::DECLINED, TEA, Ending::Cancelled("card_declined")),
    (demo::VISA, &[("mug-sold-out", 1)], Ending::Cancelled("out_of_stock")),
    (demo::CHARGED_THEN_500, TEA, Ending::Confirmed),
];

fn embedded() -> Setup {
    Setup { store: "embedded", call_timeout_ms: 400, ..Setup::default() }
}

async fn place_each(shop: &Shop, rounds: usize) -> Vec<(String, Ending)> {
    let mut placed = Vec::new();
    for (token, lines, ending) in KINDS.iter().cycle().take(rounds * KINDS.len()) {
        placed.push((shop.place(token, lines).await, *ending));
    }
    placed
}

async fn all_agree(shop: &Shop, placed: &[(String, Ending)]) {
    for (id, ending) in placed {
        shop.agrees(id, *ending).await;
    }
    shop.all_agree(&placed.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>()).await;
}

/// Everything that must not change: records, mails, payments, the provider's book, stock.
async fn world(shop: &Shop, placed: &[(String, Ending)]) -> Vec<Value> {
    let mut seen = vec![shop.provider().await, json!(shop.allocated("tea-assam").await)];
    for (id, _) in placed {
        for path in [
            format!("/v1/sagas/order/{id}"),
            format!("/v1/notifications?order={id}"),
            format!("/v1/payments?order={id}"),
            format!("/v1/orders/{id}"),
        ] {
            seen.push(shop.get(&path).await.body);
        }
    }
    seen
}

/// Forgets what was delivered: every message is delivered again, from the first.
async fn forget_consumers(engine: &Engine) {
    let stream = engine.jetstream().get_stream(subject::stream("order", None)).await.unwrap();
    for name in consumers() {
        stream.delete_consumer(&name).await.unwrap();
    }
}

/// The consumers of all services.
fn consumers() -> Vec<String> {
    let services = ["order", "payment", "inventory", "notification"];
    let ends = ["order", "notification"].into_iter().flat_map(subject::consumer::endings);
    services.into_iter().flat_map(of_steps).chain(ends).collect()
}

/// The consumers of a service's steps.
fn of_steps(service: &str) -> Vec<String> {
    let plans = saga_workflows::plans().unwrap();
    let consumers = Topology::of(&[&plans[0]], &[], 1).consumers.into_iter();
    consumers.filter(|it| it.service == service).map(|it| it.name).collect()
}

/// Waits until every consumer has delivered everything and has it acknowledged.
async fn drained(engine: &Engine) {
    let stream = engine.jetstream().get_stream(subject::stream("order", None)).await.unwrap();
    for name in consumers() {
        eventually(&format!("{name} is drained"), async || {
            let info = stream.consumer_info(&name).await.map_err(|error| error.to_string())?;
            let open = (info.num_pending, info.num_ack_pending, info.delivered.consumer_sequence);
            if open.0 == 0 && open.1 == 0 { Ok(()) } else { Err(format!("{open:?}")) }
        })
        .await;
    }
}

#[test]
fn every_message_delivered_twice_changes_nothing() {
    run(async {
        let shop = Shop::with(embedded()).await;
        let placed = place_each(&shop, 2).await;
        all_agree(&shop, &placed).await;
        drained(shop.engine()).await;
        let before = world(&shop, &placed).await;
        let shop = shop.restart(forget_consumers).await;
        drained(shop.engine()).await;
        for (before, after) in before.iter().zip(world(&shop, &placed).await) {
            assert_eq!(*before, after);
        }
        all_agree(&shop, &placed).await;
        shop.stop().await;
    });
}

/// Every message dies between its effect and its event, comes again, and dies before it is
/// acknowledged; from the third delivery on it is left alone.
fn dies_twice(place: &Place) -> Fault {
    match (place.attempt, place.point) {
        (1, Point::AfterEffect) | (2, Point::BeforeAck) => {
            Fault::HandBack(Duration::from_millis(20))
        }
        _ => Fault::Proceed,
    }
}

#[test]
fn every_consumer_that_dies_between_effect_and_event_leaves_the_same_world() {
    run(async {
        let died = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&died);
        let faults = Faults::new(move |place: Place| {
            let fault = dies_twice(&place);
            if fault != Fault::Proceed {
                told.lock().unwrap().push((place.saga_id, place.step, place.point));
            }
            std::future::ready(fault)
        });
        let shop = Shop::with(Setup { faults, call_timeout_ms: 400, ..Setup::default() }).await;
        let placed = place_each(&shop, 2).await;
        all_agree(&shop, &placed).await;
        drained(shop.engine()).await;
        all_agree(&shop, &placed).await;
        let died = died.lock().unwrap().clone();
        let times = |id: &str, step: &str| {
            let there = (id, step, Point::AfterEffect);
            died.iter()
                .filter(|(id, step, point)| (id.as_str(), step.as_str(), *point) == there)
                .count()
        };
        for (id, ending) in &placed {
            // With each step, and with each undo of one that was done.
            let expected = match ending {
                Ending::Confirmed => [1, 1, 1, 1],
                Ending::Cancelled("card_declined") => [2, 1, 0, 0],
                Ending::Cancelled(_) => [2, 2, 1, 0],
            };
            let steps = ["order", "payment", "inventory", "notification"];
            assert_eq!(steps.map(|step| times(id, step)), expected, "{ending:?}: {died:?}");
        }
        shop.stop().await;
    });
}

#[test]
fn a_shop_that_stops_in_the_middle_of_sagas_goes_on_where_it_stopped() {
    run(async {
        let mut shop = Shop::with(embedded()).await;
        let mut placed = Vec::new();
        for _ in 0..2 {
            placed.extend(place_each(&shop, 3).await);
            shop = shop.restart(async |_: &Engine| {}).await;
        }
        all_agree(&shop, &placed).await;
        shop.stop().await;
    });
}

#[test]
fn two_coordinators_do_no_harm() {
    run(async {
        // Sixty seconds for the payment become three.
        let setup = Setup { hurry: 20, call_timeout_ms: 300, ..Setup::default() };
        let shop = Shop::with(setup).await;
        let second = shop.another(&["coordinator"]).await;
        let mut placed = place_each(&shop, 2).await;
        // Both see that these are late.
        for _ in 0..4 {
            let id = shop.place(demo::LATE_ARRIVAL, TEA).await;
            placed.push((id, Ending::Cancelled("timeout")));
        }
        let cancelled = shop.place("pm_fault_down_for_1s", TEA).await;
        shop.until_event(&cancelled, "order", "done").await;
        let path = format!("/v1/orders/{cancelled}/cancel");
        let nothing = json!({});
        let both = futures::join!(shop.post(&path, &nothing), shop.post(&path, &nothing));
        assert_eq!((both.0.status, both.1.status), (202, 202), "{both:?}");
        placed.push((cancelled, Ending::Cancelled("cancelled")));
        all_agree(&shop, &placed).await;
        second.shutdown().await;
        shop.stop().await;
    });
}

/// Pauses a consumer for so long; answers whether it stands still.
async fn pause(engine: &Engine, consumer: &str, lasts: Duration) -> bool {
    let stream = engine.jetstream().get_stream(subject::stream("order", None)).await.unwrap();
    let until = datetime::now() + lasts;
    stream.pause_consumer(consumer, until).await.unwrap().paused
}

/// Holds a consumer until it is let go.
async fn hold(engine: &Engine, consumer: &str) {
    assert!(pause(engine, consumer, Duration::from_hours(24)).await, "{consumer} goes on");
}

/// Lets a consumer go on, by a pause that runs out: the server leaves one asleep whose pause is
/// taken back, or is over before the server comes to it.
async fn let_go(engine: &Engine, consumer: &str) {
    let mut seconds = 1;
    while !pause(engine, consumer, Duration::from_secs(seconds)).await {
        assert!(seconds < 8, "each pause of {consumer} was over before the server came to it");
        seconds *= 2;
    }
}

#[test]
fn a_step_that_arrives_after_its_undo_has_no_effect() {
    run(async {
        let shop = Shop::start().await;
        let forward = subject::consumer::forward("payment");
        hold(shop.engine(), &forward).await;
        let id = shop.place(demo::VISA, TEA).await;
        shop.until_event(&id, "order", "done").await;
        let answer = shop.post(&format!("/v1/orders/{id}/cancel"), &json!({})).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        // The undo overtakes its step, which nobody has seen yet.
        shop.agrees(&id, Ending::Cancelled("cancelled")).await;
        let_go(shop.engine(), &forward).await;
        drained(shop.engine()).await;
        shop.agrees(&id, Ending::Cancelled("cancelled")).await;
        shop.all_agree(&[&id]).await;
        assert_eq!(shop.provider().await["charged"], 0);
        shop.stop().await;
    });
}

#[test]
fn a_participant_that_wakes_after_its_time_out_has_no_effect() {
    run(async {
        // Fifteen seconds for the stock become 300 ms.
        let shop = Shop::with(Setup { hurry: 50, ..Setup::default() }).await;
        for consumer in of_steps("inventory") {
            hold(shop.engine(), &consumer).await;
        }
        let id = shop.place(demo::VISA, TEA).await;
        shop.until_event(&id, "inventory", "timedout").await;
        for consumer in of_steps("inventory") {
            let_go(shop.engine(), &consumer).await;
        }
        shop.agrees(&id, Ending::Cancelled("timeout")).await;
        drained(shop.engine()).await;
        shop.all_agree(&[&id]).await;
        assert_eq!(shop.allocated("tea-assam").await, 0);
        shop.stop().await;
    });
}

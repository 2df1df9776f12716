//! Bad input, over HTTP and on the stream: a clear error each, nothing lost, neighbours unharmed.

use std::time::Duration;

use async_nats::HeaderMap;
use futures::StreamExt as _;
use jetsaga_contracts::demo;
use jetsaga_tests::harness::{Answer, Ending, Shop, eventually, order, run};
use reqwest::Method;
use saga_core::{EventKind, Record, Status, StepState, subject};
use saga_engine::wishes::{AlarmKind, Alarms, WishClient};
use serde_json::{Value, json};

const TEA: &[(&str, i64)] = &[("tea-assam", 2)];

/// It is a problem document of this status and code.
#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.code()), (status, code), "{answer:?}");
    let media = answer.header("content-type").unwrap_or_default();
    assert!(media.starts_with("application/problem+json"), "{answer:?}");
    assert!(answer.body["detail"].as_str().is_some_and(|it| !it.is_empty()), "{answer:?}");
}

/// An order with one thing changed.
fn changed(pointer: &str, value: Value) -> Value {
    let mut body = order(demo::VISA, TEA);
    if let Some(place) = body.pointer_mut(pointer) {
        *place = value;
    } else {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        body.pointer_mut(parent).unwrap()[name] = value;
    }
    body
}

#[test]
fn bodies_that_are_no_orders_are_refused_with_the_field_named() {
    run(async {
        let shop = Shop::start().await;
        let send = async |body: String, media: &str| {
            let request = shop.request(Method::POST, "/v1/orders").header("Content-Type", media);
            shop.send(request.body(body)).await
        };
        let json = "application/json";
        refused(&send("{".to_owned(), json).await, 400, "bad_request");
        refused(&send(String::new(), json).await, 400, "bad_request");
        refused(&send("[]".to_owned(), json).await, 400, "invalid_request");
        refused(&send(" ".repeat(2_000_000), json).await, 413, "payload_too_large");
        let good = order(demo::VISA, TEA).to_string();
        refused(&send(good, "text/plain").await, 415, "unsupported_media_type");

        let unknown = [
            changed("/colour", json!("red")),
            changed("/lines/0", json!({ "sku": "tea-assam", "quantity": 1, "price": 0 })),
            changed("/lines/0/quantity", json!("2")),
            changed("/lines/0/quantity", json!(1.5)),
            // Beyond 64 bits.
            serde_json::from_str(
                &order(demo::VISA, &[("tea-assam", 77)])
                    .to_string()
                    .replace("77", "99999999999999999999999"),
            )
            .unwrap(),
        ];
        for body in unknown {
            refused(&shop.post("/v1/orders", &body).await, 400, "invalid_request");
        }
        let lines: Vec<Value> = (0..10_000)
            .map(|number| json!({ "sku": format!("sku-{number}"), "quantity": 1 }))
            .collect();
        let broken = [
            ("/lines/0/quantity", json!(0)),
            ("/lines/0/quantity", json!(-1)),
            ("/lines/0/quantity", json!(i64::MAX)),
            ("/lines/0/sku", json!("../etc")),
            ("/lines", json!([])),
            ("/lines", json!(lines[..101])),
            ("/currency", json!("euro")),
            ("/customer/email", json!("nobody")),
            ("/customer/name", json!("two\nlines")),
            ("/payment/token", json!("4242424242424242")),
        ];
        for (pointer, value) in broken {
            let answer = shop.post("/v1/orders", &changed(pointer, value)).await;
            refused(&answer, 422, "invalid_order");
            let named = answer.body["errors"][0]["pointer"].as_str().unwrap_or_default();
            assert!(named.starts_with(pointer), "{pointer}: {answer:?}");
        }
        let many = shop.post("/v1/orders", &changed("/lines", json!(lines))).await;
        assert!(matches!(many.status, 413 | 422), "{many:?}");
        assert_eq!(shop.all().await, Vec::<String>::new(), "nothing was started");

        // One that nobody prices in: only the catalogue knows.
        let id = shop.post("/v1/orders", &changed("/currency", json!("JPY"))).await.id();
        shop.agrees(&id, Ending::Cancelled("currency_mismatch")).await;
        shop.stop().await;
    });
}

#[test]
fn paths_methods_and_parameters_that_are_not_there_are_refused() {
    run(async {
        let shop = Shop::start().await;
        let unknown = "/v1/orders/ord_00000000000000000000000000";
        refused(&shop.get(unknown).await, 404, "order_not_found");
        refused(&shop.get(&format!("{unknown}/events")).await, 404, "order_not_found");
        let cancel = shop.post(&format!("{unknown}/cancel"), &json!({})).await;
        refused(&cancel, 404, "unknown_saga");
        let foreign = shop.get("/v1/orders/1;DROP").await;
        assert!(matches!(foreign.status, 400 | 404), "{foreign:?}");
        refused(&shop.get("/v1/nowhere").await, 404, "not_found");
        let wrong = shop.send(shop.request(Method::DELETE, "/v1/orders")).await;
        refused(&wrong, 405, "method_not_allowed");
        let allow = wrong.header("allow").unwrap_or_default();
        assert!(allow.contains("GET") && allow.contains("POST"), "{wrong:?}");
        refused(&shop.get("/v1/orders?cursor=nonsense").await, 400, "invalid_cursor");
        for bad in ["/v1/orders?limit=0", "/v1/orders?limit=101", "/v1/orders?limit=x"] {
            let answer = shop.get(bad).await;
            assert_eq!(answer.status, 400, "{answer:?}");
        }
        let order = order(demo::VISA, TEA);
        let long = "k".repeat(256);
        let request = shop.request(Method::POST, "/v1/orders").header("Idempotency-Key", long);
        assert_eq!(shop.send(request.json(&order)).await.status, 400);
        shop.stop().await;
    });
}

#[test]
fn whoever_prefers_to_wait_is_told_the_end() {
    run(async {
        let shop = Shop::start().await;
        let place = async |token: &str, lines: &[(&str, i64)], wait: &str| {
            let request = shop.request(Method::POST, "/v1/orders").header("Prefer", wait);
            shop.send(request.json(&order(token, lines))).await
        };
        let confirmed = place(demo::VISA, TEA, "wait=20").await;
        assert_eq!((confirmed.status, &confirmed.body["status"]), (201, &json!("confirmed")));
        assert_eq!(confirmed.header("preference-applied"), Some("wait=20"));
        let location = format!("/v1/orders/{}", confirmed.id());
        assert_eq!(confirmed.header("location"), Some(location.as_str()));

        let rolled_back = place(demo::VISA, &[("mug-sold-out", 1)], "wait=20").await;
        refused(&rolled_back, 409, "order_cancelled");
        assert_eq!(rolled_back.body["errors"][0]["code"], "out_of_stock");

        shop.fault("down", "always").await;
        let open = place(demo::VISA, TEA, "wait=1").await;
        assert_eq!((open.status, &open.body["status"]), (202, &json!("accepted")), "{open:?}");
        shop.fault("down", "token").await;
        shop.agrees(&open.id(), Ending::Confirmed).await;
        shop.stop().await;
    });
}

/// The ids of an order's events, as server-sent events after `last`.
async fn events(shop: &Shop, id: &str, last: Option<&str>) -> Vec<(String, Value)> {
    let mut request = shop.request(Method::GET, &format!("/v1/orders/{id}/events"));
    if let Some(last) = last {
        request = request.header("Last-Event-ID", last);
    }
    let answer = request.timeout(Duration::from_secs(30)).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    // It ends with the saga.
    let text = answer.text().await.unwrap();
    let field = |event: &str, name: &str| {
        let line = event.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        line.map(str::to_owned)
    };
    text.split("\n\n")
        .filter_map(|event| Some((field(event, "id:")?, field(event, "data:")?)))
        .map(|(id, data)| (id, serde_json::from_str(&data).unwrap()))
        .collect()
}

#[test]
fn progress_can_be_followed_and_resumed() {
    run(async {
        let shop = Shop::start().await;
        let id = shop.place(demo::VISA, TEA).await;
        let all = events(&shop, &id, None).await;
        let steps: Vec<_> = all.iter().map(|(_, it)| it["step"].as_str().unwrap()).collect();
        assert_eq!(steps, ["saga", "order", "payment", "inventory", "notification"]);
        assert_eq!(all[4].1["order"], "confirmed", "{all:?}");
        let rest = events(&shop, &id, Some(&all[2].0)).await;
        assert_eq!(rest, all[3..]);
        shop.stop().await;
    });
}

/// Publishes past the engine, as a rude client can.
async fn publish(shop: &Shop, subject: String, payload: Vec<u8>, headers: HeaderMap) {
    let context = shop.engine().jetstream();
    let sent = context.publish_with_headers(subject, headers, payload.into()).await.unwrap();
    sent.await.unwrap();
}

async fn alarm(shop: &Shop, kind: AlarmKind, about: &str) {
    let wishes = WishClient::new(shop.engine().client().clone());
    eventually(&format!("alarm {kind:?}"), async || {
        let found = wishes.ask(&Alarms::default()).await.map_err(|error| error.to_string())?;
        let is_it =
            |alarm: &&saga_engine::wishes::Alarm| alarm.kind == kind && alarm.about.contains(about);
        found.alarms.iter().find(is_it).map(drop).ok_or_else(|| format!("{:?}", found.alarms))
    })
    .await;
}

/// How many dead letters there are with a code.
async fn dead_letters(shop: &Shop, code: &str) {
    use async_nats::jetstream::consumer::pull;
    let stream = shop.engine().jetstream().get_stream(subject::dead::STREAM).await.unwrap();
    eventually(&format!("a dead letter {code}"), async || {
        let consumer = stream.create_consumer(pull::Config::default()).await.unwrap();
        let batch = consumer.fetch().max_messages(100).messages().await.unwrap();
        let codes: Vec<String> = batch
            .filter_map(async |message| {
                let headers = message.ok()?.headers.clone()?;
                Some(headers.get(saga_engine::dead_letter::CODE)?.to_string())
            })
            .collect()
            .await;
        if codes.iter().any(|found| found == code) { Ok(()) } else { Err(format!("{codes:?}")) }
    })
    .await;
}

/// The first record of a saga that was never started.
fn first(shop: &Shop, id: &str) -> Record {
    let plan = shop.engine().newest("order").expect("the definition is known");
    Record::start(&plan, id, order(demo::VISA, TEA)).unwrap()
}

#[test]
fn what_is_no_record_goes_to_the_dead_letters_and_neighbours_complete() {
    run(async {
        let shop = Shop::start().await;
        shop.engine().plan("order", 1).await.unwrap();
        let before = shop.place(demo::VISA, TEA).await;
        let poison = first(&shop, "ord_poison");
        let subject = subject::of("order", &poison);
        publish(&shop, subject, b"not json at all".to_vec(), HeaderMap::new()).await;
        let future = first(&shop, "ord_future");
        let mut payload = serde_json::to_value(&future).unwrap();
        payload["v"] = json!(2);
        let subject = subject::of("order", &future);
        publish(&shop, subject, payload.to_string().into_bytes(), HeaderMap::new()).await;
        let after = shop.place(demo::VISA, TEA).await;

        dead_letters(&shop, saga_engine::dead_letter::UNREADABLE).await;
        dead_letters(&shop, saga_engine::dead_letter::FUTURE_VERSION).await;
        alarm(&shop, AlarmKind::Unreadable, "ord_poison").await;
        shop.agrees(&before, Ending::Confirmed).await;
        shop.agrees(&after, Ending::Confirmed).await;
        shop.sums_agree(&[&before, &after]).await;
        shop.stop().await;
    });
}

#[test]
fn a_record_that_lies_is_found_and_neighbours_complete() {
    run(async {
        let shop = Shop::start().await;
        let plan = shop.engine().plan("order", 1).await.unwrap();
        shop.fault("down", "always").await;
        let id = shop.place(demo::VISA, TEA).await;
        shop.until_event(&id, "order", "done").await;
        let tail = shop.engine().log().last(&plan, &id, 0).await.unwrap().unwrap();
        // It says that everything ended well, which it did not.
        let mut lie = tail.stored.record.clone();
        lie.n += 1;
        lie.base = tail.stored.sequence;
        lie.event.step = "inventory".to_owned();
        lie.event.kind = EventKind::Done;
        lie.status = Status::Completed;
        let mut step = lie.steps["order"].clone();
        step.state = StepState::Done;
        lie.steps.insert("inventory".to_owned(), step);
        let mut headers = HeaderMap::new();
        let sequence = tail.last_sequence.to_string();
        headers.insert(subject::header::EXPECTED_SEQUENCE, sequence.as_str());
        let filter = subject::filter("order", &id);
        headers.insert(subject::header::EXPECTED_FILTER, filter.as_str());
        publish(&shop, subject::of("order", &lie), lie.to_json(), headers).await;

        alarm(&shop, AlarmKind::Lying, &id).await;
        shop.fault("down", "token").await;
        let neighbour = shop.place(demo::VISA, TEA).await;
        shop.agrees(&neighbour, Ending::Confirmed).await;
        shop.stop().await;
    });
}

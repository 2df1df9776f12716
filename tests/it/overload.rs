//! More orders than can be carried out: those accepted are not slowed down by the others, which
//! are told to come again.

use jetsaga_contracts::demo;
use jetsaga_tests::harness::{Ending, Setup, Shop, eventually, order, run};
use reqwest::Method;
use serde_json::Value;

const TEA: &[(&str, i64)] = &[("tea-assam", 1)];

fn body() -> Value {
    order(demo::VISA, TEA)
}

#[test]
fn orders_beyond_what_is_in_work_are_told_to_come_again_and_taken_later() {
    run(async {
        let shop = Shop::with(Setup { orders_in_work: 2, ..Setup::default() }).await;
        // Nothing is charged while the provider is away: the orders stay in work.
        shop.fault("down", "always").await;
        let first = shop.request(Method::POST, "/v1/orders").header("Idempotency-Key", "one");
        let first = shop.send(first.json(&body())).await.id();
        let second = shop.place(demo::VISA, TEA).await;

        let shed = shop.post("/v1/orders", &body()).await;
        assert_eq!((shed.status, shed.code()), (503, "overloaded"), "{shed:?}");
        assert!(shed.header("retry-after").is_some(), "{shed:?}");
        // Whoever asks again for what is in work is answered.
        let again = shop.request(Method::POST, "/v1/orders").header("Idempotency-Key", "one");
        let again = shop.send(again.json(&body())).await;
        assert_eq!((again.status, again.header("idempotency-replayed")), (202, Some("true")));

        shop.fault("down", "off").await;
        let third = eventually("an order is taken again", async || {
            let answer = shop.post("/v1/orders", &body()).await;
            if answer.status == 202 { Ok(answer.id()) } else { Err(format!("{answer:?}")) }
        })
        .await;
        let all = [first.as_str(), &second, &third];
        for id in all {
            shop.agrees(id, Ending::Confirmed).await;
        }
        // What was shed left nothing behind.
        assert_eq!(shop.all().await.len(), all.len());
        shop.all_agree(&all).await;
        shop.stop().await;
    });
}

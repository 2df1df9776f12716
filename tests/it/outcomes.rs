//! Every outcome of the order saga, each with its named trigger, through HTTP. After each, ledger,
//! provider, stock, order, mails and record agree.

use jetsaga_tests::harness::{Ending, Setup, Shop, eventually, order, run};
use reqwest::Method;
use serde_json::json;

use crate::relay::Relay;

const TEA: &[(&str, i64)] = &[("tea-assam", 2)];

/// Places an order and checks its end.
async fn ends(shop: &Shop, token: &str, lines: &[(&str, i64)], ending: Ending) -> String {
    let id = shop.place(token, lines).await;
    shop.agrees(&id, ending).await;
    id
}

#[test]
fn an_order_completes() {
    run(async {
        let shop = Shop::start().await;
        let lines = [("tea-assam", 2), ("cup-stoneware", 1)];
        let id = ends(&shop, "pm_card_visa", &lines, Ending::Confirmed).await;
        let order = shop.get(&format!("/v1/orders/{id}")).await.body;
        assert_eq!(order["total"], json!({ "amount": 2 * 590 + 1_450, "currency": "EUR" }));
        assert_eq!(shop.allocated("tea-assam").await, 2);
        shop.all_agree(&[&id]).await;
        shop.stop().await;
    });
}

#[test]
fn what_cannot_be_is_refused_and_leaves_nothing() {
    run(async {
        let shop = Shop::start().await;
        let declined = Ending::Cancelled("card_declined");
        let ids = [
            ends(&shop, "pm_card_visa_charge_declined", TEA, declined).await,
            ends(&shop, "pm_card_visa_charge_declined_insufficient_funds", TEA, declined).await,
            ends(&shop, "pm_unheard_of", TEA, Ending::Cancelled("payment_invalid")).await,
            ends(&shop, "pm_card_visa", &[("ghost", 1)], Ending::Cancelled("unknown_sku")).await,
            ends(&shop, "pm_card_visa", &[("tea-retired", 1)], Ending::Cancelled("inactive_sku"))
                .await,
            ends(&shop, "pm_card_visa", &[("mug-sold-out", 1)], Ending::Cancelled("out_of_stock"))
                .await,
            // One line too much: nothing of the other is kept.
            ends(
                &shop,
                "pm_card_visa",
                &[("tea-assam", 1), ("vase-limited", 4)],
                Ending::Cancelled("out_of_stock"),
            )
            .await,
        ];
        shop.all_agree(&ids.each_ref().map(String::as_str)).await;
        assert_eq!(shop.allocated("tea-assam").await, 0);
        shop.stop().await;
    });
}

#[test]
fn a_lost_answer_of_the_provider_is_found_out_and_never_charged_twice() {
    run(async {
        let setup = Setup { call_timeout_ms: 300, ..Setup::default() };
        let shop = Shop::with(setup).await;
        let ids = [
            ends(&shop, "pm_fault_timeout_but_charged", TEA, Ending::Confirmed).await,
            ends(&shop, "pm_fault_charged_then_500", TEA, Ending::Confirmed).await,
            ends(&shop, "pm_fault_down_for_1s", TEA, Ending::Confirmed).await,
        ];
        shop.all_agree(&ids.each_ref().map(String::as_str)).await;
        assert_eq!(shop.provider().await["charged"], 3);
        shop.stop().await;
    });
}

#[test]
fn a_charge_that_arrives_after_we_gave_up_is_harmless() {
    run(async {
        let shop = Shop::with(Setup { call_timeout_ms: 300, ..Setup::default() }).await;
        let id = shop.place("pm_fault_late_arrival", TEA).await;
        eventually("the charge was sent", async || {
            let provider = shop.provider().await;
            if provider["on_their_way"] == 1 { Ok(()) } else { Err(provider.to_string()) }
        })
        .await;
        let answer = shop.post(&format!("/v1/orders/{id}/cancel"), &json!({})).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        shop.agrees(&id, Ending::Cancelled("cancelled")).await;
        // Now it arrives.
        let arrivals = format!("{}/admin/arrivals", shop.service("payment-provider"));
        let answer = reqwest::Client::new().post(arrivals).send().await.unwrap();
        let arrived: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(arrived["arrived"], 1);
        assert_eq!(shop.provider().await["late"], 1);
        shop.all_agree(&[&id]).await;
        shop.stop().await;
    });
}

#[test]
fn a_refund_that_fails_twice_works_in_the_end() {
    run(async {
        let shop = Shop::start().await;
        let lines = [("mug-sold-out", 1)];
        let cancelled = Ending::Cancelled("out_of_stock");
        let id = ends(&shop, "pm_fault_refund_fails_twice", &lines, cancelled).await;
        shop.all_agree(&[&id]).await;
        shop.stop().await;
    });
}

#[test]
fn a_refund_that_never_works_is_visible_and_goes_on_when_nudged() {
    run(async {
        let shop = Shop::start().await;
        let id = shop.place("pm_fault_refund_never_works", &[("mug-sold-out", 1)]).await;
        let record = shop.until(&id, "stuck").await;
        assert_eq!(record["steps"]["payment"]["reason"]["code"], "refund_refused", "{record}");
        let order = shop.get(&format!("/v1/orders/{id}")).await.body;
        assert_eq!(order["status"], "needs_attention");
        let listed = shop.get("/v1/sagas?type=order&status=stuck").await.body;
        assert_eq!(listed["data"][0]["id"], id.as_str(), "{listed}");

        shop.fault("refund_never_works", "off").await;
        let nudged = shop.wish(&id, "nudge", json!({ "step": "payment" })).await;
        assert_eq!(nudged.status, 200, "{nudged:?}");
        shop.agrees(&id, Ending::Cancelled("out_of_stock")).await;
        shop.all_agree(&[&id]).await;
        let again = shop.wish(&id, "nudge", json!({ "step": "payment" })).await;
        assert!(matches!(again.status, 200 | 409), "{again:?}");
        shop.stop().await;
    });
}

#[test]
fn what_a_person_refunded_is_settled() {
    run(async {
        let shop = Shop::start().await;
        let id = shop.place("pm_fault_refund_never_works", &[("mug-sold-out", 1)]).await;
        shop.until(&id, "stuck").await;
        let settled = shop.wish(&id, "settle", json!({ "step": "payment" })).await;
        assert_eq!(settled.status, 200, "{settled:?}");
        let record = shop.until(&id, "rolled_back").await;
        assert_eq!(record["steps"]["payment"]["by"], "operator", "{record}");
        let history = shop.get(&format!("/v1/sagas/order/{id}/history")).await.body;
        let events = history["events"].as_array().unwrap();
        let settled = events.iter().find(|it| it["event"]["kind"] == "settled").unwrap();
        assert_eq!(settled["event"]["actor"], "operator", "{settled}");
        shop.stop().await;
    });
}

#[test]
fn a_dead_relay_delays_the_mail_and_never_fails_the_order() {
    run(async {
        let relay = Relay::reserve().await;
        let shop = Shop::with(Setup { relay: Some(relay.port()), ..Setup::default() }).await;
        let id = shop.place("pm_card_visa", TEA).await;
        shop.until_event(&id, "inventory", "done").await;
        eventually("a try at the mail", async || {
            let mails = shop.get(&format!("/v1/notifications?order={id}")).await.body;
            let attempts = mails["data"][0]["attempts"].as_i64().unwrap_or(0);
            if attempts > 0 { Ok(()) } else { Err(mails.to_string()) }
        })
        .await;
        assert_eq!(shop.record(&id).await["status"], "running");
        let relay = relay.open().await;
        shop.agrees(&id, Ending::Confirmed).await;
        let mails = relay.mails().await;
        assert_eq!(mails.len(), 1, "{mails:?}");
        assert!(mails[0].contains("To: ") && mails[0].contains("ada@example.com"), "{}", mails[0]);
        shop.stop().await;
    });
}

#[test]
fn an_order_that_is_cancelled_while_it_runs_is_undone_and_once_confirmed_it_is_too_late() {
    run(async {
        let shop = Shop::with(Setup { call_timeout_ms: 300, ..Setup::default() }).await;
        // The provider is down for a while: the saga waits at the payment.
        let id = shop.place("pm_fault_down_for_2s", TEA).await;
        shop.until_event(&id, "order", "done").await;
        let cancel = format!("/v1/orders/{id}/cancel");
        assert_eq!(shop.post(&cancel, &json!({})).await.status, 202);
        assert_eq!(shop.post(&cancel, &json!({})).await.status, 202, "a repeat is no error");
        shop.agrees(&id, Ending::Cancelled("cancelled")).await;
        let done = ends(&shop, "pm_card_visa", TEA, Ending::Confirmed).await;
        let late = shop.post(&format!("/v1/orders/{done}/cancel"), &json!({})).await;
        assert_eq!(late.status, 409, "{late:?}");
        assert!(["too_late", "wrong_status"].contains(&late.code()), "{late:?}");
        shop.all_agree(&[&id, &done]).await;
        shop.stop().await;
    });
}

#[test]
fn a_step_that_is_late_is_timed_out_and_undone_when_its_service_can() {
    run(async {
        // Sixty seconds for the payment become two.
        let setup = Setup { hurry: 30, call_timeout_ms: 300, ..Setup::default() };
        let shop = Shop::with(setup).await;
        let id = shop.place("pm_fault_down_for_600s", TEA).await;
        // Nobody can say whether it was charged, so it is owed; and while the provider is down the
        // undo is late as well, for everybody to see.
        let record = shop.until(&id, "stuck").await;
        assert_eq!(record["steps"]["payment"]["by"], "coordinator", "{record}");
        let settled = shop.wish(&id, "settle", json!({ "step": "payment" })).await;
        assert_eq!((settled.status, settled.code()), (409, "not_given_up"), "{settled:?}");
        shop.fault("down", "off").await;
        shop.agrees(&id, Ending::Cancelled("timeout")).await;
        shop.all_agree(&[&id]).await;
        shop.stop().await;
    });
}

#[test]
fn a_saga_that_passes_its_deadline_is_rolled_back() {
    run(async {
        // Three minutes become three seconds.
        let setup = Setup { hurry: 60, call_timeout_ms: 300, ..Setup::default() };
        let shop = Shop::with(setup).await;
        let id = shop.place("pm_fault_down_for_600s", TEA).await;
        shop.until_event(&id, "order", "done").await;
        // Nudges start the step's time-out again and again, but never the saga's deadline.
        let nudges = std::sync::atomic::AtomicU32::new(0);
        let record = eventually("past its deadline", async || {
            // The same nudge again would only be a repeat.
            let reason =
                format!("nudge {}", nudges.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
            let nudge = json!({ "step": "payment", "actor": "operator", "reason": reason });
            shop.post(&format!("/v1/sagas/order/{id}/nudge"), &nudge).await;
            let record = shop.record(&id).await;
            if record["status"] == "running" { Err(record.to_string()) } else { Ok(record) }
        })
        .await;
        assert_eq!(record["cause"]["code"], "expired", "{record}");
        shop.fault("down", "off").await;
        shop.agrees(&id, Ending::Cancelled("expired")).await;
        shop.all_agree(&[&id]).await;
        shop.stop().await;
    });
}

#[test]
fn a_step_can_be_skipped_with_an_output_of_ones_own() {
    run(async {
        let shop = Shop::with(Setup { call_timeout_ms: 300, ..Setup::default() }).await;
        let id = shop.place("pm_fault_down_for_600s", TEA).await;
        shop.until_event(&id, "order", "done").await;
        let output = json!({
            "provider_ref": "paid_in_cash", "amount": { "amount": 1_180, "currency": "EUR" },
        });
        let wish = json!({ "step": "payment", "output": output });
        let skipped = shop.wish(&id, "skip", wish.clone()).await;
        assert_eq!(skipped.status, 200, "{skipped:?}");
        shop.agrees(&id, Ending::Confirmed).await;
        let record = shop.record(&id).await;
        assert_eq!(record["steps"]["payment"]["state"], "skipped");
        let again = shop.wish(&id, "skip", wish).await;
        assert!(matches!(again.status, 200 | 409), "{again:?}");
        let unready = shop.wish(&id, "skip", json!({ "step": "order", "output": {} })).await;
        assert_eq!(unready.status, 409, "{unready:?}");
        shop.stop().await;
    });
}

#[test]
fn a_service_that_was_away_settles_what_it_owes() {
    run(async {
        // Thirty seconds for the order step become 300 ms, and nobody prices orders.
        let only =
            vec!["gateway", "coordinator", "payment", "inventory", "notification", "product"];
        let shop = Shop::with(Setup { hurry: 100, only, ..Setup::default() }).await;
        let id = shop.place("pm_card_visa", TEA).await;
        let record = shop.until(&id, "stuck").await;
        assert_eq!(record["cause"]["code"], "timeout", "{record}");
        let order = shop.another(&["order"]).await;
        shop.until(&id, "rolled_back").await;
        order.shutdown().await;
        shop.stop().await;
    });
}

#[test]
fn the_first_answer_is_the_only_one() {
    run(async {
        let shop = Shop::start().await;
        let post = |key: &str, quantity: i64| {
            let body = order("pm_card_visa", &[("tea-assam", quantity)]);
            shop.send(
                shop.request(Method::POST, "/v1/orders").header("Idempotency-Key", key).json(&body),
            )
        };
        let first = post("k-1", 1).await;
        assert_eq!((first.status, first.header("idempotency-replayed")), (202, None), "{first:?}");
        let second = post("\"k-1\"", 1).await;
        assert_eq!((second.status, second.header("idempotency-replayed")), (202, Some("true")));
        assert_eq!(first.body, second.body);
        let other = post("k-1", 2).await;
        assert_eq!((other.status, other.code()), (422, "idempotency_key_reused"), "{other:?}");
        shop.agrees(&first.id(), Ending::Confirmed).await;
        assert_eq!(post("k-1", 1).await.body, first.body, "also after the end");
        shop.all_agree(&[&first.id()]).await;
        shop.stop().await;
    });
}

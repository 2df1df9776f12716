use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use saga_engine::participant::Valve;
use service_kit::http::client::CallError;
use tokio_util::sync::CancellationToken;

use crate::testing::{Fault, Shop, eur, product};

#[tokio::test]
async fn a_hundred_skus_are_one_question() {
    let shop = Shop::open(&[product("S1", eur(1)), product("S150", eur(2))]).await;
    let names: Vec<String> = (0..200).map(|n| format!("S{n}")).collect();
    let skus: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    let found = shop.products().of(&skus, None).await.unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(found["S150"].price, eur(2));
    assert_eq!(shop.asked().iter().map(Vec::len).collect::<Vec<_>>(), [100, 100]);
}

#[tokio::test]
async fn nothing_to_ask_is_not_asked() {
    let shop = Shop::with_tea().await;
    assert!(shop.products().of(&BTreeSet::new(), None).await.unwrap().is_empty());
    assert!(shop.asked().is_empty());
}

#[tokio::test]
async fn a_silent_product_service_costs_no_more_than_the_patience() {
    let shop = Shop::with_tea().await;
    shop.fault(Fault::Silent);
    let begun = Instant::now();
    let error = shop.products().of(&BTreeSet::from(["TEA"]), None).await.unwrap_err();
    assert!(matches!(error, CallError::Unavailable { .. }), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn an_answer_that_makes_no_sense_is_no_answer() {
    let shop = Shop::with_tea().await;
    shop.fault(Fault::Odd);
    let error = shop.products().of(&BTreeSet::from(["TEA"]), None).await.unwrap_err();
    assert!(matches!(error, CallError::Shape { .. }), "{error}");
}

#[tokio::test]
async fn orders_stay_in_the_log_while_nobody_can_price_them() {
    let shop = Shop::with_tea().await;
    let (valve, ended) = (Valve::default(), CancellationToken::new());
    let products = shop.products().closing(valve.clone(), ended.clone());
    shop.fault(Fault::Down);
    products.of(&BTreeSet::from(["TEA"]), None).await.unwrap_err();
    assert!(!valve.is_open());
    shop.fault(Fault::None);
    wait_until_open(&valve, &shop).await;
    products.of(&BTreeSet::from(["TEA"]), None).await.unwrap();
    ended.cancel();
}

async fn wait_until_open(valve: &Valve, shop: &Shop) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !valve.is_open() {
        assert!(Instant::now() < deadline, "it never opened again: {:?}", shop.asked());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

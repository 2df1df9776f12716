use std::sync::atomic::{AtomicU32, Ordering};

use poem::listener::{Acceptor as _, Listener as _, TcpListener};
use poem::{EndpointExt as _, Route, Server, endpoint::make_sync};
use serde_json::json;

use super::*;

/// A service on loopback that answers what `answer` says to call number 1, 2, …
async fn service(
    answer: impl Fn(u32) -> (u16, Value) + Send + Sync + 'static,
) -> (ServiceClient, Arc<AtomicU32>) {
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let endpoint = make_sync(move |_| {
        let (status, body) = answer(counted.fetch_add(1, Ordering::SeqCst) + 1);
        poem::Response::builder()
            .status(StatusCode::from_u16(status).unwrap())
            .body(body.to_string())
    });
    let acceptor = TcpListener::bind("127.0.0.1:0").into_acceptor().await.unwrap();
    let address = *acceptor.local_addr()[0].as_socket_addr().unwrap();
    let route = Route::new().at("/x", endpoint.map_to_response());
    tokio::spawn(Server::new_with_acceptor(acceptor).run(route));
    let urls = ServiceUrls::default();
    urls.set("there", &format!("http://{address}/"));
    (ServiceClient::new(urls), calls)
}

fn get() -> Call<'static> {
    Call::get("there", "/x", Duration::from_secs(5))
}

#[tokio::test]
async fn a_call_that_met_a_short_outage_is_tried_again() {
    let (client, calls) =
        service(|n| if n < 3 { (503, json!({})) } else { (200, json!([1])) }).await;
    let answer: Vec<u32> = client.call(&get()).await.unwrap();
    assert_eq!((answer, calls.load(Ordering::SeqCst)), (vec![1], 3));
}

#[tokio::test]
async fn a_call_with_effects_is_never_tried_again() {
    let (client, calls) = service(|_| (503, json!({}))).await;
    let post = get().send(Method::POST, &json!({}));
    let result = client.call_json(&post).await;
    assert!(matches!(result, Err(CallError::Unavailable { .. })), "{result:?}");
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_refusal_is_an_answer() {
    let problem = Problem::not_found("sku_not_found", "no such SKU");
    let body = serde_json::to_value(&problem).unwrap();
    let (client, calls) = service(move |_| (404, body.clone())).await;
    let Err(CallError::Refused { problem, .. }) = client.call_json(&get()).await else { panic!() };
    assert_eq!((problem.code.as_str(), calls.load(Ordering::SeqCst)), ("sku_not_found", 1));
}

#[tokio::test]
async fn a_target_that_is_down_is_spared_and_found_again() {
    let (client, calls) =
        service(|n| if n <= 5 { (500, json!({})) } else { (200, json!(1)) }).await;
    while client.breaker("there", Breaker::allows) {
        assert!(client.call_json(&get()).await.is_err());
    }
    let made = calls.load(Ordering::SeqCst);
    assert!(client.call_json(&get()).await.is_err(), "the breaker is open");
    assert_eq!(calls.load(Ordering::SeqCst), made, "nothing went out");
    let end = Instant::now() + Duration::from_secs(10);
    while client.call_json(&get()).await.is_err() {
        assert!(Instant::now() < end, "the breaker never closed again");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn retries_have_a_budget() {
    let mut breaker = Breaker::default();
    let taken = (0..100).filter(|_| breaker.take_retry()).count();
    assert_eq!(taken, 10);
    (0..5).for_each(|_| breaker.record(true));
    assert_eq!((breaker.take_retry(), breaker.take_retry()), (true, false));
}

#[tokio::test]
async fn an_unknown_or_unreachable_service_is_named() {
    let client = ServiceClient::new(ServiceUrls::default());
    let error = client.call_json(&get()).await.unwrap_err();
    assert!(error.to_string().contains("--service-url"), "{error}");
    client.urls().set("there", "http://127.0.0.1:1");
    let error = client.call_json(&get()).await.unwrap_err();
    assert!(error.to_string().starts_with("there does not answer"), "{error}");
}

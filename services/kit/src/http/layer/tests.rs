use bytes::Bytes;
use poem::test::TestClient;
use poem::web::Path;
use poem::{get, handler, post};
use serde_json::{Value, json};

use super::*;

#[handler]
fn echo(body: poem::web::Json<Value>) -> poem::web::Json<Value> {
    poem::web::Json(body.0)
}

#[handler]
fn item(Path(id): Path<u32>) -> String {
    id.to_string()
}

#[handler]
fn broken() -> String {
    panic!("secret")
}

#[handler]
async fn never() -> String {
    std::future::pending().await
}

fn client() -> TestClient<impl Endpoint> {
    let route = Route::new()
        .at("/echo", post(echo))
        .at("/items/:id", get(item))
        .at("/broken", get(broken))
        .at("/never", get(never));
    let document = json!({ "paths": {
        "/echo": { "post": {} }, "/items/{id}": { "get": {}, "delete": {} },
    }});
    let limits = Limits { body: 64, time: Duration::from_millis(50), at_once: 2 };
    TestClient::new(endpoint(route, Paths::of(&[&document]), limits))
}

async fn problem(response: poem::test::TestResponse, status: u16, code: &str) -> Value {
    response.assert_status(StatusCode::from_u16(status).unwrap());
    response.assert_content_type("application/problem+json");
    let id = response.0.headers()["x-request-id"].to_str().unwrap().to_owned();
    let body: Value =
        serde_json::from_str(&response.0.into_body().into_string().await.unwrap()).unwrap();
    assert_eq!(
        (body["code"].as_str(), body["status"].as_u64()),
        (Some(code), Some(status.into())),
        "{body}"
    );
    assert_eq!(body["request_id"], id.as_str());
    body
}

#[tokio::test]
async fn every_error_is_a_problem() {
    let client = client();
    problem(client.get("/nowhere").send().await, 404, "not_found").await;
    problem(client.get("/items/x").send().await, 400, "invalid_request").await;
    let body = client.post("/echo").content_type("application/json").body("{").send().await;
    problem(body, 400, "bad_request").await;
    problem(client.post("/echo").body("{}").send().await, 415, "unsupported_media_type").await;
    let large = client.post("/echo").body_json(&json!({ "x": "y".repeat(100) })).send().await;
    problem(large, 413, "payload_too_large").await;
    let parts = (0..10).map(|_| Ok::<_, std::io::Error>(Bytes::from_static(b"\"0123456789\"")));
    let counted = Body::from_bytes_stream(futures::stream::iter(parts));
    let counted = client.post("/echo").content_type("application/json").body(counted);
    problem(counted.send().await, 413, "payload_too_large").await;
    let trickle = Body::from_bytes_stream(futures::stream::pending::<std::io::Result<Bytes>>());
    problem(client.post("/echo").body(trickle).send().await, 504, "timeout").await;
    let hidden = problem(client.get("/broken").send().await, 500, "internal").await;
    assert!(!hidden.to_string().contains("secret"), "{hidden}");
    problem(client.get("/never").send().await, 504, "timeout").await;
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let response = client().post("/items/1").send().await;
    response.assert_header("allow", "DELETE, GET, HEAD");
    problem(response, 405, "method_not_allowed").await;
    let response = client().options("/items/1").send().await;
    response.assert_status(StatusCode::NO_CONTENT);
    response.assert_header("allow", "DELETE, GET, HEAD");
}

#[tokio::test]
async fn more_than_can_be_worked_on_is_shed() {
    let client = client();
    let three = futures::future::join3(
        client.get("/never").send(),
        client.get("/never").send(),
        client.get("/never").send(),
    );
    let (_, _, third) = Box::pin(three).await;
    third.assert_header("retry-after", "1");
    problem(third, 503, "overloaded").await;
}

#[tokio::test]
async fn a_plain_request_id_is_kept_and_another_replaced() {
    let client = client();
    let response = client.get("/items/1").header("x-request-id", "mine-1").send().await;
    response.assert_header("x-request-id", "mine-1");
    let response = client.get("/items/1").header("x-request-id", "not mine").send().await;
    assert_ne!(response.0.headers()["x-request-id"], "not mine");
}

#[tokio::test]
async fn a_request_is_in_a_trace() {
    let client = client();
    let given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let response = client.get("/items/1").header("traceparent", given).send().await;
    response.assert_header("traceparent", given);
    let response = client.get("/items/1").send().await;
    assert_eq!(response.0.headers()["traceparent"].len(), given.len());
}

#[test]
fn an_invented_method_is_no_label_of_its_own() {
    assert_eq!(known(&Method::GET), "GET");
    assert_eq!(known(&Method::from_bytes(b"MAKE-ME-A-LABEL").unwrap()), "other");
}

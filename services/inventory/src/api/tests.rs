use poem::Route;
use poem::http::StatusCode;
use poem::test::TestClient;
use poem_openapi::OpenApiService;
use serde_json::{Value, json};
use service_kit::Store;
use service_kit::http::{Limits, Paths, endpoint};

use super::*;
use crate::store;

async fn client() -> TestClient<impl poem::Endpoint> {
    let warehouse = Warehouse::new(Store::in_memory(store::SCHEMA).await.unwrap());
    warehouse.seed(&[("tea", 10), ("cup", 2)]).await.unwrap();
    let api = OpenApiService::new(Api::new(warehouse), "inventory", "0");
    TestClient::new(endpoint(Route::new().nest("/", api), Paths::default(), Limits::default()))
}

async fn body(response: poem::test::TestResponse) -> Value {
    serde_json::from_str(&response.0.into_body().into_string().await.unwrap()).unwrap()
}

#[tokio::test]
async fn stock_is_shown_and_corrected_with_a_reason() {
    let client = client().await;
    let stock = body(client.get("/v1/stock/tea").send().await).await;
    assert_eq!((&stock["on_hand"], &stock["available"]), (&json!(10), &json!(10)));
    let adjust = |delta: i64| {
        let body = json!({ "delta": delta, "reason": "counted" });
        client.post("/v1/stock/tea/adjustments").body_json(&body).send()
    };
    assert_eq!(body(adjust(-4).await).await["on_hand"], 6);
    let refused = adjust(-7).await;
    refused.assert_status(StatusCode::CONFLICT);
    assert_eq!(body(refused).await["code"], "stock_too_low");
    let new = json!({ "delta": 5, "reason": "delivery" });
    let new = client.post("/v1/stock/new/adjustments").body_json(&new).send().await;
    assert_eq!(body(new).await["on_hand"], 5);
    let all = body(client.get("/v1/stock?limit=2").send().await).await;
    assert_eq!((all["data"].as_array().unwrap().len(), &all["has_more"]), (2, &json!(true)));
}

#[tokio::test]
async fn what_cannot_be_is_refused_by_name() {
    let client = client().await;
    let unknown = client.get("/v1/stock/ghost").send().await;
    unknown.assert_status(StatusCode::NOT_FOUND);
    assert_eq!(body(unknown).await["code"], "stock_not_found");
    let zero = json!({ "delta": 0, "reason": "" });
    let refused = client.post("/v1/stock/tea/adjustments").body_json(&zero).send().await;
    refused.assert_status(StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(body(refused).await["errors"].as_array().unwrap().len(), 2);
}

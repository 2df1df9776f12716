use poem::Route;
use poem::http::StatusCode;
use poem::test::TestClient;
use poem_openapi::OpenApiService;
use serde_json::{Value, json};
use service_kit::Store;
use service_kit::http::{Limits, Paths, endpoint};

use super::*;
use crate::{catalogue, store};

async fn client() -> TestClient<impl poem::Endpoint> {
    let store = Store::in_memory(store::SCHEMA).await.unwrap();
    let products = Products::new(store);
    products.seed(&catalogue::demo()).await.unwrap();
    let api = OpenApiService::new(Api::new(products), "product", "0");
    TestClient::new(endpoint(Route::new().nest("/", api), Paths::default(), Limits::default()))
}

async fn body(response: poem::test::TestResponse) -> Value {
    serde_json::from_str(&response.0.into_body().into_string().await.unwrap()).unwrap()
}

#[tokio::test]
async fn many_skus_are_one_call_and_unknown_ones_are_left_out() {
    let client = client().await;
    let found = body(client.get("/v1/products?sku=tea-assam,ghost,tea-retired").send().await).await;
    let skus: Vec<_> = found["data"].as_array().unwrap().iter().map(|it| &it["sku"]).collect();
    assert_eq!(skus, ["tea-assam", "tea-retired"]);
    assert_eq!(found["data"][0]["price"], json!({ "amount": 590, "currency": "EUR" }));
    assert_eq!(found["data"][1]["active"], false);
}

#[tokio::test]
async fn pages_go_through_the_whole_catalogue() {
    let client = client().await;
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = body(client.get(format!("/v1/products?limit=3{cursor}")).send().await).await;
        seen.extend(page["data"].as_array().unwrap().iter().map(|it| it["sku"].to_string()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let mut sorted = seen.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!((seen.len(), &seen), (catalogue::demo().len(), &sorted));
}

#[tokio::test]
async fn a_product_is_written_and_read_back() {
    let client = client().await;
    let write =
        json!({ "name": "New", "price": { "amount": 1, "currency": "EUR" }, "active": true });
    let put = || client.put("/v1/products/new.1").body_json(&write).send();
    put().await.assert_status(StatusCode::CREATED);
    put().await.assert_status(StatusCode::OK);
    let found = body(client.get("/v1/products/new.1").send().await).await;
    assert_eq!(found["name"], "New");
}

#[tokio::test]
async fn what_cannot_be_is_refused_by_name() {
    let client = client().await;
    let unknown = client.get("/v1/products/ghost").send().await;
    unknown.assert_status(StatusCode::NOT_FOUND);
    assert_eq!(body(unknown).await["code"], "product_not_found");
    let write =
        json!({ "name": " ", "price": { "amount": -1, "currency": "EUR" }, "active": true });
    let refused = client.put("/v1/products/x").body_json(&write).send().await;
    refused.assert_status(StatusCode::UNPROCESSABLE_ENTITY);
    let refused = body(refused).await;
    let pointers: Vec<_> =
        refused["errors"].as_array().unwrap().iter().map(|it| &it["pointer"]).collect();
    assert_eq!(pointers, ["/name", "/price/amount"], "{refused}");
    client.get("/v1/products?sku=a%20b").send().await.assert_status(StatusCode::BAD_REQUEST);
    client.get("/v1/products?cursor=x").send().await.assert_status(StatusCode::BAD_REQUEST);
}

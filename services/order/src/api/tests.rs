use poem::{Route, http::StatusCode, test::TestClient};
use poem_openapi::OpenApiService;
use serde_json::{Value, json};
use service_kit::{
    http::{Limits, Paths, endpoint},
    openapi,
};

use super::Api;
use crate::{
    order::{Entry, Placed, StoredOrder},
    store::{self, Orders},
    testing::{AT, commit, id, input, orders},
};

async fn place(orders: &Orders, number: u128, at: i64) {
    let status = jetsaga_contracts::http::order::OrderStatus::Pending;
    let entry = Entry { status, reason: None, by: "order".to_owned(), at, event: None };
    let order = StoredOrder::new(Placed::asked(&input(&[("TEA", 1)])), entry);
    commit(orders, store::create(&id(number), &order)).await;
}

fn client(orders: &Orders) -> TestClient<impl poem::Endpoint + use<>> {
    let api = OpenApiService::new(Api::new(orders.clone()), "order", "1");
    let paths = Paths::of(&[&openapi::publish("order", &[api.spec()])]);
    TestClient::new(endpoint(Route::new().nest("/", api), paths, Limits::default()))
}

async fn json(response: poem::test::TestResponse) -> Value {
    serde_json::from_str(&response.0.into_body().into_string().await.unwrap()).unwrap()
}

#[tokio::test]
async fn an_order_has_its_history_and_a_version() {
    let orders = orders().await;
    place(&orders, 1, AT).await;
    let client = client(&orders);
    let response = client.get(format!("/v1/orders/{}", id(1))).send().await;
    response.assert_status_is_ok();
    response.assert_header("ETag", "\"1\"");
    let body = json(response).await;
    assert_eq!(body["id"], id(1).as_str());
    assert_eq!(body["status"], "pending");
    assert_eq!(body["created_at"], "2026-11-23T09:00:00.000Z");
    let entry = json!({"status": "pending", "by": "order", "at": "2026-11-23T09:00:00.000Z"});
    assert_eq!(body["history"], json!([entry]));
    assert_eq!(body["lines"], json!([{"sku": "TEA", "quantity": 1}]));
    for (has, status) in [("\"1\"", 304), ("W/\"9\", \"1\"", 304), ("*", 304), ("\"0\"", 200)] {
        let path = format!("/v1/orders/{}", id(1));
        let response = client.get(path).header("If-None-Match", has).send().await;
        response.assert_status(StatusCode::from_u16(status).unwrap());
    }
}

#[tokio::test]
async fn the_list_is_paged_newest_first() {
    let orders = orders().await;
    for number in 0..5 {
        place(&orders, number, AT + i64::try_from(number).unwrap()).await;
    }
    let client = client(&orders);
    let mut seen = Vec::new();
    let mut path = "/v1/orders?limit=2".to_owned();
    loop {
        let body = json(client.get(path).send().await).await;
        let ids = body["data"].as_array().unwrap().iter().map(|it| it["id"].clone());
        seen.extend(ids);
        assert_eq!(body["has_more"], !body["next_cursor"].is_null());
        let Some(cursor) = body["next_cursor"].as_str() else { break };
        path = format!("/v1/orders?limit=2&cursor={cursor}");
    }
    let wanted: Vec<_> = (0..5).rev().map(|number| json!(id(number))).collect();
    assert_eq!(seen, wanted);
    let body = json(client.get("/v1/orders").send().await).await;
    assert_eq!((body["data"].as_array().unwrap().len(), &body["has_more"]), (5, &json!(false)));
    assert_eq!(body["data"][0].get("history"), None);
}

#[tokio::test]
async fn whatever_is_wrong_is_a_problem_document() {
    let orders = orders().await;
    let client = client(&orders);
    let unknown = format!("/v1/orders/{}", id(7));
    for (path, status, code) in [
        (unknown.as_str(), 404, Some("order_not_found")),
        ("/v1/orders/nonsense", 0, None),
        ("/v1/orders?limit=0", 400, None),
        ("/v1/orders?limit=101", 400, None),
        ("/v1/orders?limit=many", 400, None),
        ("/v1/orders?cursor=nonsense", 400, Some("invalid_cursor")),
        ("/v1/nothing", 404, Some("not_found")),
    ] {
        let response = client.get(path).send().await;
        response.assert_content_type("application/problem+json");
        let body = json(response).await;
        let found = body["status"].as_u64().unwrap();
        assert!(found == status || (status == 0 && (400..500).contains(&found)), "{path}: {body}");
        assert!(code.is_none_or(|code| body["code"] == code), "{path}: {body}");
    }
    let response = client.post("/v1/orders").send().await;
    response.assert_status(StatusCode::METHOD_NOT_ALLOWED);
    response.assert_header("Allow", "GET, HEAD");
}

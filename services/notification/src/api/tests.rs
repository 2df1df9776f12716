use std::sync::Arc;

use poem::{Route, test::TestClient};
use poem_openapi::OpenApiService;
use saga_engine::{Answer, Step as _};
use serde_json::{Value, json};
use service_kit::{
    http::{Limits, Paths, endpoint},
    openapi,
};
use tempfile::tempdir;

use super::Api;
use crate::{
    steps::Confirm,
    store::Deliveries,
    testing::{commit, deliveries, files, id, job, post},
};

fn client(deliveries: &Deliveries) -> TestClient<impl poem::Endpoint + use<>> {
    let api = OpenApiService::new(Api::new(deliveries.clone()), "notification", "1");
    let paths = Paths::of(&[&openapi::publish("notification", &[api.spec()])]);
    TestClient::new(endpoint(Route::new().nest("/", api), paths, Limits::default()))
}

async fn json(response: poem::test::TestResponse) -> Value {
    serde_json::from_str(&response.0.into_body().into_string().await.unwrap()).unwrap()
}

#[tokio::test]
async fn what_was_sent_is_listed_by_order_and_found_by_id() {
    let directory = tempdir().unwrap();
    let post = post(files(directory.path())).await;
    let Answer::Done(notified, work) = Confirm::new(Arc::clone(&post)).run(&job(1)).await else {
        panic!("not sent")
    };
    commit(&post.deliveries, work).await;
    let client = client(&post.deliveries);
    let response = client.get(format!("/v1/notifications?order={}", id(1))).send().await;
    response.assert_status_is_ok();
    let body = json(response).await;
    let one = &body["data"][0];
    assert_eq!((body["data"].as_array().unwrap().len(), &body["has_more"]), (1, &json!(false)));
    for (field, value) in [
        ("order", json!(id(1))),
        ("event", json!("order_confirmed")),
        ("channel", json!("file")),
        ("recipient", json!("ada@example.com")),
        ("status", json!("sent")),
        ("attempts", json!(1)),
        ("message_id", json!(notified.message_id)),
        ("created_at", json!("2026-11-23T09:00:00.000Z")),
    ] {
        assert_eq!(one[field], value, "{field}");
    }
    assert_eq!(one.get("last_error"), None);
    let path = format!("/v1/notifications/{}", one["id"].as_str().unwrap());
    assert_eq!(&json(client.get(path).send().await).await, one);
    let none = json(client.get(format!("/v1/notifications?order={}", id(2))).send().await).await;
    assert_eq!(none["data"], json!([]));
}

#[tokio::test]
async fn whatever_is_wrong_is_a_problem_document() {
    let client = client(&deliveries().await);
    for (path, code) in [
        ("/v1/notifications/ntf_06a7kq2v9tb4rd8m1f3g5h7jcs", Some("notification_not_found")),
        ("/v1/notifications/nonsense", None),
        ("/v1/notifications", None),
        ("/v1/notifications?order=nonsense", None),
    ] {
        let response = client.get(path).send().await;
        response.assert_content_type("application/problem+json");
        let body = json(response).await;
        let status = body["status"].as_u64().unwrap();
        assert!((400..500).contains(&status), "{path}: {body}");
        assert!(code.is_none_or(|code| body["code"] == code), "{path}: {body}");
    }
}

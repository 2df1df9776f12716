use serde_json::json;

use super::*;

fn spec(paths: &str) -> String {
    format!(r#"{{"openapi":"3.0.0","paths":{paths},"tags":[],"components":{{"schemas":{{}}}}}}"#)
}

#[test]
fn a_path_that_stands_twice_keeps_both_operations() {
    let twice = r#"{"/a":{"get":{"summary":"read"}},"/a":{"post":{"summary":"write"}}}"#;
    let document = publish("t", &[spec(twice), spec(r#"{"/a":{"delete":{}},"/b":{"get":{}}}"#)]);
    let methods: Vec<_> = document["paths"]["/a"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(methods, ["delete", "get", "post"]);
    assert!(document["paths"]["/b"]["get"].is_object());
}

#[test]
fn schemas_become_json_schema() {
    let mut value = json!({
        "a": { "type": "string", "nullable": true },
        "b": { "$ref": "#/x", "nullable": true },
        "c": { "type": "integer", "format": "uint32", "maximum": 100.0 },
        "d": { "type": "integer", "minimum": 1.0, "exclusiveMinimum": true },
        "e": { "allOf": [{ "$ref": "#/y" }, { "description": "said" }] },
    });
    modern::modernise(&mut value);
    assert_eq!(
        value,
        json!({
            "a": { "type": ["string", "null"] },
            "b": { "anyOf": [{ "$ref": "#/x" }, { "type": "null" }] },
            "c": { "type": "integer", "maximum": 100, "minimum": 0 },
            "d": { "type": "integer", "exclusiveMinimum": 1 },
            "e": { "$ref": "#/y", "description": "said" },
        })
    );
}

#[test]
fn media_types_and_headers_read_as_people_know_them() {
    let mut value = json!({
        "content": { "application/json; charset=utf-8": {} },
        "headers": { "IDEMPOTENCY-KEY": { "explode": true }, "ETAG": {} },
        "parameters": [{ "in": "header", "name": "LAST-EVENT-ID" }],
    });
    modern::modernise(&mut value);
    assert_eq!(
        value,
        json!({
            "content": { "application/json": {} },
            "headers": { "Idempotency-Key": {}, "ETag": {} },
            "parameters": [{ "in": "header", "name": "Last-Event-ID" }],
        })
    );
}

#[test]
fn every_operation_says_how_it_can_fail() {
    let paths = r#"{"/a/{id}":{"post":{"summary":"s","requestBody":{},"responses":{"200":{"description":""}}}}}"#;
    let document = publish("t", &[spec(paths)]);
    let operation = &document["paths"]["/a/{id}"]["post"];
    let statuses: Vec<_> = operation["responses"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(statuses, ["200", "400", "404", "409", "413", "415", "422", "500", "503", "504"]);
    assert_eq!(operation["description"], "s");
    assert_eq!(document["openapi"], "3.1.0");
}

#[tokio::test]
async fn the_document_is_served_with_its_etag() {
    let client = poem::test::TestClient::new(json_endpoint(&json!({ "openapi": "3.1.0" })));
    let response = client.get("/").send().await;
    response.assert_status_is_ok();
    let etag = response.0.headers()["etag"].clone();
    let again = client.get("/").header("if-none-match", etag).send().await;
    again.assert_status(StatusCode::NOT_MODIFIED);
}

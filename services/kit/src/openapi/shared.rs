//! What every operation here has in common.

use serde_json::{Map, Value, json};

const METHODS: [&str; 6] = ["get", "head", "post", "put", "patch", "delete"];

/// Adds what the documents of poem-openapi leave out.
pub(super) fn complete(document: &mut Value, title: &str) {
    document["info"] = json!({
        "title": title,
        "version": env!("CARGO_PKG_VERSION"),
        "description": "Part of Jetsaga, an order-processing system on NATS JetStream.",
        "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        "contact": { "name": "Jetsaga" },
    });
    // Nobody has to log in yet; a document says so instead of saying nothing.
    document["security"] = json!([]);
    document["servers"] = json!([{ "url": "/", "description": "where this document came from" }]);
    document["components"]["schemas"]["Problem"] = problem_schema();
    close_bodies(document);
    let Some(Value::Object(paths)) = document.get_mut("paths") else { return };
    for (path, item) in paths.iter_mut() {
        for method in METHODS {
            if let Some(Value::Object(operation)) = item.get_mut(method) {
                operation_of(operation, path.contains('{'), method != "get");
            }
        }
    }
}

/// Bodies have no fields but those that are described: what a client misspells is refused.
fn close_bodies(document: &mut Value) {
    let mut open: Vec<String> = Vec::new();
    let operations = document["paths"].as_object().into_iter().flat_map(Map::values);
    let operations = operations.filter_map(Value::as_object).flat_map(Map::values);
    operations.for_each(|operation| references(&operation["requestBody"], &mut open));
    let mut closed = Vec::new();
    while let Some(name) = open.pop() {
        let schema = &mut document["components"]["schemas"][&name];
        if closed.contains(&name) || schema.is_null() {
            continue;
        }
        if schema.get("properties").is_some() {
            schema["additionalProperties"] = Value::Bool(false);
        }
        references(schema, &mut open);
        closed.push(name);
    }
}

/// The names of the schemas that a part of the document refers to.
fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref") {
                found.extend(reference.strip_prefix("#/components/schemas/").map(str::to_owned));
            }
            fields.values().for_each(|field| references(field, found));
        }
        _ => {}
    }
}

fn operation_of(operation: &mut Map<String, Value>, has_parameter: bool, has_effect: bool) {
    if !operation.contains_key("description") {
        let summary = operation.get("summary").cloned().unwrap_or_default();
        operation.insert("description".to_owned(), summary);
    }
    let has_body = operation.contains_key("requestBody");
    let has_query = operation.get("parameters").is_some_and(|all| all != &json!([]));
    let mut missing = vec![("500", "something went wrong on our side"), ("503", "try again later")];
    if has_parameter || has_query || has_body {
        missing.push(("400", "the request cannot be understood"));
    }
    if has_parameter || has_query {
        missing.push(("404", "there is no such thing"));
    }
    if has_effect {
        missing.push(("409", "it does not fit the present state"));
    }
    if has_body {
        missing.push(("422", "understood, but wrong: every wrong field is named"));
        missing.push(("413", "the body is too large"));
        missing.push(("415", "the body is not JSON"));
    }
    missing.push(("504", "no answer in time"));
    let responses = operation.entry("responses").or_insert_with(|| json!({}));
    let Value::Object(responses) = responses else { return };
    for response in responses.values_mut() {
        if response["description"] == json!("") {
            response["description"] = json!("the answer");
        }
    }
    for (status, description) in missing {
        responses.entry(status).or_insert_with(|| problem_response(description));
    }
}

/// A response with a problem document.
fn problem_response(description: &str) -> Value {
    json!({
        "description": description,
        "content": {
            "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } }
        },
    })
}

fn problem_schema() -> Value {
    let text = |description: &str| json!({ "type": "string", "description": description });
    json!({
        "type": "object",
        "description": "What went wrong (RFC 9457).",
        "required": ["type", "title", "status", "detail", "code"],
        "properties": {
            "type": { "type": "string", "format": "uri-reference", "description": "The page about the code, on the gateway." },
            "title": text("The code in words."),
            "status": { "type": "integer", "description": "The HTTP status." },
            "detail": text("What happened and what to do, for a person."),
            "code": text("For programs."),
            "instance": text("The path that was asked for."),
            "request_id": text("The request's id, also in the header X-Request-Id."),
            "errors": {
                "type": "array",
                "description": "Every field that is wrong.",
                "items": {
                    "type": "object",
                    "required": ["pointer", "code", "detail"],
                    "properties": {
                        "pointer": text("JSON pointer into the body, or the name of a parameter."),
                        "code": text("For programs."),
                        "detail": text("For a person."),
                    },
                },
            },
        },
    })
}

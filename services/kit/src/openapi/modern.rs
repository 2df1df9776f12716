//! From 3.0 to 3.1: schemas are JSON Schema, media types have no charset.

use serde_json::{Map, Value, json};

/// Formats that are not in the OpenAPI format registry.
const UNKNOWN_FORMATS: [&str; 3] = ["uint32", "uint64", "event-stream"];

/// Rewrites everything below `value`.
pub(super) fn modernise(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(modernise),
        Value::Object(fields) => {
            media_types(fields);
            event_streams(fields);
            nullable(fields);
            bounds(fields);
            formats(fields);
            siblings(fields);
            headers(fields);
            fields.values_mut().for_each(modernise);
        }
        _ => {}
    }
}

fn media_types(fields: &mut Map<String, Value>) {
    let Some(Value::Object(content)) = fields.get_mut("content") else { return };
    let renamed: Map<String, Value> = std::mem::take(content)
        .into_iter()
        .map(|(name, value)| (name.replace("; charset=utf-8", ""), value))
        .collect();
    *content = renamed;
}

/// poem-openapi describes an event stream as the array of what its events carry; on the wire each
/// event has an id, a name, and its data as one line of JSON.
fn event_streams(fields: &mut Map<String, Value>) {
    let Some(stream) = fields.get_mut("text/event-stream") else { return };
    let Some(items) = stream["schema"].get("items").cloned() else { return };
    let data = json!({
        "type": "string", "contentMediaType": "application/json", "contentSchema": items,
    });
    let text = json!({ "type": "string" });
    let properties = json!({ "id": text, "event": text, "data": data });
    stream["schema"] = json!({ "type": "object", "properties": properties });
}

fn nullable(fields: &mut Map<String, Value>) {
    if fields.remove("nullable") != Some(Value::Bool(true)) {
        return;
    }
    if let Some(kind @ Value::String(_)) = fields.get_mut("type") {
        *kind = json!([kind.clone(), "null"]);
    } else {
        let inner = Value::Object(std::mem::take(fields));
        fields.insert("anyOf".to_owned(), json!([inner, { "type": "null" }]));
    }
}

/// `maximum: 100.0` for an integer becomes 100; `exclusiveMaximum: true` becomes the bound itself.
fn bounds(fields: &mut Map<String, Value>) {
    for (bound, exclusive) in [("maximum", "exclusiveMaximum"), ("minimum", "exclusiveMinimum")] {
        if let Some(value) = fields.get_mut(bound) {
            let whole = value.to_string();
            if let Some(Ok(whole)) = whole.strip_suffix(".0").map(str::parse::<i64>) {
                *value = json!(whole);
            }
        }
        match fields.get(exclusive) {
            Some(Value::Bool(true)) => {
                if let Some(value) = fields.remove(bound) {
                    fields.insert(exclusive.to_owned(), value);
                }
            }
            Some(Value::Bool(false)) => {
                fields.remove(exclusive);
            }
            _ => {}
        }
    }
}

fn formats(fields: &mut Map<String, Value>) {
    let is_unknown = fields
        .get("format")
        .and_then(Value::as_str)
        .is_some_and(|format| UNKNOWN_FORMATS.contains(&format));
    if is_unknown {
        fields.remove("format");
        if fields.get("type") == Some(&json!("integer")) {
            fields.entry("minimum").or_insert(json!(0));
        }
    }
}

/// `allOf` of one reference beside a description: 3.1 allows the reference itself with siblings.
fn siblings(fields: &mut Map<String, Value>) {
    let Some(Value::Array(all)) = fields.get("allOf") else { return };
    let reference = match all.as_slice() {
        [Value::Object(first), rest @ ..] if first.len() == 1 => match first.get("$ref") {
            Some(reference) if rest.iter().all(is_description) => reference.clone(),
            _ => return,
        },
        _ => return,
    };
    let rest: Vec<Value> = all.iter().skip(1).cloned().collect();
    fields.remove("allOf");
    for more in rest {
        if let Value::Object(more) = more {
            for (name, value) in more {
                fields.entry(name).or_insert(value);
            }
        }
    }
    fields.insert("$ref".to_owned(), reference);
}

fn is_description(value: &Value) -> bool {
    let is_note = |name: &String| matches!(name.as_str(), "description" | "title");
    value.as_object().is_some_and(|fields| fields.keys().all(is_note))
}

/// poem-openapi writes header names in capitals; they are written here as people know them.
fn headers(fields: &mut Map<String, Value>) {
    if fields.get("in") == Some(&json!("header")) {
        if let Some(Value::String(name)) = fields.get_mut("name") {
            *name = canonical(name);
        }
        fields.remove("explode");
    }
    let Some(Value::Object(all)) = fields.get_mut("headers") else { return };
    let renamed = std::mem::take(all).into_iter().map(|(name, mut value)| {
        if let Value::Object(fields) = &mut value {
            fields.remove("explode");
            fields.remove("deprecated");
        }
        (canonical(&name), value)
    });
    *all = renamed.collect();
}

fn canonical(name: &str) -> String {
    let word = |word: &str| match word.to_ascii_lowercase().as_str() {
        "etag" => "ETag".to_owned(),
        "id" => "ID".to_owned(),
        lower => {
            let mut characters = lower.chars();
            let first = characters.next().map(|first| first.to_ascii_uppercase());
            first.into_iter().chain(characters).collect()
        }
    };
    name.split('-').map(word).collect::<Vec<_>>().join("-")
}

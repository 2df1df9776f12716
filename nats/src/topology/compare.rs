//! Comparing what is needed with what the server has, and merging the two.

use serde_json::{Map, Value, json};

use super::change::{Change, Difference, Kind, Task};
use super::filters;
use super::wanted::WantedConsumer;

/// Settings that only a new stream can have; the number of consumers is not worth a conflict.
const STREAM_FIXED: [&str; 3] = ["storage", "retention", "deny_purge"];
/// Settings that only a new consumer can have.
const CONSUMER_FIXED: [&str; 2] = ["deliver_policy", "ack_policy"];
/// Not compared: names identify, and the number of consumers cannot be changed.
const NOT_COMPARED: [&str; 3] = ["name", "durable_name", "max_consumers"];
/// What a stream must not have that its configuration does not name: older servers do not know all
/// of these words.
const STREAM_FORBIDDEN: [&str; 4] =
    ["subject_transform", "subject_delete_marker_ttl", "allow_msg_counter", "allow_batched"];

/// The name in a configuration.
pub(super) fn name(config: &Value) -> &str {
    config["name"].as_str().unwrap_or_default()
}

/// What is to be done about a stream.
pub(super) fn stream(wanted: &Value, found: Option<Value>) -> Option<Task> {
    let name = name(wanted);
    let what = format!("stream {name}");
    let Some(found) = found else {
        let change = Change { what, kind: Kind::Create };
        let subject = format!("STREAM.CREATE.{name}");
        return Some(Task { change, subject, request: wanted.clone() });
    };
    let mut merged = merge(wanted, &found);
    for forbidden in STREAM_FORBIDDEN {
        merged.remove(forbidden);
    }
    let merged = Value::Object(merged);
    let kind = kind(&found, &merged, &STREAM_FIXED)?;
    let change = Change { what, kind };
    Some(Task { change, subject: format!("STREAM.UPDATE.{name}"), request: merged })
}

/// What is to be done about a consumer.
pub(super) fn consumer(wanted: &WantedConsumer, found: Option<Value>) -> Option<Task> {
    let (stream, name) = (wanted.stream.as_str(), name(&wanted.config));
    let what = format!("consumer {stream} {name}");
    let subject = format!("CONSUMER.CREATE.{stream}.{name}");
    let request = |action: &str, config: Value| json!({"stream_name": stream, "config": config, "action": action});
    let Some(found) = found else {
        let change = Change { what, kind: Kind::Create };
        let request = request("create", wanted.config.clone());
        return Some(Task { change, subject, request });
    };
    let found = with_one_list_of_filters(found);
    let merged = Value::Object(merge(&wanted.config, &found));
    let kind = kind(&found, &merged, &CONSUMER_FIXED)?;
    Some(Task { change: Change { what, kind }, subject, request: request("update", merged) })
}

/// What was found, with everything that is wanted; what is not ours stays.
fn merge(wanted: &Value, found: &Value) -> Map<String, Value> {
    let mut merged = found.as_object().cloned().unwrap_or_default();
    for (setting, wanted) in wanted.as_object().into_iter().flatten() {
        if NOT_COMPARED.contains(&setting.as_str()) {
            continue;
        }
        let value = setting_of_both(setting, wanted, &found[setting]);
        merged.insert(setting.clone(), value);
    }
    merged
}

/// A setting as it shall be: wanted, and what was found where that may only grow.
fn setting_of_both(setting: &str, wanted: &Value, found: &Value) -> Value {
    match setting {
        "num_replicas" if found.as_u64() > wanted.as_u64() => found.clone(),
        "filter_subjects" => {
            let (wanted, found) = (strings(wanted), strings(found));
            let missing = filters::missing(&wanted, &found);
            json!(if missing.is_empty() { found } else { filters::union(&wanted, &found) })
        }
        "metadata" => {
            let mut both = found.as_object().cloned().unwrap_or_default();
            both.extend(wanted.as_object().cloned().unwrap_or_default());
            Value::Object(both)
        }
        "sources" => {
            let mut both = found.as_array().cloned().unwrap_or_default();
            for source in wanted.as_array().into_iter().flatten() {
                if !both.iter().any(|it| name(it) == name(source)) {
                    both.push(source.clone());
                }
            }
            Value::Array(both)
        }
        _ => wanted.clone(),
    }
}

/// What is to be done so that `found` becomes `merged`.
fn kind(found: &Value, merged: &Value, fixed: &[&str]) -> Option<Kind> {
    let mut settings: Vec<&String> =
        [found, merged].iter().filter_map(|it| it.as_object()).flat_map(Map::keys).collect();
    settings.sort();
    settings.dedup();
    let differences: Vec<Difference> = settings
        .into_iter()
        .filter(|setting| !is_same(&found[*setting], &merged[*setting]))
        .map(|setting| Difference {
            setting: setting.clone(),
            found: found[setting].clone(),
            wanted: merged[setting].clone(),
        })
        .collect();
    let (fixed, free): (Vec<_>, Vec<_>) =
        differences.into_iter().partition(|it| fixed.contains(&it.setting.as_str()));
    match (fixed.is_empty(), free.is_empty()) {
        (true, true) => None,
        (true, false) => Some(Kind::Update(free)),
        (false, _) => Some(Kind::Conflict(fixed)),
    }
}

/// Equal, or both not set: the server leaves out what has its default, or writes it as -1.
fn is_same(one: &Value, other: &Value) -> bool {
    one == other || (is_unset(one) && is_unset(other))
}

fn is_unset(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => matches!(number.as_i64(), Some(0 | -1)),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(true) => false,
    }
}

/// The API has a word for one filter and another for many: only the latter remains.
fn with_one_list_of_filters(mut config: Value) -> Value {
    let one = config.as_object_mut().and_then(|config| config.remove("filter_subject"));
    if let Some(Value::String(filter)) = one.filter(|it| !is_unset(it)) {
        config["filter_subjects"] = json!([filter]);
    }
    config
}

fn strings(value: &Value) -> Vec<String> {
    let items = value.as_array().into_iter().flatten();
    items.filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests;

//! JSON in, JSON out.

use serde_json::{Map, Number, Value};
use surrealdb::types::{Number as StoredNumber, RecordIdKey, Value as Stored};

use super::Error;

/// Checks what is to be bound, and leaves nulls out.
pub(super) fn binds(value: Value) -> Result<Map<String, Value>, Error> {
    match clean(value)? {
        Value::Object(fields) => Ok(fields),
        Value::Null => Ok(Map::new()),
        other => Err(Error::Wrong(format!("binds must be an object, not {other}"))),
    }
}

fn clean(value: Value) -> Result<Value, Error> {
    match value {
        Value::Number(number) if number.as_i64().is_none() => {
            Err(Error::Number(number.to_string()))
        }
        Value::Array(items) => {
            items.into_iter().map(clean).collect::<Result<_, _>>().map(Value::Array)
        }
        Value::Object(fields) => fields
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| Ok((name, clean(value)?)))
            .collect::<Result<_, _>>()
            .map(Value::Object),
        other => Ok(other),
    }
}

/// What a statement returned, with record ids as their plain keys.
pub(super) fn to_json(value: Stored) -> Value {
    match value {
        Stored::None | Stored::Null => Value::Null,
        Stored::Bool(value) => Value::Bool(value),
        Stored::Number(StoredNumber::Int(value)) => Value::Number(value.into()),
        Stored::Number(StoredNumber::Float(value)) => {
            Number::from_f64(value).map_or(Value::Null, Value::Number)
        }
        Stored::Number(StoredNumber::Decimal(value)) => Value::String(value.to_string()),
        Stored::String(text) => Value::String(text),
        Stored::Uuid(uuid) => Value::String(uuid.to_string()),
        Stored::Datetime(time) => Value::String(time.to_string()),
        Stored::Array(items) => items.into_iter().map(to_json).collect(),
        Stored::Object(fields) => {
            fields.into_iter().map(|(name, value)| (name, to_json(value))).collect()
        }
        Stored::RecordId(id) => key(id.key),
        other => Value::String(format!("{other:?}")),
    }
}

fn key(key: RecordIdKey) -> Value {
    match key {
        RecordIdKey::Number(number) => Value::Number(number.into()),
        RecordIdKey::String(text) => Value::String(text),
        RecordIdKey::Uuid(uuid) => Value::String(uuid.to_string()),
        RecordIdKey::Array(items) => to_json(Stored::Array(items)),
        RecordIdKey::Object(fields) => to_json(Stored::Object(fields)),
        RecordIdKey::Range(range) => Value::String(format!("{range:?}")),
    }
}

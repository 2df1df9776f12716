//! A JSON value that is passed on as the text that it came as.
//!
//! Inputs and outputs are the larger part of a record, and nearly everybody who reads one only
//! hands them on: a service looks into its own step's input, a coordinator into none. So reading
//! one copies its text, and only who looks inside pays for the tree.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

mod plain;

/// A JSON value. Copies share it; [`Deref`] gives the [`Value`].
#[derive(Clone)]
pub struct Json(Arc<Inner>);

struct Inner {
    /// As it was read: only if it is [plain](plain::is_plain), so that it is surely a value.
    text: Option<Box<RawValue>>,
    value: OnceLock<Value>,
}

impl Json {
    /// The text that it was read from, unless that had to be looked into: without white space,
    /// escapes, large or fractional numbers, and not nested deeply.
    pub(crate) fn plain_text(&self) -> Option<&str> {
        self.0.text.as_deref().map(RawValue::get)
    }
}

impl Deref for Json {
    type Target = Value;

    fn deref(&self) -> &Value {
        // A plain text was read before: it is a value.
        let read = || serde_json::from_str(self.plain_text().unwrap_or("null")).unwrap_or_default();
        self.0.value.get_or_init(read)
    }
}

impl From<Value> for Json {
    fn from(value: Value) -> Self {
        Self(Arc::new(Inner { text: None, value: value.into() }))
    }
}

impl From<Json> for Value {
    fn from(json: Json) -> Self {
        Self::clone(&json)
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        let is_same_text = || match (self.plain_text(), other.plain_text()) {
            (Some(text), Some(other)) => text == other,
            _ => false,
        };
        // The same fields may stand in another order.
        Arc::ptr_eq(&self.0, &other.0) || is_same_text() || **self == **other
    }
}

impl PartialEq<Value> for Json {
    fn eq(&self, other: &Value) -> bool {
        **self == *other
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(formatter)
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0.text {
            Some(text) => text.serialize(serializer),
            None => (**self).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        if plain::is_plain(text.get()) {
            return Ok(Self(Arc::new(Inner { text: Some(text), value: OnceLock::new() })));
        }
        let value: Value = serde_json::from_str(text.get()).map_err(D::Error::custom)?;
        Ok(value.into())
    }
}

#[cfg(test)]
mod tests;

//! Pages of a list, newest first, by an opaque cursor.

use poem_openapi::{
    Object,
    types::{ParseFromJSON, ToJSON, Type},
};
use serde::{Deserialize, Serialize};

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct Page<T: Type + ParseFromJSON + ToJSON> {
    /// The items, in the list's order.
    pub data: Vec<T>,
    /// What to send as `cursor` for the next page; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
    /// Whether another page follows.
    pub has_more: bool,
}

impl<T: Type + ParseFromJSON + ToJSON> Page<T> {
    /// A page with everything there is.
    pub fn whole(data: Vec<T>) -> Self {
        Self { data, next_cursor: None, has_more: false }
    }

    /// A page that goes on at `next_cursor`, when there is one.
    pub fn new(data: Vec<T>, next_cursor: Option<String>) -> Self {
        Self { data, has_more: next_cursor.is_some(), next_cursor }
    }
}

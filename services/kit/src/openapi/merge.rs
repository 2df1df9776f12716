//! Several documents as one; a path that stands twice keeps the operations of both.

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value, json};

/// A JSON object with its fields as they stand, also those with one name.
struct Fields(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Fields;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Fields, M::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Visit)
    }
}

#[derive(Deserialize)]
struct Document {
    paths: Fields,
    #[serde(default)]
    tags: Vec<Value>,
    #[serde(default)]
    components: Map<String, Value>,
}

/// Merges documents. Operations, tags and components are taken from all; the first of a name wins.
pub(super) fn merge(specs: &[String]) -> Value {
    let mut paths = Map::new();
    let mut tags: Vec<Value> = Vec::new();
    let mut components = Map::new();
    for spec in specs {
        let document: Document = match serde_json::from_str(spec) {
            Ok(document) => document,
            Err(error) => {
                tracing::error!(%error, "a document of poem-openapi could not be read");
                continue;
            }
        };
        for (path, item) in document.paths.0 {
            join(&mut paths, path, item);
        }
        for tag in document.tags {
            if !tags.iter().any(|known| known["name"] == tag["name"]) {
                tags.push(tag);
            }
        }
        for (kind, all) in document.components {
            join(&mut components, kind, all);
        }
    }
    json!({ "openapi": "3.1.0", "paths": paths, "tags": tags, "components": components })
}

fn join(all: &mut Map<String, Value>, name: String, more: Value) {
    match (all.get_mut(&name), more) {
        (Some(Value::Object(known)), Value::Object(more)) => {
            for (name, value) in more {
                known.entry(name).or_insert(value);
            }
        }
        (Some(_), _) => {}
        (None, more) => {
            all.insert(name, more);
        }
    }
}

//! Migrations: ordered, checksummed, each applied once.

use saga_engine::saga_core::digest;
use serde_json::{Value, json};

use super::{Error, Store};

/// What begins a migration's name.
const MARK: &str = "-- migration:";

/// Makes the table of what was applied.
pub(super) async fn prepare(store: &Store) -> Result<(), Error> {
    let text = "DEFINE TABLE IF NOT EXISTS _migration SCHEMALESS";
    store.query(text, Value::Null).await.map(drop)
}

/// Applies what is not applied yet.
pub(super) async fn migrate(store: &Store, schema: &str, owner: &str) -> Result<(), Error> {
    for (name, text) in migrations(schema) {
        let id = format!("{owner}_{name}");
        let checksum = digest(&Value::String(text.clone()));
        let applied: Vec<Value> = store
            .rows("SELECT * FROM type::record('_migration', $id)", json!({ "id": id }))
            .await?;
        match applied.first().map(|row| row["checksum"] == checksum.as_str()) {
            Some(true) => continue,
            Some(false) => return Err(Error::Migration(id)),
            None => {}
        }
        let record = "CREATE type::record('_migration', $id) SET checksum = $checksum RETURN NONE;";
        let transaction = format!("BEGIN;\n{text}\n{record}\nCOMMIT;");
        store.query(&transaction, json!({ "id": id, "checksum": checksum })).await?;
    }
    Ok(())
}

/// The migrations of a schema, in order; what stands before the first mark is named `0001`.
fn migrations(schema: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for line in schema.lines() {
        if let Some(name) = line.strip_prefix(MARK) {
            found.push((name.trim().to_owned(), String::new()));
            continue;
        }
        if found.is_empty() {
            found.push(("0001".to_owned(), String::new()));
        }
        if let Some((_, text)) = found.last_mut() {
            text.push_str(line);
            text.push('\n');
        }
    }
    found.retain(|(_, text)| !text.trim().is_empty());
    found
}

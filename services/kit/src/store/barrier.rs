//! The barrier in SurrealDB: rows and business changes in one transaction, many messages at once.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use saga_engine::saga_core::barrier::{Key, Row};
use saga_engine::{Barrier, Change, CommitError};
use serde_json::{Value, json};

use super::{Error, Store, TRIES, count_conflict, json as json_of, pause};

/// How often a batch that met a conflict is tried whole.
const BATCH_TRIES: u32 = 3;

/// The barrier's own table. A row is kept as its JSON text: the guard of an update compares it
/// whole, and nothing of it is changed by the database's own types.
pub(super) const SCHEMA: &str = "
DEFINE TABLE barrier SCHEMAFULL;
DEFINE FIELD saga_type ON barrier TYPE string;
DEFINE FIELD saga_id ON barrier TYPE string;
DEFINE FIELD step ON barrier TYPE string;
DEFINE FIELD state ON barrier TYPE string;
DEFINE FIELD row ON barrier TYPE string;
-- migration: 0002 the key says the rest, and each field costs time
REMOVE FIELD saga_type ON barrier;
REMOVE FIELD saga_id ON barrier;
REMOVE FIELD step ON barrier;
REMOVE FIELD state ON barrier;
UPDATE barrier UNSET saga_type, saga_id, step, state RETURN NONE;
";

/// The business change of one step: statements that are run in the barrier's transaction.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Work(Vec<Statement>);

/// One statement of a [`Work`].
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// SurrealQL that reads its data as `$m`. The same constant text for every saga, so that the
    /// statements of many sagas run as one loop. A text that reads `$all` instead runs once, with
    /// the data of all sagas in an array: `INSERT INTO stock $all RETURN NONE` takes a third of
    /// the time of a `CREATE` for each. `THROW 'raced'` in it means that something it was decided
    /// on is not as it was read.
    pub text: &'static str,
    /// What `$m`, or one element of `$all`, is: JSON without nulls, floats and integers beyond
    /// `i64`.
    pub data: Value,
}

impl Work {
    /// No change.
    pub fn none() -> Self {
        Self::default()
    }

    /// One statement.
    pub fn one(text: &'static str, data: Value) -> Self {
        Self::none().and(text, data)
    }

    /// Another statement after these.
    #[must_use]
    pub fn and(mut self, text: &'static str, data: Value) -> Self {
        self.0.push(Statement { text, data });
        self
    }
}

impl Barrier for Store {
    type Work = Work;

    async fn read(&self, keys: &[Key]) -> Result<Vec<Option<Row>>, CommitError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<String> = keys.iter().map(Key::effect_id).collect();
        let text =
            "SELECT record::id(id) AS key, row FROM $ids.map(|$id| type::record('barrier', $id))";
        let found: Vec<Value> =
            self.rows(text, json!({ "ids": ids })).await.map_err(|error| unavailable(&error))?;
        let mut rows = BTreeMap::new();
        for entry in &found {
            let key = entry["key"].as_str().unwrap_or_default();
            let row = serde_json::from_str::<Row>(entry["row"].as_str().unwrap_or_default());
            let row = row.map_err(|error| CommitError::Refused(format!("row {key}: {error}")))?;
            rows.insert(key, row);
        }
        Ok(ids.iter().map(|id| rows.get(id.as_str()).cloned()).collect())
    }

    async fn commit(&self, changes: Vec<Change<Work>>) -> Vec<Result<(), CommitError>> {
        if changes.len() > 1 && self.commit_batch(&changes).await.is_ok() {
            return changes.iter().map(|_| Ok(())).collect();
        }
        // One that cannot be committed must not keep its neighbours from it.
        let mut results = Vec::with_capacity(changes.len());
        for change in &changes {
            results.push(self.commit_one(change).await);
        }
        results
    }
}

impl Store {
    async fn commit_all(&self, changes: &[Change<Work>]) -> Result<(), Error> {
        let (text, binds) = transaction(changes)?;
        self.once(&text, json_of::binds(binds)?).await.map(drop)
    }

    /// A batch as one transaction. A conflict, say with a route's write, says nothing against any
    /// of its changes: it is tried again whole before it falls apart.
    async fn commit_batch(&self, changes: &[Change<Work>]) -> Result<(), Error> {
        let mut tries = 1;
        loop {
            match self.commit_all(changes).await {
                Err(Error::Conflict) if tries < BATCH_TRIES => {}
                result => return result,
            }
            count_conflict();
            pause(tries).await;
            tries += 1;
        }
    }

    async fn commit_one(&self, change: &Change<Work>) -> Result<(), CommitError> {
        for tries in 1..=TRIES {
            match self.commit_all(std::slice::from_ref(change)).await {
                Ok(()) => return Ok(()),
                Err(Error::Duplicate(_)) => return Err(CommitError::Raced),
                Err(Error::Thrown(text)) if text.contains("raced") => {
                    return Err(CommitError::Raced);
                }
                Err(Error::Conflict) => count_conflict(),
                Err(Error::Indeterminate(_)) => {
                    let rows = self.read(std::slice::from_ref(&change.key)).await?;
                    if rows.first() == Some(&Some(change.row.clone())) {
                        return Ok(());
                    }
                }
                Err(Error::Unavailable(why)) => return Err(CommitError::Unavailable(why)),
                Err(error) => return Err(CommitError::Refused(error.to_string())),
            }
            pause(tries).await;
        }
        Err(CommitError::Unavailable(Error::Conflict.to_string()))
    }
}

/// All changes as one text, with one loop per distinct statement.
fn transaction(changes: &[Change<Work>]) -> Result<(String, Value), Error> {
    let mut created = Vec::new();
    let mut updated = Vec::new();
    let mut works: Vec<(&'static str, Vec<&Value>)> = Vec::new();
    for change in changes {
        let mut row = json!({ "id": change.key.effect_id(), "row": text_of(&change.row)? });
        match &change.seen {
            None => created.push(row),
            Some(seen) => {
                row["seen"] = Value::String(text_of(seen)?);
                updated.push(row);
            }
        }
        for statement in &change.work.0 {
            match works.iter_mut().find(|(text, _)| *text == statement.text) {
                Some((_, all)) => all.push(&statement.data),
                None => works.push((statement.text, vec![&statement.data])),
            }
        }
    }
    let mut text = String::from("BEGIN;\n");
    if !created.is_empty() {
        text.push_str("INSERT INTO barrier $created RETURN NONE;\n");
    }
    if !updated.is_empty() {
        text.push_str(UPDATE);
    }
    let mut binds = json!({ "created": created, "updated": updated });
    for (index, (statement, all)) in works.iter().enumerate() {
        let name = format!("work{index}");
        // A loop of one turn keeps what the text defines to itself.
        let turns = if statement.contains("$all") {
            format!("FOR $all IN [${name}]")
        } else {
            format!("FOR $m IN ${name}")
        };
        // Writing to a string cannot fail.
        writeln!(text, "{turns} {{ {statement} }};").unwrap_or_default();
        binds[name] = json!(all);
    }
    text.push_str("COMMIT;");
    Ok((text, binds))
}

const UPDATE: &str = "FOR $m IN $updated {
    LET $changed = (UPDATE type::record('barrier', $m.id) SET row = $m.row
        WHERE row = $m.seen RETURN VALUE true);
    IF array::len($changed) == 0 { THROW 'raced' };
};
";

fn text_of(row: &Row) -> Result<String, Error> {
    serde_json::to_string(row).map_err(|error| Error::Shape(error.to_string()))
}

fn unavailable(error: &Error) -> CommitError {
    CommitError::Unavailable(error.to_string())
}

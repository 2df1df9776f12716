//! A service's own database: SurrealDB, embedded or remote, behind plain JSON.
//!
//! Every write is one `BEGIN … COMMIT` text or a single statement, never a transaction held by the
//! client: those commit the rest after a failed statement. Integers are `i64`; floats and larger
//! integers are refused; nulls are left out; record ids come out as their plain keys.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use surrealdb::IndexedResults;
use tokio::runtime::Handle;

mod barrier;
mod error;
mod json;
mod open;
mod schema;

pub use barrier::{Statement, Work};
pub use error::Error;
pub use open::StoreConfig;

use open::Connection;

/// How often a statement that met a conflict is tried again.
const TRIES: u32 = 8;
/// Longest pause before such a try; each pause is drawn between 1 ms and a bound that grows to this.
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// A service's database. Cheap to clone; all clones share it.
#[derive(Debug, Clone)]
pub struct Store {
    connection: Connection,
    threads: Option<Handle>,
}

impl Store {
    /// Opens the database and brings its schema up to date.
    ///
    /// `schema` is SurrealQL, cut into migrations by lines `-- migration: <name>`: each is applied
    /// once, in order, and must never change afterwards.
    pub async fn open(config: &StoreConfig, schema: &str) -> Result<Self, Error> {
        let connection = match config.threads.clone() {
            None => open::open(config).await?,
            // What works behind a database stays where it was opened.
            Some(threads) => {
                let config = config.clone();
                let opening = threads.spawn(async move { open::open(&config).await });
                opening.await.map_err(|why| Error::Unavailable(why.to_string()))??
            }
        };
        let store = Self { connection, threads: config.threads.clone() };
        schema::prepare(&store).await?;
        schema::migrate(&store, barrier::SCHEMA, "kit").await?;
        schema::migrate(&store, schema, "service").await?;
        Ok(store)
    }

    /// An empty database in memory, for tests.
    pub async fn in_memory(schema: &str) -> Result<Self, Error> {
        Self::open(&StoreConfig::in_memory(), schema).await
    }

    /// Runs statements and returns one JSON value per statement. `binds` is an object. Conflicts
    /// with other transactions are retried, eight times at most, with the whole text: several
    /// statements that write stand between `BEGIN` and `COMMIT`.
    ///
    /// ```no_run
    /// # async fn example(store: service_kit::Store) -> Result<(), service_kit::store::Error> {
    /// let stock = store
    ///     .query("SELECT * FROM type::record('stock', $sku)", serde_json::json!({"sku": "tea"}))
    ///     .await?;
    /// # Ok(()) }
    /// ```
    pub async fn query(&self, text: &str, binds: Value) -> Result<Vec<Value>, Error> {
        let binds = json::binds(binds)?;
        let mut tries = 1;
        loop {
            match self.once(text, binds.clone()).await {
                Err(Error::Conflict) if tries < TRIES => tries += 1,
                result => return result,
            }
            count_conflict();
            pause(tries).await;
        }
    }

    /// The rows of the *last* statement.
    pub async fn rows<T: DeserializeOwned>(
        &self,
        text: &str,
        binds: Value,
    ) -> Result<Vec<T>, Error> {
        let last = self.query(text, binds).await?.pop().unwrap_or(Value::Null);
        let rows = match last {
            Value::Array(rows) => rows,
            Value::Null => Vec::new(),
            row => vec![row],
        };
        rows.into_iter()
            .map(|row| serde_json::from_value(row).map_err(|error| Error::Shape(error.to_string())))
            .collect()
    }

    /// Whether the database answers.
    pub async fn check(&self) -> Result<(), Error> {
        self.query("RETURN 1", Value::Object(Map::new())).await.map(drop)
    }

    /// Closes an embedded database so that another process may open it; a remote one stays open.
    pub async fn close(self) -> Result<(), Error> {
        open::close(self.connection).await
    }

    /// One try.
    async fn once(&self, text: &str, binds: Map<String, Value>) -> Result<Vec<Value>, Error> {
        let Some(threads) = &self.threads else {
            return values(self.connection.query(text, binds).await.map_err(|e| Error::of(&e))?);
        };
        let (connection, text) = (self.connection.clone(), text.to_owned());
        let asked = threads.spawn(async move { connection.query(&text, binds).await });
        let results = asked.await.map_err(|why| Error::Unavailable(why.to_string()))?;
        values(results.map_err(|error| Error::of(&error))?)
    }
}

fn values(mut results: IndexedResults) -> Result<Vec<Value>, Error> {
    let errors = results.take_errors();
    if !errors.is_empty() {
        return Err(Error::of_all(errors.values()));
    }
    (0..results.num_statements())
        .map(|index| {
            let value: surrealdb::types::Value =
                results.take(index).map_err(|error| Error::of(&error))?;
            Ok(json::to_json(value))
        })
        .collect()
}

fn count_conflict() {
    metrics::counter!("store_conflicts_total").increment(1);
}

/// Waits a random time before the next try: full jitter under a bound that doubles.
async fn pause(tries: u32) {
    let bound = PAUSE_MAX.min(Duration::from_millis(1 << tries.min(10)));
    let bound = u64::try_from(bound.as_millis()).unwrap_or(u64::MAX);
    let milliseconds = rand::random_range(1..=bound);
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}

#[cfg(test)]
mod tests;

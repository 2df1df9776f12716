//! Opening a database.

use std::path::PathBuf;
use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};
use surrealdb::engine::any::Any;
use surrealdb::engine::local::Db;
use surrealdb::opt::auth::Database;
use surrealdb::{IndexedResults, Surreal};
use surrealdb_cnf::ConfigMap;
use surrealdb_core::kvs::Datastore;
use tokio::runtime::Handle;

use super::Error;

/// The embedded engine's default memory limits follow the machine's memory, per database; seven
/// services in one process would take several times what there is. A transaction must fit into the
/// memtable: 32 MiB hold sixty-four messages of the largest size.
const MEMTABLE_BYTES: u64 = 32 * 1024 * 1024;
/// Cache of blocks read from disk, per database.
const BLOCK_CACHE_BYTES: u64 = 64 * 1024 * 1024;

/// Where a service's database is.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// `mem://`, `surrealkv://<directory>`, or `ws://<host>:<port>` of a SurrealDB server.
    pub url: String,
    /// The namespace.
    pub namespace: String,
    /// The database: the service's name.
    pub database: String,
    /// User and password of the database; only for a server.
    pub credentials: Option<(String, SecretString)>,
    /// The runtime that queries run on, instead of the one that asks; for benchmarks.
    pub threads: Option<Handle>,
}

impl StoreConfig {
    /// A database in memory that nobody else sees.
    pub fn in_memory() -> Self {
        Self::of("mem://".to_owned(), "test")
    }

    /// The embedded database of a service under a data directory. What is acknowledged is on disk.
    pub fn embedded(data_dir: &std::path::Path, service: &str) -> Self {
        let directory = data_dir.join(service).join("db");
        Self::of(format!("surrealkv://{}", directory.display()), service)
    }

    fn of(url: String, database: &str) -> Self {
        let (namespace, database) = ("jetsaga".to_owned(), database.to_owned());
        Self { url, namespace, database, credentials: None, threads: None }
    }
}

/// A database in this process, or a connection to a server.
#[derive(Clone)]
pub(super) enum Connection {
    Embedded(Surreal<Db>, Arc<Datastore>),
    Remote(Surreal<Any>),
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Embedded(..) => "embedded",
            Self::Remote(_) => "remote",
        })
    }
}

impl Connection {
    pub(super) async fn query(
        &self,
        text: &str,
        binds: Map<String, Value>,
    ) -> surrealdb::Result<IndexedResults> {
        match self {
            Self::Embedded(database, _) => {
                let query = database.query(text);
                binds.into_iter().fold(query, surrealdb::method::Query::bind).await
            }
            Self::Remote(database) => {
                let query = database.query(text);
                binds.into_iter().fold(query, surrealdb::method::Query::bind).await
            }
        }
    }
}

pub(super) async fn open(config: &StoreConfig) -> Result<Connection, Error> {
    if config.url.starts_with("ws://") || config.url.starts_with("wss://") {
        let database = remote(config).await.map_err(|error| {
            let remedy = "Is the SurrealDB server running there, and are user and password right?";
            failed(config, &error.to_string(), remedy)
        })?;
        return Ok(Connection::Remote(database));
    }
    if let Some(directory) = config.url.strip_prefix("surrealkv://") {
        let directory = PathBuf::from(directory);
        std::fs::create_dir_all(&directory).map_err(|error| {
            let remedy = "Choose a directory that this user may write to (--data-dir).";
            failed(config, &error.to_string(), remedy)
        })?;
    }
    // Whatever else was meant, data must not go to a memory that ends with the process.
    if !is_known(&config.url) {
        let remedy = "Say embedded, memory, or ws://host:port of a SurrealDB server (--store).";
        return Err(failed(config, "there is no database engine of this name", remedy));
    }
    let datastore = datastore(&config.url).await.map_err(|why| {
        let remedy = if why.contains("already locked") {
            "Another process uses this directory: stop it, or choose another with --data-dir."
        } else {
            "The files may be damaged: restore a backup, or move the directory away to start empty."
        };
        failed(config, &why, remedy)
    })?;
    let database = Surreal::<Db>::unstable_from_datastore(Arc::clone(&datastore), None)
        .await
        .map_err(|error| Error::of(&error))?;
    database
        .use_ns(&config.namespace)
        .use_db(&config.database)
        .await
        .map_err(|error| Error::of(&error))?;
    Ok(Connection::Embedded(database, datastore))
}

pub(super) async fn close(connection: Connection) -> Result<(), Error> {
    match connection {
        Connection::Remote(_) => Ok(()),
        Connection::Embedded(database, datastore) => {
            drop(database);
            datastore.shutdown().await.map_err(|error| Error::Unavailable(error.to_string()))
        }
    }
}

fn is_known(url: &str) -> bool {
    url == "mem://" || url.starts_with("surrealkv://")
}

fn failed(config: &StoreConfig, why: &str, remedy: &'static str) -> Error {
    Error::Open { url: config.url.clone(), why: why.to_owned(), remedy }
}

async fn remote(config: &StoreConfig) -> surrealdb::Result<Surreal<Any>> {
    let database = surrealdb::engine::any::connect(config.url.as_str()).await?;
    if let Some((username, password)) = &config.credentials {
        database
            .signin(Database {
                namespace: config.namespace.clone(),
                database: config.database.clone(),
                username: username.clone(),
                password: password.expose_secret().to_owned(),
            })
            .await?;
    }
    database.use_ns(&config.namespace).use_db(&config.database).await?;
    Ok(database)
}

/// Builds the embedded datastore by hand, since its memory limits cannot be set in any other way.
/// This is the one place that uses an interface of the database without a stability promise.
async fn datastore(url: &str) -> Result<Arc<Datastore>, String> {
    let path = match url.strip_prefix("surrealkv://") {
        Some(directory) => format!("surrealkv://{directory}?sync=every"),
        None => "memory".to_owned(),
    };
    let limits = ConfigMap::empty()
        .with_key_value("surrealkv_max_memtable_size", MEMTABLE_BYTES.to_string())
        .with_key_value("surrealkv_block_cache_capacity", BLOCK_CACHE_BYTES.to_string());
    let datastore = Datastore::builder()
        .with_config(limits)
        .without_maintenance_tasks()
        .build_with_path(&path)
        .await
        .map_err(|error| error.to_string())?;
    datastore.check_version().await.map_err(|error| error.to_string())?;
    datastore.bootstrap().await.map_err(|error| error.to_string())?;
    datastore.start_maintenance_tasks();
    Ok(datastore)
}

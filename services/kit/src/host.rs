//! A service is a value; a program hosts one of them, or all.

use std::path::PathBuf;

use async_trait::async_trait;
use futures::future::BoxFuture;
use saga_engine::Engine;
use tokio_util::sync::CancellationToken;

use crate::http::{ServiceClient, ServiceUrls};
use crate::store::Store;

mod allocator;
mod fail_point;
pub mod health;
pub mod options;
mod run;
pub mod telemetry;

pub use fail_point::FailPoint;
pub use health::{Check, Health};
pub use options::{Apart, HostOptions};
pub use run::{HostError, Hosted, Program, connect, host, run};

/// A service: what it is called, what it keeps, and how it starts.
#[async_trait]
pub trait Service: Send + Sync + 'static {
    /// Its name: also that of its database, its consumers, and its URL.
    fn name(&self) -> &'static str;

    /// The tables that it owns, as SurrealQL migrations; `None`: it has no database.
    fn schema(&self) -> Option<&'static str> {
        None
    }

    /// The saga types whose endings it follows.
    fn mirrors(&self) -> &'static [&'static str] {
        &[]
    }

    /// The port that it would like to listen on; any free one in `None`.
    fn port(&self) -> Option<u16> {
        None
    }

    /// Starts it. Every listener of the process is bound already, so URLs are known; the others
    /// may not have started yet.
    async fn start(&self, context: Context) -> Result<Running, StartError>;
}

/// What a service is given.
#[derive(Debug, Clone)]
pub struct Context {
    /// The service's name.
    pub name: &'static str,
    /// The saga engine, connected; the topology is applied.
    pub engine: Engine,
    /// Its own database, opened and migrated.
    pub store: Option<Store>,
    /// A directory of its own for other files.
    pub directory: PathBuf,
    /// Calls other services.
    pub client: ServiceClient,
    /// Where the services are.
    pub urls: ServiceUrls,
    /// Ends when the program stops: event streams and background work end with it.
    pub stop: CancellationToken,
    /// The health of everything in this process.
    pub health: Health,
}

impl Context {
    /// The service's database.
    ///
    /// # Errors
    /// When the service has no [`Service::schema`].
    pub fn store(&self) -> Result<Store, StartError> {
        self.store.clone().ok_or_else(|| "this service has no database".into())
    }
}

/// Why a service did not start.
pub type StartError = Box<dyn std::error::Error + Send + Sync>;

/// A service that started.
#[derive(Default)]
pub struct Running {
    /// Its routes.
    pub route: poem::Route,
    /// Its OpenAPI documents, as poem-openapi writes them.
    pub specs: Vec<String>,
    /// The document to publish; `None`: the one that follows from `specs`.
    pub document: Option<serde_json::Value>,
    /// Further paths that no document names.
    pub paths: Vec<&'static str>,
    /// What to do when the program stops, in order, before the database is closed.
    pub on_stop: Vec<BoxFuture<'static, ()>>,
}

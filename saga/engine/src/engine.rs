//! One connection to the log of sagas, shared by everything in a process.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use async_nats::jetstream::{self, kv};
use saga_core::{Definition, Invalid, Plan, Record};

use crate::bucket;
use crate::log::Log;
use crate::log::jetstream::JetStreamLog;
use crate::testing::fault::Faults;
use crate::topology;

/// The engine: a connection, the log over it, and the definitions known in this process.
///
/// Cheap to clone; all clones share one connection.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    client: async_nats::Client,
    context: jetstream::Context,
    log: Arc<dyn Log>,
    plans: RwLock<BTreeMap<(String, u32), Arc<Plan>>>,
    faults: Faults,
}

/// Why a definition cannot be registered or found.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    /// The bucket of definitions does not answer.
    #[error("the bucket {bucket} of definitions does not answer: {why}", bucket = topology::DEFINITIONS)]
    Unavailable {
        /// What the client says.
        why: String,
    },
    /// Another definition is registered under this name and version.
    #[error(
        "{name}.{version} is registered with another content: give the changed definition a new version"
    )]
    Changed {
        /// The definition's name.
        name: String,
        /// Its version.
        version: u32,
    },
    /// Nothing is registered under this name and version.
    #[error("no definition {name}.{version} is registered")]
    Unknown {
        /// The name asked for.
        name: String,
        /// The version asked for.
        version: u32,
    },
    /// What is registered is not a valid definition.
    #[error("the registered definition cannot be used")]
    Invalid(#[from] Invalid),
}

impl Engine {
    /// An engine over a connection. The topology must have been applied.
    pub fn new(client: async_nats::Client) -> Self {
        let log = Arc::new(JetStreamLog::new(client.clone()));
        Self::of(client, log, Faults::default())
    }

    /// An engine whose participants ask a hook at every fail-point; for tests.
    pub fn with_faults(client: async_nats::Client, faults: Faults) -> Self {
        let log = Arc::new(JetStreamLog::new(client.clone()));
        Self::of(client, log, faults)
    }

    /// An engine over another log, for tests that come between the engine and the stream.
    pub fn with_log(client: async_nats::Client, log: Arc<dyn Log>) -> Self {
        Self::of(client, log, Faults::default())
    }

    fn of(client: async_nats::Client, log: Arc<dyn Log>, faults: Faults) -> Self {
        let context = jetstream::new(client.clone());
        let plans = RwLock::default();
        Self { inner: Arc::new(Inner { client, context, log, plans, faults }) }
    }

    /// The hook that its participants ask, unless they have one of their own.
    pub(crate) fn faults(&self) -> Faults {
        self.inner.faults.clone()
    }

    /// The connection.
    pub fn client(&self) -> &async_nats::Client {
        &self.inner.client
    }

    /// JetStream over the connection.
    pub fn jetstream(&self) -> &jetstream::Context {
        &self.inner.context
    }

    /// The log.
    pub fn log(&self) -> &Arc<dyn Log> {
        &self.inner.log
    }

    /// Whether the server answers.
    ///
    /// # Errors
    /// What the client says when it does not.
    pub async fn check(&self) -> Result<(), async_nats::Error> {
        self.inner.client.flush().await?;
        self.inner.context.query_account().await?;
        Ok(())
    }

    /// Makes a definition known to this process without registering it.
    pub fn know(&self, plan: Arc<Plan>) {
        let key = (plan.name().to_owned(), plan.version());
        self.inner.plans.write().unwrap_or_else(PoisonError::into_inner).insert(key, plan);
    }

    /// Registers a definition in the bucket [`topology::DEFINITIONS`], so that every program can
    /// read sagas of it. Registering the same one again is no error.
    ///
    /// # Errors
    /// [`DefinitionError::Changed`] when another content has that name and version.
    pub async fn register(&self, plan: Arc<Plan>) -> Result<(), DefinitionError> {
        let (name, version) = (plan.name().to_owned(), plan.version());
        let json = serde_json::to_vec(plan.definition()).map_err(unavailable)?;
        let bucket = self.definitions().await?;
        let there = bucket::create(&bucket, &key(&name, version), json.into()).await;
        if let Some(json) = there.map_err(unavailable)?
            && plan_of_json(&json)?.digest() != plan.digest()
        {
            return Err(DefinitionError::Changed { name, version });
        }
        self.know(plan);
        Ok(())
    }

    /// The definition of that name and version: from this process, else from the bucket.
    pub async fn plan(&self, name: &str, version: u32) -> Result<Arc<Plan>, DefinitionError> {
        if let Some(plan) = self.known(name, version) {
            return Ok(plan);
        }
        let bucket = self.definitions().await?;
        let plan = Arc::new(self.load(&bucket, name, version).await?);
        self.know(Arc::clone(&plan));
        Ok(plan)
    }

    /// Every definition that is registered, by name and version; this process knows them from then
    /// on.
    ///
    /// # Errors
    /// When the bucket does not answer, or something in it is no definition.
    pub async fn registered(&self) -> Result<Vec<Arc<Plan>>, DefinitionError> {
        let bucket = self.definitions().await?;
        let keys = bucket::keys(&bucket).await.map_err(unavailable)?;
        let mut plans = Vec::with_capacity(keys.len());
        for key in &keys {
            let parts = key.rsplit_once('.').and_then(|(name, it)| Some((name, it.parse().ok()?)));
            let (name, version) =
                parts.ok_or_else(|| unavailable(format!("{key} names no definition")))?;
            let plan = match self.load(&bucket, name, version).await {
                Ok(plan) => Arc::new(plan),
                // Somebody deleted it.
                Err(DefinitionError::Unknown { .. }) => continue,
                Err(error) => return Err(error),
            };
            self.know(Arc::clone(&plan));
            plans.push(plan);
        }
        Ok(plans)
    }

    /// The definition that a record follows.
    pub async fn plan_of(&self, record: &Record) -> Result<Arc<Plan>, DefinitionError> {
        self.plan(&record.saga_type, record.definition.version).await
    }

    /// The newest definition of a type that this process knows.
    pub fn newest(&self, name: &str) -> Option<Arc<Plan>> {
        let plans = self.inner.plans.read().unwrap_or_else(PoisonError::into_inner);
        let of_type = plans.range((name.to_owned(), 0)..=(name.to_owned(), u32::MAX));
        of_type.last().map(|(_, plan)| Arc::clone(plan))
    }

    /// A definition that this process knows.
    pub fn known(&self, name: &str, version: u32) -> Option<Arc<Plan>> {
        let plans = self.inner.plans.read().unwrap_or_else(PoisonError::into_inner);
        plans.get(&(name.to_owned(), version)).map(Arc::clone)
    }

    async fn definitions(&self) -> Result<kv::Store, DefinitionError> {
        self.inner.context.get_key_value(topology::DEFINITIONS).await.map_err(unavailable)
    }

    async fn load(
        &self,
        bucket: &kv::Store,
        name: &str,
        version: u32,
    ) -> Result<Plan, DefinitionError> {
        let json = bucket::written_once(bucket, &key(name, version)).await.map_err(unavailable)?;
        let json =
            json.ok_or_else(|| DefinitionError::Unknown { name: name.to_owned(), version })?;
        plan_of_json(&json)
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Engine").finish_non_exhaustive()
    }
}

fn key(name: &str, version: u32) -> String {
    format!("{name}.{version}")
}

fn plan_of_json(json: &[u8]) -> Result<Plan, DefinitionError> {
    let definition: Definition = serde_json::from_slice(json).map_err(unavailable)?;
    Ok(Plan::new(definition)?)
}

fn unavailable(error: impl std::fmt::Display) -> DefinitionError {
    DefinitionError::Unavailable { why: error.to_string() }
}

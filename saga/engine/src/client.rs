//! Starting sagas and reading them, for gateways and other callers.

use std::sync::Arc;
use std::time::Duration;

use saga_core::{Plan, Record, Refusal};
use serde_json::Value;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use crate::engine::{DefinitionError, Engine};
use crate::follow::{Follower, Hub};
use crate::log::advance::{self, AdvanceError, Advanced};
use crate::log::{NEWEST, ReadError, Stored, Trace};

/// Starts, reads and follows sagas of one type.
///
/// Clones share what follows the stream; it is set up when the first saga is followed.
#[derive(Debug, Clone)]
pub struct Sagas {
    engine: Engine,
    plan: Arc<Plan>,
    hub: Arc<OnceCell<Hub>>,
}

/// A saga that exists because of a start, this one or an earlier one of the same request.
#[derive(Debug, Clone, PartialEq)]
pub struct Started {
    /// The saga's state: right after its start, or further on when it is a repeat.
    pub stored: Stored,
    /// The saga existed already, started by the same request.
    pub replayed: bool,
}

/// Why a saga could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The id is taken by a saga that was started with another input.
    #[error("the saga {0} exists and was started by another request")]
    OtherRequest(String),
    /// Id or input are not acceptable.
    #[error(transparent)]
    Refused(Refusal),
    /// The stream did not take it, or did not say so: the same start may be repeated.
    #[error(transparent)]
    Log(AdvanceError),
}

impl Sagas {
    /// Sagas of the type that `plan` defines; new ones follow `plan`.
    pub fn new(engine: Engine, plan: Arc<Plan>) -> Self {
        engine.know(Arc::clone(&plan));
        Self { engine, plan, hub: Arc::default() }
    }

    /// Sagas of the type that `hub` follows. Without it a hub is started when the first saga is
    /// followed; this one was started, and can be stopped, by the caller.
    pub fn following(hub: Hub) -> Self {
        let mut sagas = Self::new(hub.engine().clone(), Arc::clone(hub.plan()));
        sagas.hub = Arc::new(OnceCell::new_with(Some(hub)));
        sagas
    }

    /// The definition that new sagas follow.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Starts a saga. Once it returns, the stream has acknowledged `started`. Repeating a start
    /// with the same id and input is answered like the first one.
    pub async fn start(&self, id: &str, input: Value, trace: Trace) -> Result<Started, StartError> {
        let record = Record::start(&self.plan, id, input).map_err(StartError::Refused)?;
        let request = record.request.clone();
        let log = self.engine.log().as_ref();
        let advanced = advance::start(log, &self.plan, record, trace).await;
        match advanced.map_err(StartError::Log)? {
            // An acknowledgement that was lost and found again counts as the first answer.
            Advanced::Appended(tail) => Ok(Started { stored: tail.stored, replayed: false }),
            Advanced::Moved(tail) if tail.stored.record.request == request => {
                Ok(Started { stored: tail.stored, replayed: true })
            }
            Advanced::Moved(_) => Err(StartError::OtherRequest(id.to_owned())),
            Advanced::Gone => {
                let why = "the saga was there and is gone".to_owned();
                Err(StartError::Log(AdvanceError::Unanswered(why)))
            }
        }
    }

    /// [`Sagas::start`], and follows the saga from its first event on. Cheaper than one after the
    /// other: nothing has to be read from the stream unless the start was a repeat.
    pub async fn start_and_follow(
        &self,
        id: &str,
        input: Value,
        trace: Trace,
    ) -> Result<(Started, Follower), StartError> {
        let hub = self.hub().await.map_err(|error| StartError::Log(error.into()))?;
        let follower = hub.expect(id);
        let started = self.start(id, input, trace).await?;
        let follower = if started.replayed { hub.follow(id, 0) } else { follower };
        Ok((started, follower))
    }

    /// The state of a saga as the stream's leader has it; `None`: there is none (any more).
    pub async fn get(&self, id: &str) -> Result<Option<Stored>, ReadError> {
        let tail = self.engine.log().last(&self.plan, id, NEWEST).await?;
        Ok(tail.map(|tail| tail.stored))
    }

    /// Every event of a saga that the stream still has; empty: there is none.
    pub async fn history(&self, id: &str) -> Result<Vec<Stored>, ReadError> {
        self.engine.log().history(&self.plan, id, NEWEST).await
    }

    /// The events of a saga after sequence `after` (0: all), as they happen; see [`Hub::follow`].
    pub async fn follow(&self, id: &str, after: u64) -> Result<Follower, ReadError> {
        Ok(self.hub().await?.follow(id, after))
    }

    /// Waits for the end of a saga; `None` when it has none by `limit`, or there is no such saga.
    pub async fn wait_for_end(
        &self,
        id: &str,
        limit: Duration,
    ) -> Result<Option<Stored>, ReadError> {
        self.hub().await?.wait_for_end(id, limit).await
    }

    async fn hub(&self) -> Result<&Hub, ReadError> {
        // Nobody cancels this: the hub ends with its last clone and its last follower.
        let stop = CancellationToken::new();
        let start = || Hub::start(self.engine.clone(), Arc::clone(&self.plan), &stop);
        self.hub.get_or_try_init(start).await
    }

    /// The definition that a record follows.
    pub async fn plan_of(&self, record: &Record) -> Result<Arc<Plan>, DefinitionError> {
        self.engine.plan_of(record).await
    }
}

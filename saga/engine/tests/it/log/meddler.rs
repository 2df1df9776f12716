//! A log that loses requests and answers, and lets rivals in, by a script.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use saga_core::{Event, Plan};
use saga_engine::log::advance::advance;
use saga_engine::log::{Append, AppendError, NEWEST, ReadError};
use saga_engine::{Log, Stored, Tail};

use super::bed::{Bed, appended};

/// What happens to one publish.
#[derive(Debug, Clone)]
pub(super) enum Fate {
    /// It never arrives, and nobody says so.
    RequestLost,
    /// It is stored, and nobody says so.
    AnswerLost,
    /// The same, and somebody moves the saga on before anybody looks.
    AnswerLostThen(Event),
    /// Somebody is faster.
    After(Event),
    /// The server says that another append is in flight.
    InFlight,
    /// It does so because of this one, which is stored.
    InFlightOf(Event),
    /// The server refuses it.
    Refused,
}

/// Comes between a writer and the log of a [`Bed`].
pub(super) struct Meddler {
    log: Arc<dyn Log>,
    script: Mutex<VecDeque<Fate>>,
    always: Option<Fate>,
    published: Mutex<Vec<Append>>,
}

impl Meddler {
    /// Each publish meets the next fate; those after the last one pass.
    pub(super) fn once(bed: &Bed, script: impl Into<VecDeque<Fate>>) -> Arc<Self> {
        let (log, script) = (Arc::clone(&bed.log), Mutex::new(script.into()));
        Arc::new(Self { log, script, always: None, published: Mutex::default() })
    }

    /// Every publish meets this fate.
    pub(super) fn always(bed: &Bed, fate: Fate) -> Arc<Self> {
        let (log, script) = (Arc::clone(&bed.log), Mutex::default());
        Arc::new(Self { log, script, always: Some(fate), published: Mutex::default() })
    }

    /// Everything that was published, also what never arrived.
    pub(super) fn published(&self) -> Vec<Append> {
        self.published.lock().unwrap().clone()
    }

    async fn store(&self, plan: &Plan, append: &Append) -> Result<u64, AppendError> {
        // The stream's own patience is not what is tested here.
        let log = Arc::clone(&self.log);
        Bed::new(log).try_put(plan, append).await
    }

    async fn rival(&self, plan: &Plan, id: &str, event: &Event) {
        let tail = self.log.last(plan, id, NEWEST).await.unwrap().unwrap();
        appended(advance(self.log.as_ref(), plan, &tail, event.clone()).await.unwrap());
    }
}

#[async_trait]
impl Log for Meddler {
    async fn append(&self, plan: &Plan, append: &Append) -> Result<u64, AppendError> {
        self.published.lock().unwrap().push(append.clone());
        let next = self.script.lock().unwrap().pop_front();
        let (id, lost) = (append.record.id.as_str(), || AppendError::Unanswered("lost".to_owned()));
        match next.or_else(|| self.always.clone()) {
            None => self.store(plan, append).await,
            Some(Fate::RequestLost) => Err(lost()),
            Some(Fate::InFlight) => Err(AppendError::InFlight),
            Some(Fate::Refused) => Err(AppendError::Refused("it may not".to_owned())),
            Some(Fate::AnswerLost) => match self.store(plan, append).await {
                Ok(_) => Err(lost()),
                refused => refused,
            },
            Some(Fate::AnswerLostThen(event)) => {
                self.store(plan, append).await?;
                self.rival(plan, id, &event).await;
                Err(lost())
            }
            Some(Fate::After(event)) => {
                self.rival(plan, id, &event).await;
                self.store(plan, append).await
            }
            Some(Fate::InFlightOf(event)) => {
                self.rival(plan, id, &event).await;
                Err(AppendError::InFlight)
            }
        }
    }

    async fn last(&self, plan: &Plan, id: &str, at_least: u64) -> Result<Option<Tail>, ReadError> {
        self.log.last(plan, id, at_least).await
    }

    async fn history(
        &self,
        plan: &Plan,
        id: &str,
        at_least: u64,
    ) -> Result<Vec<Stored>, ReadError> {
        self.log.history(plan, id, at_least).await
    }
}

//! A log in memory: the stream's guarantees without a server.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use saga_core::{Plan, subject};

use crate::log::{Append, AppendError, Log, ReadError, Stored, Tail};

/// The log of all sagas in memory. Clones share it.
#[derive(Clone)]
pub struct MemoryLog {
    messages: Arc<Mutex<Vec<(String, Stored)>>>,
    clock: Arc<dyn Fn() -> i64 + Send + Sync>,
}

impl MemoryLog {
    /// An empty log, whose messages are stored at the time that `clock` says: milliseconds since
    /// the epoch.
    pub fn new(clock: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        Self { messages: Arc::default(), clock: Arc::new(clock) }
    }

    /// The messages of one saga after a sequence that a consumer with these filters is delivered.
    pub fn delivered(&self, id: &str, after: u64, filters: &[String]) -> Vec<Stored> {
        let messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        let is_wanted = |(subject, stored): &&(String, Stored)| {
            stored.record.id == id
                && stored.sequence > after
                && filters.iter().any(|filter| subject::matches(filter, subject))
        };
        messages.iter().filter(is_wanted).map(|(_, stored)| stored.clone()).collect()
    }
}

#[async_trait]
impl Log for MemoryLog {
    async fn append(&self, plan: &Plan, append: &Append) -> Result<u64, AppendError> {
        let record = append.record.clone();
        let token = subject::type_token(plan.name(), plan.shard(&record.id));
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |stored: &&Stored| {
            stored.record.id == record.id && stored.record.saga_type == record.saga_type
        };
        let last = messages.iter().rev().map(|(_, stored)| stored).find(same);
        if last.map_or(0, |stored| stored.sequence) != append.expected {
            return Err(AppendError::Conflict);
        }
        let sequence = u64::try_from(messages.len()).unwrap_or(u64::MAX).saturating_add(1);
        let stored = Stored {
            sequence,
            at_ms: (self.clock)(),
            append_id: Some(append.append_id.clone()),
            trace: append.trace.clone(),
            record,
        };
        messages.push((subject::of(&token, &stored.record), stored));
        Ok(sequence)
    }

    async fn last(&self, plan: &Plan, id: &str, _at_least: u64) -> Result<Option<Tail>, ReadError> {
        let messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        let last = messages.iter().rev().map(|(_, stored)| stored);
        let mut same =
            last.filter(|stored| stored.record.id == id && stored.record.saga_type == plan.name());
        Ok(same.next().cloned().map(Tail::from))
    }

    async fn history(
        &self,
        plan: &Plan,
        id: &str,
        _at_least: u64,
    ) -> Result<Vec<Stored>, ReadError> {
        let messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        let same =
            |stored: &&Stored| stored.record.id == id && stored.record.saga_type == plan.name();
        Ok(messages.iter().map(|(_, stored)| stored).filter(same).cloned().collect())
    }
}

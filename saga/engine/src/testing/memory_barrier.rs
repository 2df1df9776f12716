//! A barrier in memory, which remembers the work that was committed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use saga_core::barrier::{Key, Row};

use crate::barrier::{Barrier, Change, CommitError};

/// Barrier rows in memory. Clones share them.
#[derive(Debug)]
pub struct MemoryBarrier<W = ()> {
    state: Arc<Mutex<State<W>>>,
}

#[derive(Debug)]
struct State<W> {
    rows: BTreeMap<Key, Row>,
    works: Vec<(Key, W)>,
}

impl<W> Default for MemoryBarrier<W> {
    fn default() -> Self {
        let state = State { rows: BTreeMap::new(), works: Vec::new() };
        Self { state: Arc::new(Mutex::new(state)) }
    }
}

impl<W> Clone for MemoryBarrier<W> {
    fn clone(&self) -> Self {
        Self { state: Arc::clone(&self.state) }
    }
}

impl<W: Clone> MemoryBarrier<W> {
    /// Every work that was committed, in order, with the key of the row it came with.
    pub fn works(&self) -> Vec<(Key, W)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).works.clone()
    }

    /// A row.
    pub fn row(&self, key: &Key) -> Option<Row> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).rows.get(key).cloned()
    }
}

impl<W: Send + Sync + 'static> Barrier for MemoryBarrier<W> {
    type Work = W;

    async fn read(&self, keys: &[Key]) -> Result<Vec<Option<Row>>, CommitError> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(keys.iter().map(|key| state.rows.get(key).cloned()).collect())
    }

    async fn commit(&self, changes: Vec<Change<W>>) -> Vec<Result<(), CommitError>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let commit = |change: Change<W>| {
            if state.rows.get(&change.key) != change.seen.as_ref() {
                return Err(CommitError::Raced);
            }
            state.rows.insert(change.key.clone(), change.row);
            state.works.push((change.key, change.work));
            Ok(())
        };
        changes.into_iter().map(commit).collect()
    }
}

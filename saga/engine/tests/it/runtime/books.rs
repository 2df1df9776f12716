//! A service's database: it remembers what was committed.

use saga_core::barrier::{Key, Row};
use saga_engine::testing::MemoryBarrier;
use saga_engine::{Barrier, Change, CommitError};

/// The business change that a step asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Entry {
    /// None.
    #[default]
    Nothing,
    /// A step was run.
    Did,
    /// A step was undone.
    Undid,
}

/// Clones are the same database: it survives the participant that writes it.
#[derive(Clone, Default)]
pub(super) struct Books {
    store: MemoryBarrier<Entry>,
}

impl Books {
    /// Every entry that was committed, as (saga id, step, entry), sorted.
    pub(super) fn entries(&self) -> Vec<(String, String, Entry)> {
        let works = self.store.works().into_iter();
        let real = works.filter(|(_, entry)| *entry != Entry::Nothing);
        let mut entries: Vec<_> = real.map(|(key, entry)| (key.id, key.step, entry)).collect();
        entries.sort();
        entries
    }

    /// The entries of one saga, in the order in which they were committed.
    pub(super) fn of(&self, id: &str) -> Vec<(String, Entry)> {
        let works = self.store.works().into_iter();
        let own = works.filter(|(key, entry)| key.id == id && *entry != Entry::Nothing);
        own.map(|(key, entry)| (key.step, entry)).collect()
    }
}

impl Barrier for Books {
    type Work = Entry;

    async fn read(&self, keys: &[Key]) -> Result<Vec<Option<Row>>, CommitError> {
        self.store.read(keys).await
    }

    async fn commit(&self, changes: Vec<Change<Entry>>) -> Vec<Result<(), CommitError>> {
        self.store.commit(changes).await
    }
}

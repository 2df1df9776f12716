//! A service's database: it remembers what was committed, how, and can be in trouble.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use saga_core::Status;
use saga_core::barrier::{Key, Row};
use saga_engine::testing::MemoryBarrier;
use saga_engine::{Barrier, Change, CommitError};
use tokio::sync::watch;

/// The business change that a step or a mirror asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Entry {
    /// None.
    #[default]
    Nothing,
    /// A step was run.
    Did,
    /// A step was undone.
    Undid,
    /// An ending was mirrored.
    Saw(Status),
}

/// What is wrong with one commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    Raced,
    Refused,
    Unavailable,
}

/// Clones are the same database: it survives the participant that writes it.
#[derive(Clone)]
pub(crate) struct Books {
    store: MemoryBarrier<Entry>,
    /// The ids of every transaction, in order.
    transactions: Arc<Mutex<Vec<Vec<String>>>>,
    /// By saga id: what its next commits meet, first to last.
    troubles: Arc<Mutex<BTreeMap<String, Vec<Trouble>>>>,
    open: Arc<watch::Sender<bool>>,
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Default for Books {
    fn default() -> Self {
        Self {
            store: MemoryBarrier::default(),
            transactions: Arc::default(),
            troubles: Arc::default(),
            open: Arc::new(watch::Sender::new(true)),
            now: Arc::default(),
            most: Arc::default(),
        }
    }
}

impl Books {
    /// Every entry that was committed, as (saga id, step, entry), sorted.
    pub(crate) fn entries(&self) -> Vec<(String, String, Entry)> {
        let works = self.store.works().into_iter();
        let real = works.filter(|(_, entry)| *entry != Entry::Nothing);
        let mut entries: Vec<_> = real.map(|(key, entry)| (key.id, key.step, entry)).collect();
        entries.sort();
        entries
    }

    /// The entries of one saga, in the order in which they were committed.
    pub(crate) fn of(&self, id: &str) -> Vec<(String, Entry)> {
        let works = self.store.works().into_iter();
        let own = works.filter(|(key, entry)| key.id == id && *entry != Entry::Nothing);
        own.map(|(key, entry)| (key.step, entry)).collect()
    }

    /// The barrier row of a step of the saga type `trip`.
    pub(crate) fn row(&self, id: &str, step: &str) -> Option<Row> {
        self.store.row(&Key::new("trip", id, step))
    }

    pub(crate) fn transactions(&self) -> Vec<Vec<String>> {
        self.transactions.lock().unwrap().clone()
    }

    /// The next commits of this saga meet these troubles.
    pub(crate) fn trouble(&self, id: &str, troubles: &[Trouble]) {
        self.troubles.lock().unwrap().insert(id.to_owned(), troubles.to_vec());
    }

    /// From now on transactions wait until [`Books::open`].
    pub(crate) fn close(&self) {
        self.open.send_replace(false);
    }

    pub(crate) fn open(&self) {
        self.open.send_replace(true);
    }

    /// Most transactions that were under way at once.
    pub(crate) fn most_at_once(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }

    fn next_trouble(&self, key: &Key) -> Option<CommitError> {
        let mut troubles = self.troubles.lock().unwrap();
        let left = troubles.get_mut(&key.id).filter(|left| !left.is_empty())?;
        Some(match left.remove(0) {
            Trouble::Raced => CommitError::Raced,
            Trouble::Refused => CommitError::Refused("a test said so".to_owned()),
            Trouble::Unavailable => CommitError::Unavailable("a test said so".to_owned()),
        })
    }
}

impl Barrier for Books {
    type Work = Entry;

    async fn read(&self, keys: &[Key]) -> Result<Vec<Option<Row>>, CommitError> {
        self.store.read(keys).await
    }

    async fn commit(&self, changes: Vec<Change<Entry>>) -> Vec<Result<(), CommitError>> {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        let ids = changes.iter().map(|change| change.key.id.clone()).collect();
        self.transactions.lock().unwrap().push(ids);
        self.open.subscribe().wait_for(|&is_open| is_open).await.unwrap();
        let mut results = Vec::with_capacity(changes.len());
        for change in changes {
            match self.next_trouble(&change.key) {
                Some(error) => results.push(Err(error)),
                None => results.extend(self.store.commit(vec![change]).await),
            }
        }
        self.now.fetch_sub(1, Ordering::SeqCst);
        results
    }
}

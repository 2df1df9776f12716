//! The barrier as a port: what a participant's database offers the engine.
//!
//! What a row means is decided by [`saga_core::barrier`], which is pure. A store only reads rows
//! and commits changes, and **each change holds only if its row still is as it was read**.

use std::future::Future;

use saga_core::barrier::{Key, Row};

/// A row to be written, and the business change that is committed with it or not at all.
#[derive(Debug, Clone, PartialEq)]
pub struct Change<W> {
    /// Which row.
    pub key: Key,
    /// The row as it was read; `None`: there was none. If it is anything else by now, the change
    /// does not hold: [`CommitError::Raced`].
    pub seen: Option<Row>,
    /// The row to be.
    pub row: Row,
    /// The business change, in the store's own terms.
    pub work: W,
}

/// Why a change was not committed. In every case nothing of it remains.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The row, or something that the work was decided on, is not as it was read. Read again.
    #[error("somebody else changed what this was decided on")]
    Raced,
    /// The work itself is wrong: it would fail again and again.
    #[error("the store refused the change: {0}")]
    Refused(String),
    /// The store cannot be reached, or is too busy. Try again later.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
}

/// A participant's store of barrier rows.
pub trait Barrier: Send + Sync + 'static {
    /// A business change that this store commits together with a row.
    type Work: Send + Sync + 'static;

    /// Reads rows; the answer has one entry per key, in their order.
    ///
    /// # Errors
    /// [`CommitError::Unavailable`] when the store cannot answer.
    fn read(
        &self,
        keys: &[Key],
    ) -> impl Future<Output = Result<Vec<Option<Row>>, CommitError>> + Send;

    /// Commits changes; the answer has one entry per change, in their order. A store may commit
    /// many in one transaction, but one that fails must not keep the others from being committed.
    fn commit(
        &self,
        changes: Vec<Change<Self::Work>>,
    ) -> impl Future<Output = Vec<Result<(), CommitError>>> + Send;
}

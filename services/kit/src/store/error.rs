//! What a failed statement means for its caller.

use surrealdb::Error as Cause;
use surrealdb::types::QueryError;

/// Why a statement or transaction failed. Nothing of it remains, except where said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Another transaction came first; it may be tried again.
    #[error("another transaction came first, again and again")]
    Conflict,
    /// A record of this id, or a value of a unique index, exists.
    #[error("it exists already: {0}")]
    Duplicate(String),
    /// The statements themselves said no, by `THROW`.
    #[error("the statements refused: {0}")]
    Thrown(String),
    /// The commit may or may not have happened: read again before anything else.
    #[error("nobody knows whether the transaction was committed: {0}")]
    Indeterminate(String),
    /// The database does not answer.
    #[error("the database does not answer: {0}")]
    Unavailable(String),
    /// The statements are wrong: they would fail again.
    #[error("the statements are wrong: {0}")]
    Wrong(String),
    /// What came back is not of the expected shape.
    #[error("the database answered in another shape: {0}")]
    Shape(String),
    /// A value that does not survive the database was to be written.
    #[error("{0}: only integers of 64 bits with a sign, and no fractions, can be stored")]
    Number(String),
    /// The database could not be opened.
    #[error("the database at {url} cannot be opened: {why}. {remedy}")]
    Open {
        /// Where it is.
        url: String,
        /// What the database says.
        why: String,
        /// What to do about it.
        remedy: &'static str,
    },
    /// A migration that was applied reads otherwise now.
    #[error("migration {0} was applied with another text; add a new migration instead")]
    Migration(String),
}

impl Error {
    /// What one error means.
    pub(super) fn of(error: &Cause) -> Self {
        let text = error.to_string();
        if matches!(error.query_details(), Some(QueryError::TransactionConflict))
            || text.contains("can be retried")
        {
            Self::Conflict
        } else if error.already_exists_details().is_some() || text.contains("already contains") {
            Self::Duplicate(text)
        } else if text.contains("commit outcome is unknown") {
            Self::Indeterminate(text)
        } else if error.is_thrown() {
            Self::Thrown(text)
        } else if error.is_connection() {
            Self::Unavailable(text)
        } else {
            Self::Wrong(text)
        }
    }

    /// What the errors of one transaction mean: the one that says why, among those that only say
    /// that the others were not executed.
    pub(super) fn of_all<'a>(errors: impl Iterator<Item = &'a Cause>) -> Self {
        let rank = |error: &Self| match error {
            Self::Indeterminate(_) => 0,
            Self::Thrown(_) => 1,
            Self::Duplicate(_) => 2,
            Self::Conflict => 3,
            Self::Unavailable(_) => 4,
            _ => 5,
        };
        let meanings = errors.filter(|error| !is_not_executed(error)).map(Self::of);
        let unknown = || Self::Wrong("no statement was executed".to_owned());
        meanings.min_by_key(rank).unwrap_or_else(unknown)
    }
}

fn is_not_executed(error: &Cause) -> bool {
    // One says that it was not run at all, the other that it was undone with the transaction.
    matches!(error.query_details(), Some(QueryError::NotExecuted | QueryError::Cancelled))
}

//! The barrier of a participant without a database: one key per step in a key-value bucket.

use async_nats::jetstream::kv;
use futures::future::join_all;
use saga_core::barrier::{Key, Row};

use crate::barrier::{Barrier, Change, CommitError};
use crate::bucket::{WriteError, newest, write};
use crate::engine::Engine;
use crate::topology;

/// Barrier rows in the bucket [`topology::BARRIER`], key `<type>.<id>.<step>`.
///
/// There is no work to commit with a row: steps either call somebody else
/// ([`crate::Step::outside`]) or have no effect but their output. Rows stay as long as the bucket
/// keeps them: give it no age shorter than a saga's retention.
#[derive(Debug, Clone)]
pub struct KvBarrier {
    bucket: kv::Store,
}

impl KvBarrier {
    /// Opens the bucket.
    ///
    /// # Errors
    /// [`CommitError::Unavailable`] when it does not answer, or was not made by the topology.
    pub async fn open(engine: &Engine) -> Result<Self, CommitError> {
        let bucket = engine.jetstream().get_key_value(topology::BARRIER).await;
        Ok(Self { bucket: bucket.map_err(unavailable)? })
    }

    /// The row of a key and its revision; revision 0: there is none.
    async fn entry(&self, key: &Key) -> Result<(Option<Row>, u64), CommitError> {
        let key = key.effect_id();
        let entry = newest(&self.bucket, &key).await.map_err(unavailable)?;
        let Some(json) = entry.value else { return Ok((None, entry.revision)) };
        let row = serde_json::from_slice(&json);
        let row = row.map_err(|error| CommitError::Refused(format!("{key}: {error}")))?;
        Ok((Some(row), entry.revision))
    }

    async fn put(&self, change: Change<()>) -> Result<(), CommitError> {
        let json = serde_json::to_vec(&change.row);
        let json = json.map_err(|error| CommitError::Refused(error.to_string()))?;
        let key = change.key.effect_id();
        if change.seen.is_none() {
            // Nothing was there: no need to look again, revision 0 says whether that still holds.
            match write(&self.bucket, &key, json.clone().into(), 0).await {
                Ok(()) => return Ok(()),
                Err(WriteError::Raced) => {}
                Err(error) => return Err(unavailable(error)),
            }
        }
        // Otherwise, and after a key was deleted, the revision is that of the row as it was read.
        let (row, revision) = self.entry(&change.key).await?;
        if row != change.seen {
            return Err(CommitError::Raced);
        }
        write(&self.bucket, &key, json.into(), revision).await.map_err(|error| match error {
            WriteError::Raced => CommitError::Raced,
            WriteError::Unavailable(why) => CommitError::Unavailable(why),
        })
    }
}

impl Barrier for KvBarrier {
    type Work = ();

    async fn read(&self, keys: &[Key]) -> Result<Vec<Option<Row>>, CommitError> {
        let rows = join_all(keys.iter().map(|key| self.entry(key))).await;
        rows.into_iter().map(|found| found.map(|(row, _)| row)).collect()
    }

    async fn commit(&self, changes: Vec<Change<()>>) -> Vec<Result<(), CommitError>> {
        join_all(changes.into_iter().map(|change| self.put(change))).await
    }
}

fn unavailable(error: impl std::fmt::Display) -> CommitError {
    CommitError::Unavailable(error.to_string())
}

//! Entries of key-value buckets, on a cluster as on one server.
//!
//! The client's own `get` may be answered by a replica that lags behind: it may miss an entry whose
//! writing was acknowledged, or have an older one. Here the bucket's leader is asked. And where two
//! write an entry at the same moment, a bucket with replicas may refuse one of them because the
//! other one's write is still in flight, which is a race like any other here.

use std::error::Error as _;
use std::time::Duration;

use async_nats::jetstream::stream::{LastRawMessageError, LastRawMessageErrorKind};
use async_nats::jetstream::{self, ErrorCode, kv};
use bytes::Bytes;
use futures::TryStreamExt as _;

/// How often an entry is tried to be written while somebody else's write of it is in flight.
const TRIES: u32 = 10;
/// Pause between two tries; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(2);

/// What a bucket has under a key.
#[derive(Debug, Default)]
pub(crate) struct Entry {
    /// The value; `None`: nobody wrote one, or somebody deleted it.
    pub(crate) value: Option<Bytes>,
    /// What a change of it expects; 0: nobody ever wrote one.
    pub(crate) revision: u64,
}

/// The entry of a key as the bucket's leader has it.
pub(crate) async fn newest(bucket: &kv::Store, key: &str) -> Result<Entry, LastRawMessageError> {
    let subject = format!("{}{key}", bucket.prefix);
    let message = match bucket.stream.get_last_raw_message_by_subject(&subject).await {
        Ok(message) => message,
        Err(error) if is_no_message(&error) => return Ok(Entry::default()),
        Err(error) => return Err(error),
    };
    // A deletion is a message without a payload; no entry of ours is empty.
    let value = Some(message.payload).filter(|payload| !payload.is_empty());
    Ok(Entry { value, revision: message.sequence })
}

/// The value of a key that is written once: whichever replica has one has the right one, and only
/// that there is none is for the leader to say.
pub(crate) async fn written_once(bucket: &kv::Store, key: &str) -> Result<Option<Bytes>, String> {
    match bucket.get(key).await {
        Ok(Some(value)) => Ok(Some(value)),
        Ok(None) => {
            let entry = newest(bucket, key).await.map_err(|error| error.to_string())?;
            Ok(entry.value)
        }
        Err(error) => Err(error.to_string()),
    }
}

/// Why an entry was not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// It is not as it was read. Read again.
    #[error("somebody else changed the entry")]
    Raced,
    /// The bucket does not answer, or refuses; it may have been written.
    #[error("{0}")]
    Unavailable(String),
}

/// Writes an entry whose revision is the one that was read (0: there was none).
pub(crate) async fn write(
    bucket: &kv::Store,
    key: &str,
    value: Bytes,
    revision: u64,
) -> Result<(), WriteError> {
    let mut pause = FIRST_PAUSE;
    for _ in 0..TRIES {
        let Err(error) = bucket.update(key, value.clone(), revision).await else { return Ok(()) };
        if error.kind() == kv::UpdateErrorKind::WrongLastRevision {
            return Err(WriteError::Raced);
        }
        if !is_in_flight(&error) {
            return Err(WriteError::Unavailable(error.to_string()));
        }
        // Somebody else's write is not stored yet, and may never be if the leader changes: the
        // server tells nobody which, so there is nothing to wait for but time. Soon it is stored,
        // and this one has lost, or it is gone.
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    Err(WriteError::Unavailable(format!("{key} is being written by others all the time")))
}

fn is_in_flight(error: &kv::UpdateError) -> bool {
    let publish = error.source().and_then(|source| source.source());
    let server = publish.and_then(|source| source.downcast_ref::<jetstream::Error>());
    server.is_some_and(|it| it.error_code() == ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT)
}

/// Writes an entry unless there is one: then that is answered.
pub(crate) async fn create(
    bucket: &kv::Store,
    key: &str,
    value: Bytes,
) -> Result<Option<Bytes>, String> {
    let mut revision = 0;
    loop {
        match write(bucket, key, value.clone(), revision).await {
            Ok(()) => return Ok(None),
            Err(WriteError::Raced) => {}
            Err(WriteError::Unavailable(why)) => return Err(why),
        }
        let there = newest(bucket, key).await.map_err(|error| error.to_string())?;
        if there.value.is_some() {
            return Ok(there.value);
        }
        // Somebody deleted it: it is written over the deletion.
        revision = there.revision;
    }
}

/// The keys of a bucket, in their order, as its leader has them; a key that was deleted may be among
/// them.
pub(crate) async fn keys(bucket: &kv::Store) -> Result<Vec<String>, String> {
    let filter = format!("{}>", bucket.prefix);
    let subjects = bucket.stream.info_with_subjects(filter).await;
    let subjects = subjects.map_err(|error| error.to_string())?;
    let key = |(subject, _): (String, usize)| {
        subject.strip_prefix(&bucket.prefix).map(str::to_owned).unwrap_or_default()
    };
    let mut keys: Vec<String> =
        subjects.map_ok(key).try_collect().await.map_err(|error| error.to_string())?;
    keys.sort();
    Ok(keys)
}

/// Whether a leader says that it has no message under a subject.
pub(crate) fn is_no_message(error: &LastRawMessageError) -> bool {
    use LastRawMessageErrorKind as Kind;
    match error.kind() {
        Kind::NoMessageFound => true,
        Kind::JetStream(error) => error.error_code() == ErrorCode::NO_MESSAGE_FOUND,
        _ => false,
    }
}

//! Entries of key-value buckets, read so that what was answered once is not forgotten.
//!
//! The client's own `get` may be answered by a replica that lags behind: it may miss an entry whose
//! writing was acknowledged, or have an older one. Here the bucket's leader is asked.

use async_nats::jetstream::stream::{LastRawMessageError, LastRawMessageErrorKind};
use async_nats::jetstream::{ErrorCode, kv};
use bytes::Bytes;
use futures::TryStreamExt as _;

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

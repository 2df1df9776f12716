//! Messages that nobody can act on: kept with their cause, so that their neighbours go on.

use async_nats::HeaderMap;
use async_nats::jetstream;
use saga_core::subject::dead;

/// Why the message is here: a short code.
pub const CODE: &str = "Saga-Dead-Code";
/// Why the message is here: for people, one line.
pub const CAUSE: &str = "Saga-Dead-Cause";
/// The subject that the message had.
pub const SUBJECT: &str = "Saga-Dead-Subject";
/// The stream that it was read from.
pub const STREAM: &str = "Saga-Dead-Stream";
/// Its sequence in that stream.
pub const SEQUENCE: &str = "Saga-Dead-Sequence";
/// The consumer that delivered it.
pub const CONSUMER: &str = "Saga-Dead-Consumer";

/// The payload is not a record.
pub const UNREADABLE: &str = "unreadable";
/// The record has a form of a later version.
pub const FUTURE_VERSION: &str = "future_version";
/// The subject does not say what the record says.
pub const OTHER_SUBJECT: &str = "other_subject";

/// Why a dead letter could not be put down: its message comes again.
#[derive(Debug, thiserror::Error)]
#[error("the dead letter was not stored: {0}")]
pub struct NotStored(String);

/// Puts a message, as it came, to the dead letters, with its cause in the headers. Putting the same
/// message there again within the stream's window of duplicates stores it once.
///
/// # Errors
/// When the stream of dead letters does not take it.
pub async fn put(
    context: &jetstream::Context,
    message: &async_nats::Message,
    origin: &Origin<'_>,
    code: &str,
    cause: &str,
) -> Result<(), NotStored> {
    let sequence = origin.sequence.to_string();
    let mut headers = HeaderMap::new();
    headers.insert(CODE, code);
    headers.insert(CAUSE, one_line(cause).as_str());
    headers.insert(SUBJECT, message.subject.as_str());
    headers.insert(STREAM, origin.stream);
    headers.insert(SEQUENCE, sequence.as_str());
    headers.insert(CONSUMER, origin.consumer);
    let id = format!("{}.{sequence}.{}", origin.stream, origin.consumer);
    headers.insert(async_nats::header::NATS_MESSAGE_ID, id.as_str());
    let subject = dead::subject(origin.stream, origin.consumer);
    let not_stored = |error: jetstream::context::PublishError| NotStored(error.to_string());
    let publish = context.publish_with_headers(subject, headers, message.payload.clone());
    publish.await.map_err(not_stored)?.await.map_err(not_stored)?;
    Ok(())
}

/// Where a message came from.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// The stream.
    pub stream: &'a str,
    /// The consumer.
    pub consumer: &'a str,
    /// The sequence in the stream.
    pub sequence: u64,
}

/// Headers are lines.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(1_000).collect()
}

//! The log on JetStream.

use std::error::Error as _;
use std::time::Duration;

use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::{PublishMessage, StreamMessage};
use async_nats::jetstream::{self, ErrorCode};
use async_nats::{Client, HeaderMap, StatusCode};
use async_trait::async_trait;
use futures::StreamExt as _;
use saga_core::record::Unreadable;
use saga_core::subject::{self, header};
use saga_core::{Plan, Record};

use super::{Append, AppendError, Log, ReadError, Stored, Tail, Trace};

/// How long one publish or one read may take before it counts as unanswered.
const ANSWER: Duration = Duration::from_secs(5);
/// How often a read that a lagging replica answered is tried again.
const STALE_READS: u32 = 20;
/// Pause between such reads.
const STALE_PAUSE: Duration = Duration::from_millis(25);

/// The log of sagas in JetStream: one stream per saga type, or per shard of one.
#[derive(Debug, Clone)]
pub struct JetStreamLog {
    client: Client,
    context: jetstream::Context,
}

impl JetStreamLog {
    /// A log over a connection. Streams are made by the topology, not here.
    pub fn new(client: Client) -> Self {
        let context = jetstream::ContextBuilder::new().timeout(ANSWER).build(client.clone());
        Self { client, context }
    }

    /// Every message of a saga that one replica has, in stream order, in one request.
    async fn messages(&self, stream: &str, filter: &str) -> Result<Vec<StreamMessage>, ReadError> {
        let inbox = self.client.new_inbox();
        let mut answers = self.client.subscribe(inbox.clone()).await.map_err(unavailable)?;
        let request = serde_json::json!({ "multi_last": [filter] }).to_string();
        let subject = format!("$JS.API.DIRECT.GET.{stream}");
        self.client
            .publish_with_reply(subject, inbox, request.into())
            .await
            .map_err(unavailable)?;
        let mut found = Vec::new();
        loop {
            let answer = tokio::time::timeout(ANSWER, answers.next())
                .await
                .map_err(|_elapsed| no_answer(stream))?
                .ok_or_else(|| no_answer(stream))?;
            match answer.status {
                None | Some(StatusCode::OK) => found.push(answer.try_into().map_err(unavailable)?),
                // 204 ends the batch, 404 says that there is none.
                Some(status) if status.as_u16() == 204 || status.as_u16() == 404 => {
                    return Ok(found);
                }
                Some(status) => {
                    let why = answer.description.unwrap_or_default();
                    return Err(ReadError::Unavailable(format!("{stream}: {status} {why}")));
                }
            }
        }
    }

    /// Sequence of a saga's last message according to the stream's leader; 0: there is none.
    async fn leader_sequence(&self, stream: &str, filter: &str) -> Result<u64, ReadError> {
        let stream = self.context.get_stream_no_info(stream).await.map_err(unavailable)?;
        match stream.get_last_raw_message_by_subject(filter).await {
            Ok(message) => Ok(message.sequence),
            Err(error) if is_no_message(&error) => Ok(0),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// The accepted events of a saga, and the sequence of its last message.
    async fn chain(
        &self,
        plan: &Plan,
        id: &str,
        at_least: u64,
    ) -> Result<(Vec<Stored>, u64), ReadError> {
        let shard = plan.shard(id);
        let stream = subject::stream(plan.name(), shard);
        let filter = subject::filter(&subject::type_token(plan.name(), shard), id);
        let mut needed = at_least;
        for read in 0..STALE_READS {
            let messages = self.messages(&stream, &filter).await?;
            let last = messages.last().map_or(0, |message| message.sequence);
            if last >= needed {
                return Ok((accepted(&messages)?, last));
            }
            if read == 0 {
                // Either a replica lags behind, or retention took the saga: the leader knows.
                needed = self.leader_sequence(&stream, &filter).await?;
                if needed == last {
                    return Ok((accepted(&messages)?, last));
                }
            }
            tokio::time::sleep(STALE_PAUSE).await;
        }
        let why = format!("{stream}: no replica has {filter} up to sequence {needed} yet");
        Err(ReadError::Unavailable(why))
    }
}

#[async_trait]
impl Log for JetStreamLog {
    async fn append(&self, plan: &Plan, append: &Append) -> Result<u64, AppendError> {
        let record = &append.record;
        let shard = plan.shard(&record.id);
        let token = subject::type_token(plan.name(), shard);
        let stream = subject::stream(plan.name(), shard);
        let message = PublishMessage::build().payload(record.to_json().into()).headers(headers(
            append,
            &subject::filter(&token, &record.id),
            &stream,
        ));
        let subject = subject::of(&token, record);
        let publish =
            self.context.send_publish(subject, message).await.map_err(|error| refused(&error))?;
        publish.await.map(|acknowledged| acknowledged.sequence).map_err(|error| refused(&error))
    }

    async fn last(&self, plan: &Plan, id: &str, at_least: u64) -> Result<Option<Tail>, ReadError> {
        let (mut accepted, last_sequence) = self.chain(plan, id, at_least).await?;
        Ok(accepted.pop().map(|stored| Tail { stored, last_sequence }))
    }

    async fn history(
        &self,
        plan: &Plan,
        id: &str,
        at_least: u64,
    ) -> Result<Vec<Stored>, ReadError> {
        Ok(self.chain(plan, id, at_least).await?.0)
    }
}

fn headers(append: &Append, filter: &str, stream: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::EXPECTED_SEQUENCE, append.expected.to_string());
    headers.insert(header::EXPECTED_FILTER, filter);
    headers.insert(header::EXPECTED_STREAM, stream);
    headers.insert(header::APPEND, append.append_id.as_str());
    if let Some(parent) = &append.trace.parent {
        headers.insert(header::TRACEPARENT, parent.as_str());
    }
    if let Some(state) = &append.trace.state {
        headers.insert(header::TRACESTATE, state.as_str());
    }
    headers
}

fn refused(error: &jetstream::context::PublishError) -> AppendError {
    let server = error.source().and_then(|source| source.downcast_ref::<jetstream::Error>());
    match (error.kind(), server) {
        (PublishErrorKind::WrongLastSequence, _) => AppendError::Conflict,
        (_, Some(server)) => match server.error_code() {
            ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT => AppendError::InFlight,
            // No leader, not enough replicas, too many in flight: it may pass in a moment.
            _ if server.code() == 503 || server.code() == 429 => {
                AppendError::Unanswered(server.to_string())
            }
            _ => AppendError::Refused(server.to_string()),
        },
        (PublishErrorKind::MaxPayloadExceeded, None) => AppendError::Refused(error.to_string()),
        // Time-outs, lost connections, nobody listening: it may have been stored.
        (_, None) => AppendError::Unanswered(error.to_string()),
    }
}

fn is_no_message(error: &jetstream::stream::LastRawMessageError) -> bool {
    use jetstream::stream::LastRawMessageErrorKind as Kind;
    match error.kind() {
        Kind::NoMessageFound => true,
        Kind::JetStream(error) => error.error_code() == ErrorCode::NO_MESSAGE_FOUND,
        _ => false,
    }
}

fn unavailable(error: impl std::fmt::Display) -> ReadError {
    ReadError::Unavailable(error.to_string())
}

fn no_answer(stream: &str) -> ReadError {
    ReadError::Unavailable(format!("{stream}: no answer within {} s", ANSWER.as_secs()))
}

/// The events that a history accepts: each derived from the accepted one before it. After
/// retention a history begins with its last message, which stands for itself.
fn accepted(messages: &[StreamMessage]) -> Result<Vec<Stored>, ReadError> {
    let mut chain: Vec<Stored> = Vec::with_capacity(messages.len());
    for message in messages {
        let stored = match stored(message) {
            Ok(stored) => stored,
            // What is no record at all was derived from nothing: it does not chain. A record of a
            // later version may well chain, so whoever cannot read it must not go on.
            Err(ReadError::Unreadable { sequence, source: Unreadable::Shape(why) }) => {
                tracing::error!(sequence, %why, "a message is not a record: it is left out");
                continue;
            }
            Err(error) => return Err(error),
        };
        let follows = chain.last().is_none_or(|before| {
            stored.record.base == before.sequence && stored.record.n == before.record.n + 1
        });
        if follows {
            chain.push(stored);
        } else {
            tracing::error!(
                saga = %stored.record.id, sequence = stored.sequence,
                "an event does not follow from the last accepted one: it is left out",
            );
        }
    }
    Ok(chain)
}

fn stored(message: &StreamMessage) -> Result<Stored, ReadError> {
    let sequence = message.sequence;
    let record = Record::from_json(&message.payload)
        .map_err(|source| ReadError::Unreadable { sequence, source })?;
    let at_ms = milliseconds(message.time);
    Ok(Stored {
        record,
        sequence,
        at_ms,
        append_id: append_id(&message.headers),
        trace: trace(&message.headers),
    })
}

/// Milliseconds since the epoch of a time that the server said.
pub(crate) fn milliseconds(time: async_nats::datetime::DateTime) -> i64 {
    i64::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}

/// The `Saga-Append` id among a message's headers.
pub(crate) fn append_id(headers: &HeaderMap) -> Option<String> {
    headers.get(header::APPEND).map(|value| value.as_str().to_owned())
}

/// The trace context among a message's headers.
pub(crate) fn trace(headers: &HeaderMap) -> Trace {
    let text = |name| headers.get(name).map(|value| value.as_str().to_owned());
    Trace { parent: text(header::TRACEPARENT), state: text(header::TRACESTATE) }
}

/// A delivered JetStream message as the stream stored it.
///
/// # Errors
/// When its payload is not a record that this program reads, or its reply subject is not one of
/// JetStream's.
pub fn delivered(message: &jetstream::Message) -> Result<Stored, ReadError> {
    let info = message.info().map_err(unavailable)?;
    let sequence = info.stream_sequence;
    let record = Record::from_json(&message.payload)
        .map_err(|source| ReadError::Unreadable { sequence, source })?;
    let none = HeaderMap::new();
    let headers = message.headers.as_ref().unwrap_or(&none);
    let at_ms = milliseconds(info.published);
    Ok(Stored { record, sequence, at_ms, append_id: append_id(headers), trace: trace(headers) })
}

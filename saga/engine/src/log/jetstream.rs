//! The log on JetStream.

use std::error::Error as _;
use std::time::Duration;

use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::{PublishMessage, StreamMessage};
use async_nats::jetstream::{self, ErrorCode};
use async_nats::{Client, HeaderMap};
use async_trait::async_trait;
use saga_core::record::Unreadable;
use saga_core::subject::{self, header};
use saga_core::{Plan, Record};
use serde_json::{Value, json};

use super::inbox::Inbox;
use super::{Append, AppendError, Log, ReadError, Stored, Tail, Trace};
use crate::bucket::is_no_message;

/// How long one publish or one read may take before it counts as unanswered.
const ANSWER: Duration = Duration::from_secs(5);
/// How often a read that a lagging replica answered is tried again.
const STALE_READS: u32 = 20;
/// Pause between such reads.
const STALE_PAUSE: Duration = Duration::from_millis(25);
/// The status that says that there are more subjects than one answer may hold (1024).
const TOO_MANY: u16 = 413;
/// Messages that are asked for at once where they are read one after another.
const BATCH: u32 = 1_000;

/// The log of sagas in JetStream: one stream per saga type, or per shard of one.
#[derive(Debug, Clone)]
pub struct JetStreamLog {
    client: Client,
    context: jetstream::Context,
    inbox: Inbox,
}

impl JetStreamLog {
    /// A log over a connection. Streams are made by the topology, not here.
    pub fn new(client: Client) -> Self {
        let context = jetstream::ContextBuilder::new().timeout(ANSWER).build(client.clone());
        let inbox = Inbox::new(client.clone());
        Self { client, context, inbox }
    }

    /// What one replica answers to a request for many messages.
    async fn ask(&self, stream: &str, request: &Value) -> Result<Batch, ReadError> {
        let mut answers = self.inbox.expect().await.map_err(unavailable)?;
        let inbox = answers.subject().to_owned();
        let subject = format!("$JS.API.DIRECT.GET.{stream}");
        self.client
            .publish_with_reply(subject, inbox, request.to_string().into())
            .await
            .map_err(unavailable)?;
        let mut messages = Vec::new();
        loop {
            let answer = tokio::time::timeout(ANSWER, answers.next())
                .await
                .map_err(|_elapsed| no_answer(stream))?
                .ok_or_else(|| no_answer(stream))?;
            match answer.status.map(|status| status.as_u16()) {
                None | Some(200) => messages.push(answer.try_into().map_err(unavailable)?),
                // 204 ends the batch, 404 says that there is none.
                Some(204 | 404) => {
                    let left = answer.headers.as_ref().and_then(|it| it.get("Nats-Num-Pending"));
                    let is_whole = left.is_none_or(|left| left.as_str() == "0");
                    return Ok(Batch { messages, is_whole });
                }
                Some(TOO_MANY) => return Ok(Batch { messages, is_whole: false }),
                Some(status) => {
                    let why = answer.description.unwrap_or_default();
                    return Err(ReadError::Unavailable(format!("{stream}: {status} {why}")));
                }
            }
        }
    }

    /// A saga on one replica.
    async fn saga(&self, stream: &str, filter: &str) -> Result<Chain, ReadError> {
        // Every event has a subject of its own: the last messages of all subjects are all messages,
        // and the server finds them at once.
        let last = self.ask(stream, &json!({ "multi_last": [filter] })).await?;
        if last.is_whole {
            let chain = Chain::of(&last.messages)?;
            if chain.left_out.is_empty() {
                return Ok(chain);
            }
        }
        // Unless something slipped past the check, which may hide an event of the same subject, or
        // there are more than one answer holds: then they are read one after another.
        let mut messages: Vec<StreamMessage> = Vec::new();
        loop {
            let next = messages.last().map_or(1, |message| message.sequence + 1);
            let request = json!({ "seq": next, "next_by_subj": filter, "batch": BATCH });
            let batch = self.ask(stream, &request).await?.messages;
            if batch.is_empty() {
                break;
            }
            messages.extend(batch);
        }
        let chain = Chain::of(&messages)?;
        for sequence in &chain.left_out {
            tracing::error!(
                stream,
                filter,
                sequence,
                "a message does not follow from the last accepted event: it is left out",
            );
        }
        Ok(chain)
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

    /// A saga up to sequence `at_least`, or as far as the stream's leader has it.
    async fn chain(&self, plan: &Plan, id: &str, at_least: u64) -> Result<Chain, ReadError> {
        let shard = plan.shard(id);
        let stream = subject::stream(plan.name(), shard);
        let filter = subject::filter(&subject::type_token(plan.name(), shard), id);
        let mut needed = at_least;
        for read in 0..STALE_READS {
            let chain = self.saga(&stream, &filter).await?;
            if chain.last_sequence >= needed {
                return Ok(chain);
            }
            if read == 0 {
                // Either a replica lags behind, or retention took the saga: the leader knows.
                needed = self.leader_sequence(&stream, &filter).await?;
                if needed == chain.last_sequence {
                    return Ok(chain);
                }
                // More was appended meanwhile, as a rule: that is there already.
                continue;
            }
            tokio::time::sleep(STALE_PAUSE).await;
        }
        let why = format!("{stream}: no replica has {filter} up to sequence {needed} yet");
        Err(ReadError::Unavailable(why))
    }
}

/// Messages that were asked for together.
struct Batch {
    messages: Vec<StreamMessage>,
    /// There are no more than these.
    is_whole: bool,
}

/// A saga as the stream has it.
struct Chain {
    /// The accepted events.
    events: Vec<Stored>,
    /// The sequence of its last message; 0: there is none.
    last_sequence: u64,
    /// Sequences of messages that do not count.
    left_out: Vec<u64>,
}

impl Chain {
    /// The events that a history accepts: each derived from the accepted one before it. After
    /// retention a history begins with its last message, which stands for itself.
    fn of(messages: &[StreamMessage]) -> Result<Self, ReadError> {
        let last_sequence = messages.last().map_or(0, |message| message.sequence);
        let mut events: Vec<Stored> = Vec::with_capacity(messages.len());
        let mut left_out = Vec::new();
        for message in messages {
            let stored = match stored(message) {
                // Readers of the stream leave it out, too: all go on from the same event.
                Ok(stored) => Some(stored).filter(|it| is_of(&message.subject, &it.record)),
                // What is no record at all was derived from nothing: it does not chain. A record of
                // a later version may well chain, so whoever cannot read it must not go on.
                Err(ReadError::Unreadable { source: Unreadable::Shape(_), .. }) => None,
                Err(error) => return Err(error),
            };
            let follows = |stored: &Stored| {
                events.last().is_none_or(|before| {
                    stored.record.base == before.sequence && stored.record.n == before.record.n + 1
                })
            };
            match stored.filter(follows) {
                Some(stored) => events.push(stored),
                None => left_out.push(message.sequence),
            }
        }
        Ok(Self { events, last_sequence, left_out })
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
        let Chain { mut events, last_sequence, .. } = self.chain(plan, id, at_least).await?;
        Ok(events.pop().map(|stored| Tail { stored, last_sequence }))
    }

    async fn history(
        &self,
        plan: &Plan,
        id: &str,
        at_least: u64,
    ) -> Result<Vec<Stored>, ReadError> {
        Ok(self.chain(plan, id, at_least).await?.events)
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

fn unavailable(error: impl std::fmt::Display) -> ReadError {
    ReadError::Unavailable(error.to_string())
}

fn no_answer(stream: &str) -> ReadError {
    ReadError::Unavailable(format!("{stream}: no answer within {} s", ANSWER.as_secs()))
}

/// Whether a subject says what the record under it says: a publisher may be allowed one and not the
/// other.
pub(crate) fn is_of(subject: &str, record: &Record) -> bool {
    let token = subject.split('.').nth(1).unwrap_or_default();
    record.saga_type == subject::type_of_token(token) && subject::of(token, record) == subject
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

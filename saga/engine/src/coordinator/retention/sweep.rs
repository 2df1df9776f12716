//! Messages of finished sagas, one by one in the order of the stream.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::stream::Stream;
use futures::StreamExt as _;
use saga_core::subject;

use super::super::clock::millis;
use super::super::office::{Office, Track};
use super::{NAP, purge};
use crate::log::jetstream::milliseconds;

/// Messages read at once.
const BATCH: usize = 1_000;

/// A message of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Message {
    subject: String,
    /// Of a saga; empty: nobody knows whose it is.
    id: String,
    /// The last message of a saga.
    is_ending: bool,
    sequence: u64,
    at_ms: i64,
}

/// One of the two sweeps over a stream.
pub(super) struct Sweep {
    what: What,
    age: Duration,
    read: VecDeque<Message>,
    /// Everything up to here was read or swept.
    position: u64,
}

/// What a sweep takes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Histories,
    Endings,
}

impl Sweep {
    pub(super) fn new(what: What, age: Duration, position: u64) -> Self {
        Self { what, age, read: VecDeque::new(), position }
    }

    /// Nothing is left before this sequence.
    pub(super) fn skip_to(&mut self, track: &Track, before: u64) {
        self.position = self.position.max(before.saturating_sub(1));
        self.read.retain(|message| message.sequence >= before);
        self.note(track);
    }

    /// Sweeps what is old enough, for a while. Says whether there is more.
    pub(super) async fn run(
        &mut self,
        office: &Office,
        track: &Track,
        stream: &Stream<()>,
    ) -> Result<bool, String> {
        let begun = Instant::now();
        while begun.elapsed() < NAP && !office.stop.is_cancelled() {
            if self.read.is_empty() {
                if self.position >= track.book().last_seen {
                    return Ok(false);
                }
                self.read = messages(stream, self.position + 1).await?;
            }
            let Some(message) = self.read.front() else { return Ok(false) };
            let age_ms = office.now_or(i64::MIN).saturating_sub(message.at_ms);
            if age_ms < millis(self.age) {
                return Ok(false);
            }
            if self.takes(track, message) {
                purge(office, stream, track, &message.subject, message.sequence).await?;
            }
            self.position = message.sequence;
            self.read.pop_front();
            self.note(track);
        }
        Ok(true)
    }

    fn takes(&self, track: &Track, message: &Message) -> bool {
        match self.what {
            What::Endings => message.is_ending,
            What::Histories if message.is_ending || message.id.is_empty() => false,
            What::Histories => {
                let book = track.book();
                // What was not read here may be of a saga that is open.
                message.sequence <= book.last_seen
                    && !book.is_unread(message.sequence)
                    && book.open(&message.id).is_none()
                    && !book.is_elder(&message.id)
            }
        }
    }

    fn note(&self, track: &Track) {
        let mut swept = track.swept();
        match self.what {
            What::Histories => swept.histories = self.position,
            What::Endings => swept.endings = self.position,
        }
        track.set_swept(swept);
    }
}

/// The next messages from a sequence on. Of all subjects: a consumer with several filters costs the
/// server a look at every subject of the stream.
async fn messages(stream: &Stream<()>, start_sequence: u64) -> Result<VecDeque<Message>, String> {
    let config = pull::Config {
        description: Some("a coordinator looks for finished sagas".to_owned()),
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence },
        ack_policy: AckPolicy::None,
        headers_only: true,
        memory_storage: true,
        num_replicas: 1,
        inactive_threshold: Duration::from_secs(10),
        ..pull::Config::default()
    };
    let consumer = stream.create_consumer(config).await.map_err(|error| error.to_string())?;
    let mut found = VecDeque::new();
    if consumer.cached_info().num_pending > 0 {
        let fetch = consumer.fetch().max_messages(BATCH).messages().await;
        let mut messages = fetch.map_err(|error| error.to_string())?;
        while let Some(message) = messages.next().await {
            let message = message.map_err(|error| error.to_string())?;
            let info = message.info().map_err(|error| error.to_string())?;
            let parsed = subject::parse(&message.subject).ok();
            found.push_back(Message {
                is_ending: parsed.as_ref().is_some_and(|parsed| parsed.status.is_end()),
                id: parsed.map(|parsed| parsed.id).unwrap_or_default(),
                sequence: info.stream_sequence,
                at_ms: milliseconds(info.published),
                subject: message.subject.to_string(),
            });
        }
    }
    let name = &consumer.cached_info().name;
    if let Err(error) = stream.delete_consumer(name).await {
        tracing::debug!(%error, "the server forgets the consumer by itself");
    }
    Ok(found)
}

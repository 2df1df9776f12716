//! Takes finished sagas out of the stream: first their history, later their last message.
//!
//! Whole stretches of the stream leave at once where they can; what is left of this file is for the
//! histories of sagas whose last message stays, and for sagas beside one that stays open for long.
//!
//! Endings stand in the stream in the order of time, so two positions in it are all that has to be
//! remembered: up to where histories were taken, and up to where last messages were. Open and stuck
//! sagas have no ending and never leave. Purges name the ending's sequence, never a number of
//! messages to keep: that would meet a saga which was started again under the same id.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::stream::Stream;
use futures::StreamExt as _;
use saga_core::subject;
use serde::{Deserialize, Serialize};

mod stretch;

pub(super) use stretch::Marks;

use super::clock::{self, millis};
use super::office::{Office, Track};
use crate::log::jetstream::milliseconds;

/// Endings read at once.
const BATCH: usize = 256;
/// A stream without an event for this long is idle: purges follow one another without a pause.
const IDLE: Duration = Duration::from_millis(20);
/// Pause before each purge while the stream is busy: a purge costs the server as much as a saga.
const BUSY_PAUSE: Duration = Duration::from_millis(4);
/// Pause when nothing is old enough; also the precision of [`super::Retention`].
const NAP: Duration = Duration::from_secs(1);

/// Up to which sequence endings were dealt with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Swept {
    /// Histories of sagas that ended up to here are gone.
    pub(super) histories: u64,
    /// Their last messages, too.
    pub(super) endings: u64,
}

/// An ending in the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ending {
    id: String,
    sequence: u64,
    at_ms: i64,
    has_history: bool,
}

/// One of the two sweeps over a stream.
struct Sweep {
    what: What,
    age: Duration,
    read: VecDeque<Ending>,
    /// Everything up to here was read or swept.
    position: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Histories,
    Endings,
}

/// Takes finished sagas out of one stream until the coordinator stops.
pub(super) async fn retain(office: Arc<Office>, track: Arc<Track>) {
    let options = office.options.retention;
    if !options.enabled {
        return;
    }
    let alone = options.retention + stretch::patience(options.retention);
    // Histories that leave with everything else need no purge of their own.
    let grace = if options.grace < options.retention { options.grace } else { alone };
    let sweeps_from = |swept: Swept| {
        [
            Sweep::new(What::Histories, grace, swept.histories),
            Sweep::new(What::Endings, alone, swept.endings),
        ]
    };
    let mut created = String::new();
    let mut sweeps = sweeps_from(Swept::default());
    loop {
        let (is_caught_up, now_created) = {
            let book = track.book();
            (book.is_caught_up, book.created.clone())
        };
        if is_caught_up {
            if created != now_created {
                // A stream of its own begins with its own positions.
                if !created.is_empty() {
                    track.set_swept(Swept::default());
                    *track.marks() = Marks::default();
                }
                created = now_created;
                sweeps = sweeps_from(track.swept());
            }
            match sweep(&office, &track, &mut sweeps).await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(stream = track.stream, error, "retention tries again later");
                }
            }
        }
        if !office.pause(NAP).await {
            return;
        }
    }
}

/// What is old enough: a stretch, and then for a while what is left, one by one. Says whether
/// there is more.
async fn sweep(office: &Office, track: &Track, sweeps: &mut [Sweep]) -> Result<bool, String> {
    let context = office.engine.jetstream();
    let stream = context.get_stream_no_info(&track.stream).await;
    let stream = stream.map_err(|error| error.to_string())?;
    let gone = stretch::take_out(office, track, &stream).await?;
    let mut has_more = false;
    for sweep in sweeps {
        if let Some(before) = gone {
            sweep.skip_to(track, before);
        }
        has_more |= sweep.run(office, track, &stream).await?;
    }
    Ok(has_more)
}

impl Sweep {
    fn new(what: What, age: Duration, position: u64) -> Self {
        Self { what, age, read: VecDeque::new(), position }
    }

    /// Nothing is left before this sequence.
    fn skip_to(&mut self, track: &Track, before: u64) {
        self.position = self.position.max(before.saturating_sub(1));
        self.read.retain(|ending| ending.sequence >= before);
        self.note(track);
    }

    /// Sweeps what is old enough, for a while: stretches come in between. Says whether there is
    /// more.
    async fn run(
        &mut self,
        office: &Office,
        track: &Track,
        stream: &Stream<()>,
    ) -> Result<bool, String> {
        let begun = Instant::now();
        while begun.elapsed() < NAP {
            if office.stop.is_cancelled() {
                return Ok(false);
            }
            if self.read.is_empty() {
                let last_seen = track.book().last_seen;
                if self.position >= last_seen {
                    return Ok(false);
                }
                self.read = endings(stream, track, self.position + 1).await?;
                if self.read.is_empty() {
                    // No ending up to here. What came since is read the next time.
                    self.position = last_seen;
                    self.note(track);
                    return Ok(false);
                }
            }
            let Some(ending) = self.read.front() else { return Ok(false) };
            let age_ms = office.now_or(i64::MIN).saturating_sub(ending.at_ms);
            if age_ms < millis(self.age) {
                return Ok(false);
            }
            throttle(track).await;
            self.purge(office, stream, track, ending).await?;
            self.position = ending.sequence;
            self.read.pop_front();
            self.note(track);
        }
        Ok(true)
    }

    async fn purge(
        &self,
        office: &Office,
        stream: &Stream<()>,
        track: &Track,
        ending: &Ending,
    ) -> Result<(), String> {
        let up_to = match self.what {
            What::Histories if !ending.has_history => return Ok(()),
            // A purge takes what lies before the given sequence.
            What::Histories => ending.sequence,
            What::Endings => ending.sequence + 1,
        };
        let filter = subject::filter(&track.token, &ending.id);
        let done = stream.purge().filter(filter).sequence(up_to).await;
        let done = done.map_err(|error| error.to_string())?;
        if done.purged > 0 {
            let labels = [("type", track.saga_type.clone())];
            metrics::counter!("saga_purged_messages_total", &labels).increment(done.purged);
        }
        // Its time stamp is not used: the clock is renewed elsewhere.
        tracing::trace!(saga = ending.id, purged = done.purged, now = ?office.clock.now_ms(), "purged");
        Ok(())
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

/// Lets events go first.
async fn throttle(track: &Track) {
    let is_busy = track.last_event().is_some_and(|last: Instant| last.elapsed() < IDLE);
    if is_busy {
        tokio::time::sleep(BUSY_PAUSE).await;
    }
}

/// The next endings from a sequence on, in the order of the stream.
async fn endings(
    stream: &Stream<()>,
    track: &Track,
    start_sequence: u64,
) -> Result<VecDeque<Ending>, String> {
    let config = pull::Config {
        description: Some("a coordinator looks for finished sagas".to_owned()),
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence },
        ack_policy: AckPolicy::None,
        filter_subjects: subject::ending_filters(&track.token),
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
            let Ok(subject) = subject::parse(&message.subject) else { continue };
            // A stuck saga has not ended.
            if subject.status.is_end() {
                found.push_back(Ending {
                    id: subject.id,
                    sequence: info.stream_sequence,
                    at_ms: milliseconds(info.published),
                    has_history: subject.n > 1,
                });
            }
        }
    }
    let name = &consumer.cached_info().name;
    if let Err(error) = stream.delete_consumer(name).await {
        tracing::debug!(%error, "the server forgets the consumer by itself");
    }
    Ok(found)
}

/// Keeps the clock right until the coordinator stops: any stream's answer carries the time.
pub(super) async fn keep_clock(office: Arc<Office>, track: Arc<Track>) {
    loop {
        if let Err(error) =
            clock::ask(office.engine.jetstream(), &track.stream, &office.clock).await
        {
            tracing::debug!(error, "the clock was not renewed");
        }
        if !office.pause(office.options.clock_every).await {
            return;
        }
    }
}

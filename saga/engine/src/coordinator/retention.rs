//! Takes finished sagas out of the stream.
//!
//! Whole stretches leave at once where nothing in them is alive any more. Histories leave earlier
//! than last messages, one message at a time, where the grace period is much shorter than the
//! retention time; and so do last messages beside a saga that stays open for long.
//!
//! **Each purge of them names one subject**, and every event has its own. For a purge that takes
//! several messages at once the server counts anew what waits for each of its consumers: a
//! millisecond for each, and for one with several filters a walk over all subjects of the stream.
//! For one message it subtracts one. A purge also names the sequence up to which it goes, so that
//! it never meets a saga that was started again under the same id.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::jetstream::stream::Stream;
use futures::TryStreamExt as _;
use saga_core::subject;
use serde::{Deserialize, Serialize};

use super::Retention;
use super::clock::{self, millis};
use super::office::{Office, Track};

mod stretch;
mod sweep;

pub(super) use stretch::Marks;

use sweep::{Sweep, What};

/// A stream without an event for this long is idle: purges follow one another without a pause.
const IDLE: Duration = Duration::from_millis(20);
/// Pause before each purge while the stream is busy.
const BUSY_PAUSE: Duration = Duration::from_millis(4);
/// Pause when nothing is old enough; also the precision of [`super::Retention`].
const NAP: Duration = Duration::from_secs(1);

/// Up to which sequence messages were dealt with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Swept {
    /// Histories of sagas that had ended are gone up to here.
    pub(super) histories: u64,
    /// Their last messages, too.
    pub(super) endings: u64,
}

/// Takes finished sagas out of one stream until the coordinator stops.
pub(super) async fn retain(office: Arc<Office>, track: Arc<Track>) {
    if !office.options.retention.enabled {
        return;
    }
    let mut created = String::new();
    let mut sweeps = sweeps(&office, Swept::default());
    loop {
        let (is_caught_up, now_created) = {
            let book = track.book();
            (book.is_caught_up, book.created.clone())
        };
        let mut has_more = false;
        if is_caught_up {
            if created != now_created {
                // A stream of its own begins with its own positions.
                if !created.is_empty() {
                    track.set_swept(Swept::default());
                    *track.marks() = Marks::default();
                }
                created = now_created;
                sweeps = self::sweeps(&office, track.swept());
            }
            match round(&office, &track, &mut sweeps).await {
                Ok(more) => has_more = more,
                Err(error) => {
                    tracing::warn!(stream = track.stream, error, "retention tries again later");
                }
            }
        }
        if !has_more && !office.wait(NAP).await || office.stop.is_cancelled() {
            return;
        }
    }
}

/// What is done one by one, from where it stopped.
fn sweeps(office: &Office, swept: Swept) -> Vec<Sweep> {
    let options = office.options.retention;
    // Stretches come first.
    let alone = options.retention + stretch::patience(options.retention);
    let mut sweeps = vec![Sweep::new(What::Endings, alone, swept.endings)];
    let histories = if has_histories_apart(options) { options.grace * 2 } else { alone };
    sweeps.push(Sweep::new(What::Histories, histories, swept.histories));
    sweeps
}

/// Whether histories leave before last messages. A saga that was open for less than the grace
/// period has ended for at least as long when its events are twice as old.
fn has_histories_apart(options: Retention) -> bool {
    options.grace * 2 < options.retention
}

/// From when on a saga was open for too long to judge by the age of its events, in milliseconds; 0:
/// that does not matter.
pub(super) fn elder_ms(options: Retention) -> i64 {
    if options.enabled && has_histories_apart(options) { millis(options.grace) } else { 0 }
}

/// What is old enough: a stretch, and then for a while what is left, one by one. Says whether
/// there is more.
async fn round(office: &Office, track: &Track, sweeps: &mut [Sweep]) -> Result<bool, String> {
    let context = office.engine.jetstream();
    let stream = context.get_stream_no_info(&track.stream).await;
    let stream = stream.map_err(|error| error.to_string())?;
    let gone = stretch::take_out(office, track, &stream).await?;
    let mut has_more = false;
    if let Some(before) = gone {
        track.book().forget_elders_before(before);
        for sweep in &mut *sweeps {
            sweep.skip_to(track, before);
        }
    }
    for sweep in sweeps {
        has_more |= sweep.run(office, track, &stream).await?;
    }
    elders(office, track, &stream).await?;
    Ok(has_more)
}

/// The histories of sagas that were open for long, and were still open when their first events were
/// old enough.
async fn elders(office: &Office, track: &Track, stream: &Stream<()>) -> Result<(), String> {
    let before_ms = office.now_or(i64::MIN).saturating_sub(millis(office.options.retention.grace));
    let next = || track.book().elder_that_ended_by(before_ms);
    while let Some((id, sequence)) = next() {
        let filter = subject::filter(&track.token, &id);
        let subjects =
            stream.info_with_subjects(filter).await.map_err(|error| error.to_string())?;
        let subjects = subjects.try_collect::<Vec<_>>().await.map_err(|error| error.to_string())?;
        for (name, _messages) in subjects {
            if subject::parse(&name).is_ok_and(|parsed| !parsed.status.is_end()) {
                purge(office, stream, track, &name, sequence).await?;
            }
        }
        track.book().forget_elder(&id);
    }
    Ok(())
}

/// Takes out the message of one subject, if its sequence is not above `sequence`.
async fn purge(
    office: &Office,
    stream: &Stream<()>,
    track: &Track,
    subject: &str,
    sequence: u64,
) -> Result<(), String> {
    throttle(track).await;
    // A purge takes what lies before the given sequence.
    let done = stream.purge().filter(subject).sequence(sequence + 1).await;
    let purged = done.map_err(|error| error.to_string())?.purged;
    count(track, purged);
    tracing::trace!(subject, purged, now = ?office.clock.now_ms(), "purged");
    Ok(())
}

fn count(track: &Track, purged: u64) {
    if purged > 0 {
        let labels = [("type", track.saga_type.clone())];
        metrics::counter!("saga_purged_messages_total", &labels).increment(purged);
    }
}

/// Lets events go first.
async fn throttle(track: &Track) {
    let is_busy = track.last_event().is_some_and(|last: Instant| last.elapsed() < IDLE);
    if is_busy {
        tokio::time::sleep(BUSY_PAUSE).await;
    }
}

/// Keeps the clock right until the coordinator stops: any stream's answer carries the time.
pub(super) async fn keep_clock(office: Arc<Office>, track: Arc<Track>) {
    loop {
        if let Err(error) =
            clock::ask(office.engine.jetstream(), &track.stream, &office.clock).await
        {
            tracing::debug!(error, "the clock was not renewed");
        }
        if !office.wait(office.options.clock_every).await {
            return;
        }
    }
}

//! Reads a stream in order, from where the memory of it ends.
//!
//! An ephemeral consumer without acknowledgements: its own sequence shows whether a delivery was
//! lost, and whatever goes wrong, it is made again after the last event that was read.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::{AckPolicy, Consumer, DeliverPolicy, pull};
use futures::StreamExt as _;
use saga_core::{Plan, Record, Status, subject, verify, verify_start};

use super::book::{Book, Follows, Noted, Seen};
use super::checkpoint;
use super::clock;
use super::office::{Office, Track, Why};
use super::retention;
use crate::log::jetstream::milliseconds;
use crate::wishes::AlarmKind;

/// The server forgets a consumer that nobody asks for this long.
const INACTIVE: Duration = Duration::from_secs(30);
/// Messages per pull.
const BATCH: usize = 500;
/// How long one pull stands.
const EXPIRES: Duration = Duration::from_secs(10);
/// A silence of twice this means that the pull was lost.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// First and longest pause before reading again after a failure.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// Follows one stream until the coordinator stops.
pub(super) async fn follow(office: Arc<Office>, track: Arc<Track>) {
    let mut pause = PAUSES.0;
    while !office.stop.is_cancelled() {
        let before = track.book().last_seen;
        let outcome = tokio::select! {
            () = office.stop.cancelled() => return,
            outcome = read(&office, &track) => outcome,
        };
        track.book().is_caught_up = false;
        if track.book().last_seen > before {
            pause = PAUSES.0;
        }
        match outcome {
            Ok(()) => tracing::debug!(stream = track.stream, "following again"),
            Err(error) => tracing::warn!(stream = track.stream, error, "following again"),
        }
        if !office.wait(pause).await {
            return;
        }
        pause = (pause * 2).min(PAUSES.1);
    }
}

async fn read(office: &Arc<Office>, track: &Arc<Track>) -> Result<(), String> {
    let facts = clock::ask(office.engine.jetstream(), &track.stream, &office.clock).await?;
    open_book(office, track, &facts).await;
    let first = track.book().last_seen + 1;
    let consumer = consumer(office, track, first).await?;
    if consumer.cached_info().num_pending == 0 {
        catch_up(track);
    }
    let mut messages = consumer
        .stream()
        .max_messages_per_batch(BATCH)
        .expires(EXPIRES)
        .heartbeat(HEARTBEAT)
        .messages()
        .await
        .map_err(|error| error.to_string())?;
    let mut delivered = 0;
    while let Some(message) = messages.next().await {
        let message = message.map_err(|error| error.to_string())?;
        let info = message.info().map_err(|error| error.to_string())?;
        delivered += 1;
        if info.consumer_sequence != delivered {
            return Err(format!("a delivery was lost before sequence {}", info.stream_sequence));
        }
        let (sequence, is_last) = (info.stream_sequence, info.pending == 0);
        let at_ms = milliseconds(info.published);
        take(office, track, &message, sequence, at_ms).await;
        if is_last || sequence >= facts.last_sequence {
            catch_up(track);
        }
    }
    Ok(())
}

async fn consumer(
    office: &Office,
    track: &Track,
    start_sequence: u64,
) -> Result<Consumer<pull::Config>, String> {
    let context = office.engine.jetstream();
    let stream =
        context.get_stream_no_info(&track.stream).await.map_err(|error| error.to_string())?;
    let config = pull::Config {
        description: Some("a coordinator follows the stream".to_owned()),
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence },
        ack_policy: AckPolicy::None,
        max_deliver: 1,
        memory_storage: true,
        num_replicas: 1,
        inactive_threshold: INACTIVE,
        ..pull::Config::default()
    };
    stream.create_consumer(config).await.map_err(|error| error.to_string())
}

/// Makes sure that the memory is one of this very stream: else it begins with the checkpoint, or
/// with nothing.
async fn open_book(office: &Office, track: &Track, facts: &clock::StreamFacts) {
    {
        let book = track.book();
        if book.created == facts.created && book.last_seen <= facts.last_sequence {
            return;
        }
        if !book.created.is_empty() {
            // Made anew, or its last messages are lost: what is remembered of them is not true.
            tracing::warn!(
                stream = track.stream,
                "another stream than before: read from its start"
            );
            office.alarms.clear_all(&track.saga_type);
        }
    }
    let book = if office.only_audits {
        Book::keeping_all(facts.created.clone())
    } else {
        let holds = office.holds(&track.saga_type);
        let known = checkpoint::load(office, track, facts, &holds).await;
        known.unwrap_or_else(|| Book::of(facts.created.clone()))
    };
    {
        let mut now = track.book();
        *now = book;
        now.elder_ms = retention::elder_ms(office.options.retention);
        now.schedule_all(&office.holds(&track.saga_type));
    }
    raise_stuck(office, track);
    track.changed.notify_one();
}

/// Alarms are not part of a checkpoint: what is stuck is raised again.
fn raise_stuck(office: &Office, track: &Track) {
    let stuck = track.book().list(&track.saga_type, &[Status::Stuck], None, usize::MAX);
    for saga in stuck {
        raise(office, track, AlarmKind::Stuck, &saga.id, saga.at_ms, STUCK.to_owned());
    }
}

const STUCK: &str = "an undo failed: nudge it, or undo it by hand and settle it";

/// Everything that was in the stream has been read.
pub(super) fn catch_up(track: &Track) {
    let mut book = track.book();
    if !book.is_caught_up {
        book.is_caught_up = true;
        tracing::info!(stream = track.stream, sequence = book.last_seen, "caught up");
        drop(book);
        track.changed.notify_one();
    }
}

/// Takes note of one message.
async fn take(
    office: &Arc<Office>,
    track: &Arc<Track>,
    message: &Message,
    sequence: u64,
    at_ms: i64,
) {
    track.touch();
    office.clock.at_least(at_ms);
    let record = match readable(track, message) {
        Ok(record) => record,
        Err((about, why)) => {
            let detail = format!("message {sequence}: {why}");
            raise(office, track, AlarmKind::Unreadable, &about, at_ms, detail);
            track.book().note_unread(sequence);
            return;
        }
    };
    let size = message.payload.len();
    note(office, track, Seen { record: Arc::new(record), size, sequence, at_ms }).await;
}

/// Takes note of one message that was read.
pub(super) async fn note(office: &Arc<Office>, track: &Arc<Track>, seen: Seen) {
    let record = &seen.record;
    let plan = match office.engine.known(&record.saga_type, record.definition.version) {
        Some(plan) if plan.serves(record) => Some(plan),
        _ => office.plan_of(record).await,
    };
    let (noted, is_sooner) = {
        let mut book = track.book();
        let holds = office.holds(&track.saga_type);
        let due_before = book.next_due();
        let noted = book.note(&seen, plan.as_deref(), &holds);
        if !book.is_caught_up {
            book.replayed += 1;
        }
        let is_sooner = book.next_due().is_some_and(|due| due_before.is_none_or(|was| due < was));
        (noted, is_sooner)
    };
    if is_sooner {
        track.changed.notify_one();
    }
    report(office, track, &seen, &noted);
    check(office, track, &seen, noted, plan.as_deref());
}

/// The record in a message, if it is one of the saga that the subject names.
fn readable(track: &Track, message: &Message) -> Result<Record, (String, String)> {
    let subject = message.subject.as_str();
    let parsed =
        subject::parse(subject).map_err(|error| (subject.to_owned(), error.to_string()))?;
    let id = parsed.id;
    match Record::from_json(&message.payload) {
        Err(error) => Err((id, error.to_string())),
        Ok(record) if subject::of(&track.token, &record) != subject => {
            Err((id, format!("its subject {subject} says something else than its record")))
        }
        Ok(record) => Ok(record),
    }
}

/// Alarms and counts that follow from a message.
fn report(office: &Office, track: &Arc<Track>, seen: &Seen, noted: &Noted) {
    let record = &seen.record;
    let id = &record.id;
    match noted.follows {
        Follows::Old => return,
        Follows::Slipped => {
            let detail = format!(
                "message {} was derived from sequence {} and does not follow from the last \
                 accepted event",
                seen.sequence, record.base
            );
            raise(office, track, AlarmKind::Slipped, id, seen.at_ms, detail);
            return;
        }
        Follows::Gap => {
            office.audit(track, id, Why::Gap { sequence: seen.sequence, n: record.n });
        }
        Follows::First | Follows::Next(_) | Follows::Alone => {}
    }
    for step in &noted.no_longer_late {
        let about = format!("{id}/{step}");
        office.alarms.clear(AlarmKind::Late, &track.saga_type, &about);
    }
    if noted.is_freed {
        office.alarms.clear(AlarmKind::Stuck, &track.saga_type, id);
    }
    if record.status == Status::Stuck {
        raise(office, track, AlarmKind::Stuck, id, seen.at_ms, STUCK.to_owned());
    }
    if record.status.is_end() {
        let labels = [("type", track.saga_type.clone()), ("status", record.status.to_string())];
        metrics::counter!("saga_ended_total", &labels).increment(1);
    }
}

/// Whether a record is what its event makes of the one before.
fn check(office: &Office, track: &Arc<Track>, seen: &Seen, noted: Noted, plan: Option<&Plan>) {
    let Some(plan) = plan else { return };
    let record = &seen.record;
    let lie = match noted.follows {
        Follows::First => verify_start(plan, record).err(),
        Follows::Next(Some((before, sequence))) => {
            verify(plan, Arc::unwrap_or_clone(before), sequence, record).err()
        }
        _ => None,
    };
    if let Some(lie) = lie {
        let detail = format!("message {}: {lie}", seen.sequence);
        raise(office, track, AlarmKind::Lying, &record.id, seen.at_ms, detail);
    }
    if noted.is_unproven_end {
        office.audit(track, &record.id, Why::Unproven);
    }
}

fn raise(office: &Office, track: &Track, kind: AlarmKind, about: &str, at_ms: i64, detail: String) {
    office.alarms.raise(kind, &track.saga_type, about, at_ms, detail);
}

//! What the parts of one coordinator share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use saga_core::{Plan, Record, subject};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Options;
use super::alarms::AlarmBoard;
use super::book::Book;
use super::clock::ServerClock;
use super::holds::Holds;
use super::retention::{Marks, Swept};
use crate::engine::{DefinitionError, Engine};
use crate::wishes::AlarmKind;

/// One running coordinator.
pub(super) struct Office {
    pub(super) engine: Engine,
    pub(super) options: Options,
    pub(super) clock: ServerClock,
    pub(super) alarms: AlarmBoard,
    pub(super) tracks: Vec<Arc<Track>>,
    /// Sagas whose history is to be folded again.
    pub(super) audits: mpsc::Sender<Audit>,
    /// No new work.
    pub(super) stop: CancellationToken,
    /// Work in hand.
    pub(super) in_hand: TaskTracker,
    /// It only reads, and every message from the first on: no checkpoint, no time-outs.
    pub(super) only_audits: bool,
    holds: Mutex<BTreeMap<String, Holds>>,
}

/// One stream that a coordinator follows.
pub(super) struct Track {
    pub(super) saga_type: String,
    /// The type token in subjects: with the shard.
    pub(super) token: String,
    pub(super) stream: String,
    /// Something of it may be due earlier than was known.
    pub(super) changed: Notify,
    book: Mutex<Book>,
    last_event: Mutex<Option<Instant>>,
    swept: Mutex<Swept>,
    marks: Mutex<Marks>,
}

/// A saga whose history is to be folded again.
pub(super) struct Audit {
    pub(super) track: Arc<Track>,
    pub(super) id: String,
    pub(super) why: Why,
}

/// Why a history is folded again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// Events of it could not be checked as they came.
    Unproven,
    /// Events seem to be missing before this one.
    Gap { sequence: u64, n: u64 },
    /// Its definition was not known.
    Unplanned,
}

impl Track {
    pub(super) fn new(plan: &Plan, shard: Option<u32>) -> Self {
        Self {
            saga_type: plan.name().to_owned(),
            token: subject::type_token(plan.name(), shard),
            stream: subject::stream(plan.name(), shard),
            changed: Notify::new(),
            book: Mutex::default(),
            last_event: Mutex::default(),
            swept: Mutex::default(),
            marks: Mutex::default(),
        }
    }

    /// How far retention came.
    pub(super) fn swept(&self) -> Swept {
        *self.swept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_swept(&self, swept: Swept) {
        *self.swept.lock().unwrap_or_else(PoisonError::into_inner) = swept;
    }

    /// Where everything before belongs to sagas that have ended. Held only for a moment.
    pub(super) fn marks(&self) -> MutexGuard<'_, Marks> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The memory of the stream. Held only for a moment, never across an await.
    pub(super) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn touch(&self) {
        *self.last_event.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// When the last event came.
    pub(super) fn last_event(&self) -> Option<Instant> {
        *self.last_event.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Office {
    pub(super) fn new(
        engine: Engine,
        options: Options,
        tracks: Vec<Arc<Track>>,
        audits: mpsc::Sender<Audit>,
    ) -> Self {
        Self {
            engine,
            options,
            clock: ServerClock::default(),
            alarms: AlarmBoard::default(),
            tracks,
            audits,
            stop: CancellationToken::new(),
            in_hand: TaskTracker::new(),
            only_audits: false,
            holds: Mutex::default(),
        }
    }

    /// The holds of a type. Whoever schedules by them reads them while it has the book: a change
    /// between the two would be missed.
    pub(super) fn holds(&self, saga_type: &str) -> Holds {
        let holds = self.holds.lock().unwrap_or_else(PoisonError::into_inner);
        holds.get(saga_type).cloned().unwrap_or_default()
    }

    /// Takes over the holds of a type, and works out anew what is due when.
    pub(super) fn set_holds(&self, saga_type: &str, now: &Holds) {
        {
            let mut holds = self.holds.lock().unwrap_or_else(PoisonError::into_inner);
            if holds.get(saga_type).is_some_and(|known| known == now) {
                return;
            }
            holds.insert(saga_type.to_owned(), now.clone());
        }
        for track in self.tracks_of(saga_type) {
            track.book().schedule_all(now);
            track.changed.notify_one();
        }
    }

    pub(super) fn tracks_of(&self, saga_type: &str) -> impl Iterator<Item = &Arc<Track>> {
        self.tracks.iter().filter(move |track| track.saga_type == saga_type)
    }

    /// Each type once.
    pub(super) fn types(&self) -> Vec<String> {
        let mut types: Vec<String> =
            self.tracks.iter().map(|track| track.saga_type.clone()).collect();
        types.dedup();
        types
    }

    /// The definition that a record follows; `None`, with an alarm, when nobody knows it.
    pub(super) async fn plan_of(&self, record: &Record) -> Option<Arc<Plan>> {
        let about = format!("{}.{}", record.saga_type, record.definition.version);
        let found = self.engine.plan_of(record).await;
        let why = match found {
            Ok(plan) if plan.serves(record) => {
                let kind = AlarmKind::UnknownDefinition;
                self.alarms.clear(kind, &record.saga_type, &about);
                return Some(plan);
            }
            Ok(_) => "registered with another content than the saga was started with".to_owned(),
            Err(error @ DefinitionError::Unavailable { .. }) => {
                // Not a fault of the saga: it is looked up again later.
                tracing::warn!(definition = about, %error, "a definition cannot be looked up");
                return None;
            }
            Err(error) => error.to_string(),
        };
        let kind = AlarmKind::UnknownDefinition;
        self.alarms.raise(kind, &record.saga_type, &about, self.now_or(0), why);
        None
    }

    /// The server's time, or `fallback` before it is known.
    pub(super) fn now_or(&self, fallback: i64) -> i64 {
        self.clock.now_ms().unwrap_or(fallback)
    }

    /// Asks for a history to be folded again; when too many wait, this one is only logged.
    pub(super) fn audit(&self, track: &Arc<Track>, id: &str, why: Why) {
        let audit = Audit { track: Arc::clone(track), id: id.to_owned(), why };
        if self.audits.try_send(audit).is_err() {
            metrics::counter!("saga_audits_skipped_total").increment(1);
            tracing::debug!(saga = id, "too many histories wait to be folded: left out");
        }
    }

    /// Waits, unless the coordinator stops first: then `false`.
    pub(super) async fn wait(&self, pause: std::time::Duration) -> bool {
        tokio::select! {
            () = self.stop.cancelled() => false,
            () = tokio::time::sleep(pause) => true,
        }
    }
}

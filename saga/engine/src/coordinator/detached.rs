//! A coordinator without a server: the same book, time and wishes over any log, told of each
//! message by whoever drives it.

use std::sync::Arc;

use saga_core::Plan;
use serde_json::Value;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

use super::book::{Book, Entries, Seen};
use super::office::{Audit, Office, Track};
use super::{AUDITS, Options, follower, timer};
use crate::engine::Engine;
use crate::log::Stored;
use crate::wishes::{Alarm, Cancel, Nudge, Settle, Signal, Skip};

/// A coordinator of one saga type.
pub(crate) struct Detached {
    office: Arc<Office>,
    track: Arc<Track>,
    /// Histories that a running coordinator would fold again.
    _audits: mpsc::Receiver<Audit>,
}

/// What a checkpoint keeps.
pub(crate) struct Memory {
    last_seen: u64,
    entries: Entries,
}

/// Something that somebody wishes.
#[derive(Debug, Clone)]
pub(crate) enum Wish {
    Cancel,
    Nudge(String),
    Skip(String, Value),
    Settle(String),
    Signal(String, Value),
}

impl Detached {
    /// Starts to keep time, which is `now_ms` by the server's clock, with what a checkpoint kept.
    pub(crate) fn start(
        engine: Engine,
        plan: &Arc<Plan>,
        now_ms: i64,
        memory: Option<Memory>,
    ) -> Self {
        engine.know(Arc::clone(plan));
        let track = Arc::new(Track::new(plan, None));
        let (audits, to_audit) = mpsc::channel(AUDITS);
        let options = Options::default();
        let office = Office::new(engine, options, vec![Arc::clone(&track)], audits);
        office.clock.learn(now_ms, Instant::now());
        if let Some(Memory { last_seen, entries }) = memory {
            let holds = office.holds(plan.name());
            *track.book() = Book::from_entries("then".to_owned(), last_seen, entries, &holds);
        }
        let office = Arc::new(office);
        let room = Arc::new(Semaphore::new(options.appends_in_flight));
        tokio::spawn(timer::keep_time(Arc::clone(&office), Arc::clone(&track), room));
        Self { office, track, _audits: to_audit }
    }

    /// The sequence up to which it has read.
    pub(crate) fn last_seen(&self) -> u64 {
        self.track.book().last_seen
    }

    /// Takes note of a message.
    pub(crate) async fn note(&self, stored: &Stored) {
        let record = Arc::new(stored.record.clone());
        let (sequence, at_ms) = (stored.sequence, stored.at_ms);
        self.office.clock.at_least(at_ms);
        follower::note(&self.office, &self.track, Seen { record, size: 1, sequence, at_ms }).await;
    }

    /// It has read everything that there was: its time-outs run.
    pub(crate) fn catch_up(&self) {
        follower::catch_up(&self.track);
    }

    /// What its checkpoint would keep now.
    pub(crate) fn memory(&self) -> Memory {
        let book = self.track.book();
        Memory { last_seen: book.last_seen, entries: book.entries() }
    }

    /// The alarms that are raised.
    pub(crate) fn alarms(&self) -> Vec<Alarm> {
        self.office.alarms.list(None, usize::MAX).0
    }

    /// Grants a wish, and says which number the saga's last event has then.
    ///
    /// # Errors
    /// Why it was not granted.
    pub(crate) async fn grant(&self, id: &str, wish: Wish, reason: String) -> Result<u64, String> {
        let (saga_type, id) = (self.track.saga_type.clone(), id.to_owned());
        let actor = "ann".to_owned();
        let office = &self.office;
        let granted = match wish {
            Wish::Cancel => office.cancel(&Cancel { saga_type, id, actor, reason }).await,
            Wish::Nudge(step) => office.nudge(&Nudge { saga_type, id, step, actor, reason }).await,
            Wish::Skip(step, output) => {
                office.skip(&Skip { saga_type, id, step, output, actor, reason }).await
            }
            Wish::Settle(step) => {
                let force = false;
                office.settle(&Settle { saga_type, id, step, force, actor, reason }).await
            }
            Wish::Signal(step, output) => {
                office.signal(&Signal { saga_type, id, step, output, actor, reason }).await
            }
        };
        granted.map(|moved| moved.n).map_err(|no| no.to_string())
    }
}

impl Drop for Detached {
    fn drop(&mut self) {
        self.office.stop.cancel();
    }
}

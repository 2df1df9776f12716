//! What a participant counts: for the metrics recorder, and for its own health and statistics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use metrics::{counter, histogram};
use saga_core::EventKind;
use serde::Serialize;

/// Counts of one participant since it started.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    service: String,
    appended: AtomicU64,
    conflicts: AtomicU64,
    again: AtomicU64,
    raced: AtomicU64,
    panicked: AtomicU64,
    dead: AtomicU64,
    foreign: AtomicU64,
    gone: AtomicU64,
    in_hand: AtomicU64,
}

/// A participant's counts, as [`crate::ParticipantHandle::stats`] and its NATS endpoints say them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Events appended.
    pub appended: u64,
    /// Appends refused because somebody else had moved the saga.
    pub conflicts: u64,
    /// Messages handed back to come again later.
    pub again: u64,
    /// Operations that started over because their barrier row had changed.
    pub raced: u64,
    /// Calls of handlers that panicked or took too long.
    pub panicked: u64,
    /// Messages put to the dead letters.
    pub dead_letters: u64,
    /// Messages handed back because their definition is not served here.
    pub foreign: u64,
    /// Messages of sagas that retention had taken.
    pub gone: u64,
    /// Messages in hand right now.
    pub in_hand: u64,
}

impl Meter {
    pub(crate) fn new(service: &str) -> Self {
        Self { service: service.to_owned(), ..Self::default() }
    }

    pub(crate) fn appended(&self, saga_type: &str, step: &str, kind: EventKind) {
        self.appended.fetch_add(1, Ordering::Relaxed);
        counter!(
            "saga_events_appended_total",
            "service" => self.service.clone(), "type" => saga_type.to_owned(),
            "step" => step.to_owned(), "event" => kind.as_str(),
        )
        .increment(1);
    }

    pub(crate) fn conflict(&self) {
        self.count(&self.conflicts, "saga_append_conflicts_total");
    }

    pub(crate) fn again(&self) {
        self.count(&self.again, "saga_messages_again_total");
    }

    pub(crate) fn raced(&self) {
        self.count(&self.raced, "saga_barrier_raced_total");
    }

    pub(crate) fn panicked(&self, step: &str) {
        self.panicked.fetch_add(1, Ordering::Relaxed);
        let (service, step) = (self.service.clone(), step.to_owned());
        counter!("saga_handler_failures_total", "service" => service, "step" => step).increment(1);
    }

    pub(crate) fn dead(&self) {
        self.count(&self.dead, "saga_dead_letters_total");
    }

    pub(crate) fn foreign(&self) {
        self.count(&self.foreign, "saga_messages_not_served_total");
    }

    pub(crate) fn gone(&self) {
        self.count(&self.gone, "saga_messages_of_gone_sagas_total");
    }

    pub(crate) fn took(&self, step: &str, time: Duration) {
        let (service, step) = (self.service.clone(), step.to_owned());
        histogram!("saga_handler_seconds", "service" => service, "step" => step).record(time);
    }

    pub(crate) fn taken(&self) {
        self.in_hand.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn put_down(&self) {
        self.in_hand.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn stats(&self) -> Stats {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Stats {
            appended: read(&self.appended),
            conflicts: read(&self.conflicts),
            again: read(&self.again),
            raced: read(&self.raced),
            panicked: read(&self.panicked),
            dead_letters: read(&self.dead),
            foreign: read(&self.foreign),
            gone: read(&self.gone),
            in_hand: read(&self.in_hand),
        }
    }

    fn count(&self, count: &AtomicU64, name: &'static str) {
        count.fetch_add(1, Ordering::Relaxed);
        counter!(name, "service" => self.service.clone()).increment(1);
    }
}

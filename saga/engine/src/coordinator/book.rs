//! Everything that a coordinator remembers of one stream: open sagas, the last ended ones, and what
//! is due when.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use saga_core::record::Cause;
use saga_core::{Plan, Record, Status, WaitingFor};
use serde::{Deserialize, Serialize};

use super::entry::{Entry, Wait, waits_after};
use super::holds::Holds;

mod list;
mod wheel;

pub(super) use list::Place;
pub(super) use wheel::Due;

/// Ended sagas that are remembered per stream, for listing.
pub(super) const ENDED_MAX: usize = 10_000;
/// Bytes of last records that are kept per stream to check each event against the one before.
const RECORDS_MAX: usize = 32 * 1024 * 1024;

/// The memory of one stream.
#[derive(Debug, Default)]
pub(super) struct Book {
    /// Creation time of the stream that this is about.
    pub(super) created: String,
    /// The last sequence that was read.
    pub(super) last_seen: u64,
    /// Everything that was in the stream when it was last opened has been read.
    pub(super) is_caught_up: bool,
    /// Messages read before it had caught up for the first time.
    pub(super) replayed: u64,
    open: BTreeMap<String, Entry>,
    ended: BTreeMap<String, Ended>,
    /// Ended sagas in the order in which they ended: sequence and id.
    endings: VecDeque<(u64, String)>,
    /// All remembered sagas by the time of their start.
    index: BTreeSet<(i64, String)>,
    wheel: wheel::Wheel,
    records: usize,
    /// Messages that nobody here can read: whose they are, and whether that saga is open, is not
    /// known.
    unread: BTreeSet<u64>,
    /// Ended sagas that were open for longer than [`Book::elder_ms`], until their histories are
    /// taken out: when they ended, and at which sequence.
    elders: BTreeMap<String, (i64, u64)>,
    /// How long a saga is open before it counts as one of the elders.
    pub(super) elder_ms: i64,
    /// Keep every open saga's last record, whatever it costs.
    keeps_all: bool,
}

/// An ended saga.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Ended {
    pub(super) sequence: u64,
    pub(super) at_ms: i64,
    pub(super) started_ms: i64,
    pub(super) n: u64,
    pub(super) status: Status,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cause: Option<Cause>,
}

/// A message of the stream, read.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) record: Arc<Record>,
    /// Bytes of its payload.
    pub(super) size: usize,
    pub(super) sequence: u64,
    pub(super) at_ms: i64,
}

/// How a message follows from what is remembered.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Follows {
    /// It was read before.
    Old,
    /// It is a saga's first event.
    First,
    /// It follows the saga's last event; that record, where it is still kept.
    Next(Option<(Arc<Record>, u64)>),
    /// It is all that retention left of a saga.
    Alone,
    /// It does not chain: readers ignore it.
    Slipped,
    /// Events before it are missing.
    Gap,
}

/// What a message changed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Noted {
    pub(super) follows: Follows,
    /// Steps that had been late and are over.
    pub(super) no_longer_late: Vec<String>,
    /// The saga was stuck and is not any more.
    pub(super) is_freed: bool,
    /// The saga ended, and not all of its events could be checked on the way.
    pub(super) is_unproven_end: bool,
}

/// What a checkpoint keeps: open sagas and ended ones, with their ids.
pub(super) type Entries = (Vec<(String, Entry)>, Vec<(String, Ended)>);

impl Book {
    /// An empty memory of the stream that was created then.
    pub(super) fn of(created: String) -> Self {
        Self { created, ..Self::default() }
    }

    /// A memory that checks every event as it comes.
    pub(super) fn keeping_all(created: String) -> Self {
        Self { keeps_all: true, ..Self::of(created) }
    }

    /// Takes note of a message. `plan` is the definition that the saga follows, if it is known.
    pub(super) fn note(&mut self, seen: &Seen, plan: Option<&Plan>, holds: &Holds) -> Noted {
        let mut noted = Noted {
            follows: self.follows(seen),
            no_longer_late: Vec::new(),
            is_freed: false,
            is_unproven_end: false,
        };
        self.last_seen = self.last_seen.max(seen.sequence);
        if matches!(noted.follows, Follows::Old | Follows::Slipped) {
            return noted;
        }
        let id = &seen.record.id;
        let before = self.take(id);
        let is_unproven = match noted.follows {
            Follows::Next(None) | Follows::Gap => true,
            _ => before.as_ref().is_some_and(|before| before.is_unproven),
        };
        let started_ms = match (&noted.follows, &before) {
            (Follows::First, _) | (_, None) => seen.at_ms,
            (_, Some(before)) => before.started_ms,
        };
        let first = match (&noted.follows, &before) {
            (Follows::First, _) => seen.sequence,
            (_, before) => before.as_ref().map_or(0, |before| before.first),
        };
        let waits_before = before.as_ref().map_or(&[][..], |before| &before.waits);
        let waits = plan.map_or_else(Vec::new, |plan| {
            waits_after(plan, waits_before, &seen.record, seen.at_ms, started_ms)
        });
        noted.no_longer_late = no_longer_late(waits_before, &waits);
        let started_before = before.as_ref().map(|before| before.started_ms);
        noted.is_freed = before.is_some_and(|before| before.status == Status::Stuck)
            && seen.record.status != Status::Stuck;
        let is_listed = started_before == Some(started_ms);
        if seen.record.status.is_end() {
            self.strike(id, started_before);
            noted.is_unproven_end = is_unproven;
            self.end(seen, started_ms);
        } else {
            if !is_listed {
                self.strike(id, started_before);
                self.index.insert((started_ms, id.clone()));
            }
            self.keep(seen, plan.is_none(), is_unproven, (first, started_ms), waits);
            self.schedule(id, holds);
        }
        noted
    }

    fn follows(&self, seen: &Seen) -> Follows {
        let record = &seen.record;
        if seen.sequence <= self.last_seen {
            return Follows::Old;
        }
        if record.n == 1 && record.base == 0 && !self.open.contains_key(&record.id) {
            return Follows::First;
        }
        let Some(entry) = self.open.get(&record.id) else {
            let ended = self.ended.get(&record.id);
            return match ended {
                Some(ended) if record.n <= ended.n => Follows::Slipped,
                None if record.status.is_end() => Follows::Alone,
                _ => Follows::Gap,
            };
        };
        if record.base == entry.sequence && record.n == entry.n + 1 {
            let before = entry.record.as_ref();
            return Follows::Next(before.map(|(record, _)| (Arc::clone(record), entry.sequence)));
        }
        if record.n > entry.n && record.base > entry.sequence {
            return Follows::Gap;
        }
        Follows::Slipped
    }

    fn keep(
        &mut self,
        seen: &Seen,
        is_unplanned: bool,
        is_unproven: bool,
        (first, started_ms): (u64, i64),
        waits: Vec<Wait>,
    ) {
        let fits = self.keeps_all || self.records + seen.size <= RECORDS_MAX;
        let record = fits.then(|| (Arc::clone(&seen.record), seen.size));
        if fits {
            self.records += seen.size;
        }
        let entry = Entry {
            sequence: seen.sequence,
            at_ms: seen.at_ms,
            started_ms,
            first,
            n: seen.record.n,
            status: seen.record.status,
            cause: seen.record.cause.clone(),
            waits,
            is_unplanned,
            is_unproven,
            record,
        };
        self.open.insert(seen.record.id.clone(), entry);
    }

    /// Takes an open saga out.
    fn close(&mut self, id: &str) -> Option<Entry> {
        let entry = self.take(id);
        self.strike(id, entry.as_ref().map(|entry| entry.started_ms));
        entry
    }

    /// Takes the entry of an open saga, which stays in the list and on the wheel.
    fn take(&mut self, id: &str) -> Option<Entry> {
        let entry = self.open.remove(id)?;
        if let Some((_, size)) = &entry.record {
            self.records = self.records.saturating_sub(*size);
        }
        Some(entry)
    }

    /// Strikes a saga off the list and the wheel: an open one that started then, or an ended one.
    fn strike(&mut self, id: &str, started_ms: Option<i64>) {
        self.wheel.remove(id);
        let ended = self.ended.remove(id).map(|ended| ended.started_ms);
        for started_ms in started_ms.into_iter().chain(ended) {
            self.index.remove(&(started_ms, id.to_owned()));
        }
    }

    fn end(&mut self, seen: &Seen, started_ms: i64) {
        if self.elder_ms > 0 && seen.at_ms.saturating_sub(started_ms) > self.elder_ms {
            self.note_elder(seen.record.id.clone(), seen.at_ms, seen.sequence);
        }
        let ended = Ended {
            sequence: seen.sequence,
            at_ms: seen.at_ms,
            started_ms,
            n: seen.record.n,
            status: seen.record.status,
            cause: seen.record.cause.clone(),
        };
        self.remember(seen.record.id.clone(), ended);
    }

    fn remember(&mut self, id: String, ended: Ended) {
        self.index.insert((ended.started_ms, id.clone()));
        self.endings.push_back((ended.sequence, id.clone()));
        self.ended.insert(id, ended);
        while self.endings.len() > ENDED_MAX {
            let Some((sequence, id)) = self.endings.pop_front() else { break };
            // An id that was used again since then is remembered by its later ending.
            if self.ended.get(&id).is_some_and(|ended| ended.sequence == sequence)
                && let Some(ended) = self.ended.remove(&id)
            {
                self.index.remove(&(ended.started_ms, id));
            }
        }
    }

    /// Forgets a saga that is not in the stream any more.
    pub(super) fn forget(&mut self, id: &str) {
        self.close(id);
    }

    /// Goes back to the last event that readers accept, after later ones turned out not to chain.
    pub(super) fn adopt(&mut self, seen: &Seen, started_ms: i64, waits: Vec<Wait>, holds: &Holds) {
        let id = &seen.record.id;
        let first = self.close(id).map_or(0, |before| before.first);
        if seen.record.status.is_end() {
            self.end(seen, started_ms);
        } else {
            self.index.insert((started_ms, id.clone()));
            self.keep(seen, false, true, (first, started_ms), waits);
            self.schedule(id, holds);
        }
    }

    /// Sets what a saga waits for, worked out from its history at event `sequence`.
    pub(super) fn replan(&mut self, id: &str, sequence: u64, waits: Vec<Wait>, holds: &Holds) {
        if let Some(entry) = self.open.get_mut(id).filter(|entry| entry.sequence == sequence) {
            (entry.waits, entry.is_unplanned) = (waits, false);
            self.schedule(id, holds);
        }
    }

    /// Takes note of a message that cannot be read.
    pub(super) fn note_unread(&mut self, sequence: u64) {
        self.last_seen = self.last_seen.max(sequence);
        self.unread.insert(sequence);
    }

    /// The first message that could not be read, of those that were not taken out since.
    pub(super) fn first_unread(&self) -> Option<u64> {
        self.unread.first().copied()
    }

    /// Whether a message is one that could not be read.
    pub(super) fn is_unread(&self, sequence: u64) -> bool {
        self.unread.contains(&sequence)
    }

    /// Takes note of an ended saga that was open for long.
    pub(super) fn note_elder(&mut self, id: String, at_ms: i64, sequence: u64) {
        self.elders.insert(id, (at_ms, sequence));
    }

    /// Whether a saga was open for long, and its history is still there.
    pub(super) fn is_elder(&self, id: &str) -> bool {
        self.elders.contains_key(id)
    }

    /// One of the elders that ended by then, with the sequence of its ending.
    pub(super) fn elder_that_ended_by(&self, by_ms: i64) -> Option<(String, u64)> {
        let mut elders = self.elders.iter();
        let (id, (_, sequence)) = elders.find(|(_, (at_ms, _))| *at_ms <= by_ms)?;
        Some((id.clone(), *sequence))
    }

    /// The history of one of the elders is gone.
    pub(super) fn forget_elder(&mut self, id: &str) {
        self.elders.remove(id);
    }

    /// Nothing is left of whatever ended before a sequence.
    pub(super) fn forget_elders_before(&mut self, before: u64) {
        self.elders.retain(|_, (_, sequence)| *sequence >= before);
    }

    /// All elders, for a checkpoint.
    pub(super) fn elders(&self) -> Vec<(String, i64, u64)> {
        let elders = self.elders.iter();
        elders.map(|(id, (at_ms, sequence))| (id.clone(), *at_ms, *sequence)).collect()
    }

    /// All messages that could not be read, for a checkpoint.
    pub(super) fn unread(&self) -> Vec<u64> {
        self.unread.iter().copied().collect()
    }

    /// A message that could not be read is not in the stream any more.
    pub(super) fn forget_unread(&mut self, sequence: u64) {
        self.unread.remove(&sequence);
    }

    /// Everything before this sequence belongs to sagas that have ended. 0 where that is not known.
    pub(super) fn settled_before(&self) -> u64 {
        let open = self.open.values().map(|entry| entry.first).min();
        let next = self.last_seen.saturating_add(1);
        open.into_iter().chain(self.first_unread()).fold(next, u64::min)
    }

    /// Open sagas whose definition was not known.
    pub(super) fn unplanned(&self) -> Vec<String> {
        let unplanned = self.open.iter().filter(|(_, entry)| entry.is_unplanned);
        unplanned.map(|(id, _)| id.clone()).collect()
    }

    /// An open saga.
    pub(super) fn open(&self, id: &str) -> Option<&Entry> {
        self.open.get(id)
    }

    /// How many sagas are open, and how many of them are stuck.
    pub(super) fn count(&self) -> (usize, usize) {
        let stuck = self.open.values().filter(|entry| entry.status == Status::Stuck).count();
        (self.open.len(), stuck)
    }

    /// How many ended sagas are remembered.
    pub(super) fn count_ended(&self) -> usize {
        self.ended.len()
    }

    /// Everything that a checkpoint keeps.
    pub(super) fn entries(&self) -> Entries {
        let open = self
            .open
            .iter()
            .map(|(id, entry)| (id.clone(), Entry { record: None, ..entry.clone() }));
        let known = |(_, id): &(u64, String)| Some((id.clone(), self.ended.get(id)?.clone()));
        (open.collect(), self.endings.iter().filter_map(known).collect())
    }

    /// A book from a checkpoint.
    pub(super) fn from_entries(
        created: String,
        last_seen: u64,
        (open, ended): Entries,
        holds: &Holds,
    ) -> Self {
        let mut book = Self { created, last_seen, ..Self::default() };
        for (id, ended) in ended {
            book.remember(id, ended);
        }
        for (id, entry) in open {
            book.index.insert((entry.started_ms, id.clone()));
            book.open.insert(id, entry);
        }
        book.schedule_all(holds);
        book
    }
}

fn no_longer_late(before: &[Wait], after: &[Wait]) -> Vec<String> {
    let is_over = |wait: &&Wait| {
        wait.is_alarmed
            && !after
                .iter()
                .any(|now| now.step == wait.step && now.what == wait.what && now.is_alarmed)
    };
    let late = before.iter().filter(|wait| wait.what != WaitingFor::Deadline).filter(is_over);
    late.map(|wait| wait.step.clone()).collect()
}

#[cfg(test)]
mod tests;

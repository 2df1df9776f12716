//! What is due when.

use std::collections::{BTreeMap, BTreeSet};

use super::Book;
use crate::coordinator::entry::Wait;
use crate::coordinator::holds::Holds;

/// Open sagas by the time at which something of them is due.
#[derive(Debug, Default)]
pub(super) struct Wheel {
    by_time: BTreeSet<(i64, String)>,
    by_id: BTreeMap<String, i64>,
}

impl Wheel {
    fn set(&mut self, id: &str, due_ms: i64) {
        if self.by_id.get(id) == Some(&due_ms) {
            return;
        }
        self.remove(id);
        self.by_time.insert((due_ms, id.to_owned()));
        self.by_id.insert(id.to_owned(), due_ms);
    }

    pub(super) fn remove(&mut self, id: &str) {
        if let Some((id, due_ms)) = self.by_id.remove_entry(id) {
            self.by_time.remove(&(due_ms, id));
        }
    }

    fn pop(&mut self, now_ms: i64) -> Option<String> {
        let (due_ms, _) = self.by_time.first()?;
        if *due_ms > now_ms {
            return None;
        }
        let (_, id) = self.by_time.pop_first()?;
        self.by_id.remove(&id);
        Some(id)
    }
}

/// Something that is due.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::coordinator) struct Due {
    /// The saga.
    pub(in crate::coordinator) id: String,
    /// Sequence of the last event that was read of it.
    pub(in crate::coordinator) sequence: u64,
    /// What it waited for.
    pub(in crate::coordinator) wait: Wait,
}

impl Book {
    /// Puts a saga where it belongs in time.
    pub(super) fn schedule(&mut self, id: &str, holds: &Holds) {
        match self.open.get(id).and_then(|entry| entry.due(holds)) {
            Some(due_ms) => self.wheel.set(id, due_ms),
            None => self.wheel.remove(id),
        }
    }

    /// The same for all, after a hold began or ended.
    pub(in crate::coordinator) fn schedule_all(&mut self, holds: &Holds) {
        self.wheel = Wheel::default();
        for (id, entry) in &self.open {
            if let Some(due_ms) = entry.due(holds) {
                self.wheel.set(id, due_ms);
            }
        }
    }

    /// Takes the next saga of which something is due: whoever takes it appends the event or raises
    /// the alarm. It comes again only after its next event, or by [`Book::put_back`].
    pub(in crate::coordinator) fn take_due(&mut self, now_ms: i64, holds: &Holds) -> Option<Due> {
        while let Some(id) = self.wheel.pop(now_ms) {
            let Some(entry) = self.open.get_mut(&id) else { continue };
            let Some(wait) = entry.overdue(now_ms, holds).cloned() else {
                self.schedule(&id, holds);
                continue;
            };
            let sequence = entry.sequence;
            if !wait.appends {
                for known in &mut entry.waits {
                    known.is_alarmed |= known.step == wait.step && known.what == wait.what;
                }
                self.schedule(&id, holds);
            }
            return Some(Due { id, sequence, wait });
        }
        None
    }

    /// Puts back what could not be done now, unless the saga has moved since: it comes again at
    /// `at_ms`.
    pub(in crate::coordinator) fn put_back(&mut self, due: &Due, at_ms: i64) {
        if self.open.get(&due.id).is_some_and(|entry| entry.sequence == due.sequence) {
            self.wheel.set(&due.id, at_ms);
        }
    }

    /// When the next thing is due, by the server's clock.
    pub(in crate::coordinator) fn next_due(&self) -> Option<i64> {
        self.wheel.by_time.first().map(|(due_ms, _)| *due_ms)
    }
}

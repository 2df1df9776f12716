//! The stream's consumers: what was delivered to whom, how often, and what comes again.

use std::collections::BTreeMap;
use std::sync::Arc;

use saga_core::{Plan, subject};

use crate::log::Stored;
use crate::participant::worker::Role;

/// A message that was not acknowledged.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) stored: Arc<Stored>,
    /// How often it was delivered.
    pub(super) attempts: u32,
    /// How many handle it now.
    pub(super) in_hand: u32,
    /// It does not come before.
    pub(super) ready_ms: i64,
}

/// A consumer of one service.
#[derive(Debug)]
pub(super) struct Inbox {
    pub(super) service: String,
    pub(super) role: Role,
    filters: Vec<String>,
    pub(super) letters: BTreeMap<u64, Letter>,
}

/// All consumers.
#[derive(Debug, Default)]
pub(super) struct Post {
    pub(super) inboxes: Vec<Inbox>,
}

impl Post {
    /// The consumers of a definition's services; `mirror` follows endings.
    pub(super) fn of(plan: &Plan, mirror: Option<&str>) -> Self {
        let token = subject::type_token(plan.name(), None);
        let mut inboxes = Vec::new();
        let mut open = |service: &str, role: Role, filters: Vec<String>| {
            let letters = BTreeMap::new();
            inboxes.push(Inbox { service: service.to_owned(), role, filters, letters });
        };
        for service in plan.services() {
            let forward = subject::forward_filters(plan, &token, service);
            open(service, Role::Forward, forward);
            for (_, filter) in subject::backward_consumers(plan, &token, service) {
                open(service, Role::Backward, vec![filter]);
            }
        }
        if let Some(mirror) = mirror {
            for (_, filter) in subject::ending_filters(&token, mirror) {
                open(mirror, Role::Ending, vec![filter]);
            }
        }
        Self { inboxes }
    }

    /// A message was stored: whose filters match is delivered it.
    pub(super) fn put(&mut self, plan: &Plan, stored: &Arc<Stored>) {
        let token = subject::type_token(plan.name(), None);
        let subject = subject::of(&token, &stored.record);
        for inbox in &mut self.inboxes {
            if inbox.filters.iter().any(|filter| subject::matches(filter, &subject)) {
                let stored = Arc::clone(stored);
                let sequence = stored.sequence;
                let letter = Letter { stored, attempts: 0, in_hand: 0, ready_ms: 0 };
                inbox.letters.insert(sequence, letter);
            }
        }
    }

    /// What may be delivered now: inbox and sequence. With `doubled` also what is in hand.
    pub(super) fn ready(&self, now_ms: i64, doubled: bool) -> Vec<(usize, u64)> {
        let mut ready = Vec::new();
        for (index, inbox) in self.inboxes.iter().enumerate() {
            for (sequence, letter) in &inbox.letters {
                // Three at the same time meet wherever four would.
                let is_free = letter.in_hand == 0 || (doubled && letter.in_hand < 3);
                if is_free && letter.ready_ms <= now_ms {
                    ready.push((index, *sequence));
                }
            }
        }
        ready
    }

    /// When the next letter comes that nobody has in hand.
    pub(super) fn next_ms(&self) -> Option<i64> {
        let letters = self.inboxes.iter().flat_map(|inbox| inbox.letters.values());
        letters.filter(|letter| letter.in_hand == 0).map(|letter| letter.ready_ms).min()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.inboxes.iter().all(|inbox| inbox.letters.is_empty())
    }

    pub(super) fn letter(&mut self, inbox: usize, sequence: u64) -> Option<&mut Letter> {
        self.inboxes[inbox].letters.get_mut(&sequence)
    }

    pub(super) fn acknowledge(&mut self, inbox: usize, sequence: u64) {
        self.inboxes[inbox].letters.remove(&sequence);
    }
}

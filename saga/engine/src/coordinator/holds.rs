//! When a type was paused: time that does not count for its time-outs.

use serde::{Deserialize, Serialize};

/// Holds that are kept; with more, the two oldest count as one, so that no time-out comes too early.
const KEPT: usize = 64;

/// The holds of one type, by the server's clock in milliseconds. Shared by all coordinators, so
/// that all of them measure alike.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Holds {
    /// Ended holds, oldest first: from, to.
    #[serde(default)]
    ended: Vec<(i64, i64)>,
    /// Since when the type is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<i64>,
    /// Who held it or let it go last, and why: for people who read the bucket.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    actor: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    reason: String,
}

impl Holds {
    /// Since when the type is held now.
    pub(super) fn since(&self) -> Option<i64> {
        self.since
    }

    /// Begins a hold; `false` when there is one already.
    pub(super) fn begin(&mut self, now_ms: i64, actor: &str, reason: &str) -> bool {
        if self.since.is_some() {
            return false;
        }
        self.since = Some(now_ms);
        (self.actor, self.reason) = (actor.to_owned(), reason.to_owned());
        true
    }

    /// Ends the hold; `false` when there is none.
    pub(super) fn end(&mut self, now_ms: i64, actor: &str, reason: &str) -> bool {
        let Some(since) = self.since.take() else { return false };
        self.ended.push((since, now_ms.max(since)));
        if self.ended.len() > KEPT {
            let (from, _) = self.ended.remove(0);
            if let Some(next) = self.ended.first_mut() {
                next.0 = from;
            }
        }
        (self.actor, self.reason) = (actor.to_owned(), reason.to_owned());
        true
    }

    /// When a wait that began at `since_ms` and may last `limit_ms` is over, holds not counted;
    /// `None` while the type is held.
    pub(super) fn due(&self, since_ms: i64, limit_ms: u64) -> Option<i64> {
        if self.since.is_some() {
            return None;
        }
        let limit_ms = i64::try_from(limit_ms).unwrap_or(i64::MAX);
        let mut due = since_ms.saturating_add(limit_ms);
        for &(from, to) in &self.ended {
            // A hold that began only after the wait was over does not lengthen it.
            if to > since_ms && from < due {
                due = due.saturating_add(to - from.max(since_ms));
            }
        }
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(ranges: &[(i64, i64)]) -> Holds {
        let mut holds = Holds::default();
        for &(from, to) in ranges {
            assert!(holds.begin(from, "ann", "test") && holds.end(to, "ann", "test"));
        }
        holds
    }

    #[test]
    fn a_hold_inside_a_wait_lengthens_it() {
        assert_eq!(held(&[]).due(100, 50), Some(150));
        assert_eq!(held(&[(110, 210)]).due(100, 50), Some(250));
        assert_eq!(held(&[(110, 120), (130, 140)]).due(100, 50), Some(170));
    }

    #[test]
    fn only_the_part_of_a_hold_after_the_wait_began_counts() {
        assert_eq!(held(&[(10, 90)]).due(100, 50), Some(150));
        assert_eq!(held(&[(10, 120)]).due(100, 50), Some(170));
        assert_eq!(held(&[(150, 900)]).due(100, 50), Some(150));
    }

    #[test]
    fn nothing_is_due_during_a_hold() {
        let mut holds = Holds::default();
        assert!(holds.begin(120, "ann", "deploy"));
        assert!(!holds.begin(130, "ben", "again"));
        assert_eq!(holds.due(100, 50), None);
        assert!(holds.end(220, "ann", "done"));
        assert!(!holds.end(230, "ann", "done"));
        assert_eq!(holds.due(100, 50), Some(250));
    }

    #[test]
    fn forgotten_holds_never_make_a_time_out_early() {
        let ranges: Vec<_> = (0..100).map(|hold| (hold * 10, hold * 10 + 5)).collect();
        let (all, kept) = (100 * 5, held(&ranges).due(0, 1_000_000).unwrap_or(0) - 1_000_000);
        assert!(kept >= all, "{kept} ms of {all} ms are still counted");
    }
}

//! A circuit breaker with a retry budget, one per target.

use std::time::{Duration, Instant};

/// Failures in a row that open the breaker.
const FAILURES: u32 = 5;
/// How long an open breaker lets nothing through.
const OPEN: Duration = Duration::from_secs(1);
/// What one call earns towards retries: one retry for five calls.
const EARNED: u32 = 20;
/// What one retry costs.
const COST: u32 = 100;
/// Most that can be saved: ten retries.
const SAVED_MAX: u32 = 1_000;

/// Lets calls through, or spares a target that does not answer.
#[derive(Debug)]
pub(super) struct Breaker {
    failures: u32,
    open_until: Option<Instant>,
    saved: u32,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { failures: 0, open_until: None, saved: SAVED_MAX }
    }
}

impl Breaker {
    /// Whether a call may go out. When the pause is over, one call is let through as a probe.
    pub(super) fn allows(&mut self) -> bool {
        let now = Instant::now();
        match self.open_until {
            Some(until) if now < until => false,
            Some(_) => {
                self.open_until = Some(now + OPEN);
                true
            }
            None => true,
        }
    }

    /// Notes how a call ended.
    pub(super) fn record(&mut self, is_up: bool) {
        self.saved = (self.saved + EARNED).min(SAVED_MAX);
        if is_up {
            self.failures = 0;
            self.open_until = None;
            return;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES {
            self.open_until = Some(Instant::now() + OPEN);
        }
    }

    /// Whether the budget has a retry left; takes it.
    pub(super) fn take_retry(&mut self) -> bool {
        let has_one = self.saved >= COST;
        if has_one {
            self.saved -= COST;
        }
        has_one
    }
}

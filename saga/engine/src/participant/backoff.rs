//! Pauses before a message comes again.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt as _;
use saga_core::Backoff;

/// Draws a number from 1 to the one it is given. Schedules put one of their own here, so that a
/// seed says everything.
pub(crate) type Jitter = Arc<dyn Fn(u64) -> u64 + Send + Sync>;

/// The jitter of a running participant.
pub(crate) fn random(most: u64) -> u64 {
    rand::rng().random_range(1..=most)
}

/// The pause after attempt number `attempt` (from 1): exponential, with full jitter.
pub(crate) fn pause(jitter: &Jitter, backoff: Backoff, attempt: u32) -> Duration {
    Duration::from_millis(jitter(backoff.pause_ms(attempt).max(1)))
}

/// A pause of `wait_ms` milliseconds and a little more, so that those who wait for the same moment
/// do not all come at once.
pub(crate) fn after(jitter: &Jitter, wait_ms: u64) -> Duration {
    Duration::from_millis(wait_ms.saturating_add(jitter(50)))
}

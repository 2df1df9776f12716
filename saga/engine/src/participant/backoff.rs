//! Pauses before a message comes again.

use std::time::Duration;

use rand::RngExt as _;
use saga_core::Backoff;

/// The pause after attempt number `attempt` (from 1): exponential, with full jitter.
pub(crate) fn pause(backoff: Backoff, attempt: u32) -> Duration {
    let most = backoff.pause_ms(attempt).max(1);
    Duration::from_millis(rand::rng().random_range(1..=most))
}

/// A pause of `wait_ms` milliseconds and a little more, so that those who wait for the same moment
/// do not all come at once.
pub(crate) fn after(wait_ms: u64) -> Duration {
    Duration::from_millis(wait_ms.saturating_add(rand::rng().random_range(1..=50)))
}

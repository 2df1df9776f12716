//! The server's clock. A coordinator's own wall clock is never asked.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_nats::jetstream::Context;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

/// Now, by the server: the time stamp of its last answer and the monotonic time since.
#[derive(Debug, Default)]
pub(super) struct ServerClock {
    known: Mutex<Option<Known>>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    server_ms: i64,
    at: Instant,
}

impl ServerClock {
    /// Milliseconds since the epoch; `None` until the server answered for the first time. Behind the
    /// server's clock by no more than the answer's way here, and never ahead of it.
    pub(super) fn now_ms(&self) -> Option<i64> {
        self.at(Instant::now())
    }

    fn at(&self, now: Instant) -> Option<i64> {
        let known = (*self.known.lock().unwrap_or_else(PoisonError::into_inner))?;
        Some(known.server_ms.saturating_add(millis(now.saturating_duration_since(known.at))))
    }

    /// Takes note of a time stamp in an answer that was received at `received`.
    pub(super) fn learn(&self, server_ms: i64, received: Instant) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Some(Known { server_ms, at: received });
    }

    /// Takes note that the server stored something at `server_ms`: it is at least so late by now.
    pub(super) fn at_least(&self, server_ms: i64) {
        let now = Instant::now();
        if self.at(now).is_some_and(|known_ms| known_ms < server_ms) {
            self.learn(server_ms, now);
        }
    }
}

/// A duration in milliseconds, as differences of times are counted.
pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// What a coordinator needs of a stream-info answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StreamFacts {
    /// When the stream was created, as the server writes it: tells one stream from a later one.
    pub(super) created: String,
    /// The last sequence, also when that message is gone.
    pub(super) last_sequence: u64,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    ts: Option<String>,
    #[serde(default)]
    created: Option<String>,
    #[serde(default)]
    state: Option<State>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct State {
    last_seq: u64,
}

/// Asks for a stream's facts, and sets the clock by the answer.
///
/// # Errors
/// Text for the log.
pub(super) async fn ask(
    context: &Context,
    stream: &str,
    clock: &ServerClock,
) -> Result<StreamFacts, String> {
    let subject = format!("STREAM.INFO.{stream}");
    let answer: Answer = context.request(subject, &()).await.map_err(|error| error.to_string())?;
    let received = Instant::now();
    if let Some(error) = answer.error {
        return Err(format!("the stream {stream} cannot be read: {error}"));
    }
    let (Some(created), Some(state)) = (answer.created, answer.state) else {
        return Err(format!("the answer about the stream {stream} is not complete"));
    };
    let server_ms = answer.ts.as_deref().and_then(epoch_ms);
    match server_ms {
        Some(server_ms) => clock.learn(server_ms, received),
        None => {
            return Err("the server's answer carries no time: is it older than 2.10?".to_owned());
        }
    }
    Ok(StreamFacts { created, last_sequence: state.last_seq })
}

fn epoch_ms(rfc3339: &str) -> Option<i64> {
    let time = async_nats::datetime::parse_rfc3339(rfc3339).ok()?;
    i64::try_from(time.unix_timestamp_nanos().div_euclid(1_000_000)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn now_is_the_servers_time_and_the_monotonic_time_since() {
        let clock = ServerClock::default();
        assert_eq!(clock.now_ms(), None);
        // An hour off from anything that this machine's clock could say.
        let received = Instant::now();
        clock.learn(1_000, received);
        assert_eq!(clock.at(received + Duration::from_millis(250)), Some(1_250));
        assert_eq!(clock.at(received), Some(1_000));
    }

    #[test]
    fn an_earlier_instant_never_turns_the_clock_back_below_the_answer() {
        let clock = ServerClock::default();
        let received = Instant::now() + Duration::from_secs(5);
        clock.learn(1_000, received);
        assert_eq!(clock.now_ms(), Some(1_000));
    }

    #[test]
    fn what_the_server_stored_moves_the_clock_forward_only() {
        let clock = ServerClock::default();
        clock.at_least(5_000);
        assert_eq!(clock.now_ms(), None, "an old message says nothing about now");
        let received = Instant::now() + Duration::from_secs(5);
        clock.learn(1_000, received);
        clock.at_least(900);
        assert_eq!(clock.now_ms(), Some(1_000));
        clock.at_least(2_000);
        assert!(clock.now_ms().is_some_and(|now_ms| now_ms >= 2_000));
    }

    #[test]
    fn time_stamps_of_the_server_are_read_to_the_millisecond() {
        assert_eq!(epoch_ms("1970-01-01T00:00:01.234567891Z"), Some(1_234));
        assert_eq!(epoch_ms("yesterday"), None);
    }
}

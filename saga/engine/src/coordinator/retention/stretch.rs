//! Stretches of the stream in which nothing is alive any more, taken out with one purge each.
//!
//! Purges of single messages cost the server nearly as much as the saga did. A purge of everything
//! before a sequence drops whole blocks, but lets the server write down the state of the stream with
//! all its subjects, while nothing can be appended. So it is done when a third of the stream can go:
//! then it costs each saga a thirtieth of what it cost to run. A coordinator notes now and then where
//! everything before belongs to sagas that have ended; once such a note is old enough, what lies
//! before it may go. One saga that stays open for long keeps this from happening; then its
//! neighbours leave one by one.

use std::collections::VecDeque;
use std::time::Duration;

use async_nats::jetstream::stream::{RawMessageErrorKind, Stream};
use serde::{Deserialize, Serialize};

use super::super::clock::millis;
use super::super::office::{Office, Track};
use super::{NAP, count};

/// Notes in one retention time, at most: they are part of every checkpoint.
const NOTES: u32 = 1_000;
/// Longest time between two notes.
const LONGEST: Duration = Duration::from_mins(10);
/// One part in so many of the stream goes at once, or more.
const SHARE: u64 = 3;

/// At a moment, everything before a sequence belonged to sagas that had ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Mark {
    /// The moment, by the server's clock.
    #[serde(rename = "t")]
    at_ms: i64,
    /// The sequence.
    #[serde(rename = "q")]
    before: u64,
}

/// The notes of one stream, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(in super::super) struct Marks(VecDeque<Mark>);

impl Marks {
    /// Adds a note, if it says more than the last one and that one is older than `interval_ms`.
    fn add(&mut self, mark: Mark, interval_ms: i64) {
        let says_more = self.0.back().is_none_or(|last| {
            mark.before > last.before && mark.at_ms.saturating_sub(last.at_ms) >= interval_ms
        });
        if says_more && mark.before > 1 {
            self.0.push_back(mark);
        }
    }

    /// What the last note says that was made by then.
    fn made_by(&self, at_ms: i64) -> Option<u64> {
        self.0.iter().take_while(|mark| mark.at_ms <= at_ms).last().map(|mark| mark.before)
    }

    /// Drops the notes that say no more than this.
    fn drop_to(&mut self, before: u64) {
        self.0.retain(|mark| mark.before > before);
    }
}

/// Time between two notes.
fn interval(retention: Duration) -> Duration {
    (retention / NOTES).clamp(NAP, LONGEST)
}

/// Past its time by this much, a saga leaves by itself: its stretch does not. At a steady rate a
/// third of the stream is half of the retention time.
pub(super) fn patience(retention: Duration) -> Duration {
    retention / 2 + interval(retention) * 2
}

/// Makes a note, and takes out what an old one names. Returns the sequence before which nothing is
/// left, if it took something out.
pub(super) async fn take_out(
    office: &Office,
    track: &Track,
    stream: &Stream<()>,
) -> Result<Option<u64>, String> {
    let retention = office.options.retention.retention;
    forget_removed(track, stream).await?;
    // The sequence first: whatever ended before it ended before this moment.
    let before = track.book().settled_before();
    let Some(at_ms) = office.clock.now_ms() else { return Ok(None) };
    let due = {
        let mut marks = track.marks();
        marks.add(Mark { at_ms, before }, millis(interval(retention)));
        marks.made_by(at_ms.saturating_sub(millis(retention)))
    };
    let Some(before) = due else { return Ok(None) };
    let state = stream.get_info().await.map_err(|error| error.to_string())?.state;
    if !is_worth_it(before, state.first_sequence, state.last_sequence) {
        return Ok(None);
    }
    let done = stream.purge().sequence(before).await.map_err(|error| error.to_string())?;
    track.marks().drop_to(before);
    count(track, done.purged);
    tracing::debug!(stream = track.stream, before, purged = done.purged, "a stretch is over");
    Ok(Some(before))
}

/// Whether what lies before a sequence is enough of the stream. Another coordinator may have taken
/// it already.
fn is_worth_it(before: u64, first: u64, last: u64) -> bool {
    let stretch = before.saturating_sub(first);
    stretch > 0 && stretch.saturating_mul(SHARE) > last.saturating_sub(first)
}

/// A message that nobody could read holds everything after it, until an operator purges it.
async fn forget_removed(track: &Track, stream: &Stream<()>) -> Result<(), String> {
    let Some(sequence) = track.book().first_unread() else { return Ok(()) };
    match stream.get_raw_message(sequence).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => {
            track.book().forget_unread(sequence);
            Ok(())
        }
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(all: &[(i64, u64)]) -> Marks {
        let mut marks = Marks::default();
        for &(at_ms, before) in all {
            marks.add(Mark { at_ms, before }, 10);
        }
        marks
    }

    #[test]
    fn a_note_is_made_when_there_is_something_new_and_time_has_passed() {
        let marks = marks(&[(0, 1), (0, 5), (9, 7), (10, 5), (10, 7), (11, 8), (20, 9)]);
        let kept: Vec<_> = marks.0.iter().map(|mark| (mark.at_ms, mark.before)).collect();
        assert_eq!(kept, [(0, 5), (10, 7), (20, 9)]);
    }

    #[test]
    fn the_last_note_that_is_old_enough_counts() {
        let mut marks = marks(&[(0, 5), (10, 7), (20, 9)]);
        assert_eq!(marks.made_by(-1), None);
        assert_eq!(marks.made_by(0), Some(5));
        assert_eq!(marks.made_by(19), Some(7));
        marks.drop_to(7);
        assert_eq!(marks.made_by(19), None);
        assert_eq!(marks.made_by(20), Some(9));
    }

    #[test]
    fn a_third_of_the_stream_is_worth_a_purge() {
        assert!(is_worth_it(35, 1, 100) && is_worth_it(101, 1, 100));
        assert!(!is_worth_it(34, 1, 100) && !is_worth_it(1, 1, 0));
        // Gone already.
        assert!(!is_worth_it(35, 35, 100) && !is_worth_it(35, 40, 100));
    }

    #[test]
    fn notes_are_few_and_not_too_far_apart() {
        assert_eq!(interval(Duration::from_secs(4)), NAP);
        assert_eq!(interval(Duration::from_hours(1)), Duration::from_millis(3_600));
        assert_eq!(interval(Duration::from_hours(24 * 365)), LONGEST);
    }
}

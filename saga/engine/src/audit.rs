//! Folds histories again: is every record what its event makes of the one before? And asks every
//! participant whether its own database says the same.
//!
//! [`fold`] checks one history, [`streams`] all of them, [`world`] compares them with everything
//! that participants keep.

use std::sync::Arc;

use saga_core::{Lie, Plan, verify, verify_start};

use crate::engine::Engine;
use crate::log::{ReadError, Stored};
use crate::wishes::Alarm;

pub mod ask;
mod reading;
mod world;

pub use world::{Found, FoundKind, Report, ServiceReport, world};

/// A record that is not the fold of its history.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("message {sequence} (event {n}): {lie}")]
pub struct Finding {
    /// Stream sequence of the message.
    pub sequence: u64,
    /// Number of the event.
    pub n: u64,
    /// What is wrong with it.
    #[source]
    pub lie: Lie,
}

/// Folds one saga's history, oldest event first, as [`crate::Log::history`] answers it. A history
/// that begins later than with `started` is what retention left: its first record stands for itself.
///
/// # Errors
/// The first record that is not what it must be.
pub fn fold(plan: &Plan, history: &[Stored]) -> Result<(), Finding> {
    let finding =
        |stored: &Stored, lie: Lie| Finding { sequence: stored.sequence, n: stored.record.n, lie };
    if let Some(first) = history.first().filter(|first| first.record.n == 1) {
        verify_start(plan, &first.record).map_err(|lie| finding(first, lie))?;
    }
    for pair in history.windows(2) {
        let [before, found] = pair else { continue };
        verify(plan, before.record.clone(), before.sequence, &found.record)
            .map_err(|lie| finding(found, lie))?;
    }
    Ok(())
}

/// Reads all streams of `plans` from their first message to their last and checks every message:
/// records that are not the fold of their history, writes that slipped past the check, missing
/// events, messages that are no records, unknown definitions. Sagas that are stuck are listed, too.
/// Nothing is changed. Empty: all is well.
///
/// # Errors
/// When a stream cannot be read.
pub async fn streams(engine: &Engine, plans: &[Arc<Plan>]) -> Result<Vec<Alarm>, ReadError> {
    crate::coordinator::audit(engine, plans).await
}

#[cfg(test)]
mod tests {
    use saga_core::{Author, Change, Definition, Event, Record, Status, Step};
    use serde_json::json;

    use super::*;
    use crate::log::Trace;

    fn stored(record: Record, sequence: u64) -> Stored {
        Stored { record, sequence, at_ms: 0, append_id: None, trace: Trace::default() }
    }

    fn history() -> (Plan, Vec<Stored>) {
        let step = Step::compensable("flight", "air").timeout_ms(1_000);
        let plan = Plan::new(Definition::new("trip", 1).step(step)).unwrap();
        let first = Record::start(&plan, "a", json!({})).unwrap();
        let done = Event::new(Author::service("air"), Change::done("flight", json!({"seat": 1})));
        let second = first.next(&plan, 3, done).unwrap();
        (plan, vec![stored(first, 3), stored(second, 9)])
    }

    #[test]
    fn an_honest_history_folds_also_when_only_its_end_is_left() {
        let (plan, mut history) = history();
        assert_eq!(fold(&plan, &history), Ok(()));
        history.remove(0);
        assert_eq!(fold(&plan, &history), Ok(()));
        assert_eq!(fold(&plan, &[]), Ok(()));
    }

    #[test]
    fn a_lying_record_is_named() {
        let (plan, mut history) = history();
        history[1].record.status = Status::RolledBack;
        let finding = fold(&plan, &history).unwrap_err();
        assert_eq!((finding.sequence, finding.n), (9, 2));
        assert_eq!(finding.lie, Lie::Differs("the status"));
    }
}

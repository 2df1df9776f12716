//! The alarms that are raised now: logged once, counted, listed.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::wishes::{Alarm, AlarmKind};

/// Most alarms that are kept: beyond it they are only logged and counted.
const KEPT: usize = 10_000;

type Key = (AlarmKind, String, String);

/// The alarms of one coordinator.
#[derive(Debug, Default)]
pub(super) struct AlarmBoard {
    raised: Mutex<BTreeMap<Key, (i64, String)>>,
}

impl AlarmBoard {
    /// Raises an alarm, unless it is raised already.
    pub(super) fn raise(
        &self,
        kind: AlarmKind,
        saga_type: &str,
        about: &str,
        now_ms: i64,
        detail: String,
    ) {
        let mut raised = self.raised.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (kind, saga_type.to_owned(), about.to_owned());
        if raised.contains_key(&key) {
            return;
        }
        tracing::warn!(alarm = kind.as_str(), saga_type, about, "{detail}");
        metrics::counter!("saga_alarms_total", "kind" => kind.as_str(), "type" => saga_type.to_owned())
            .increment(1);
        if raised.len() < KEPT {
            raised.insert(key, (now_ms, detail));
        }
    }

    /// Ends an alarm; nothing happens when it is not raised.
    pub(super) fn clear(&self, kind: AlarmKind, saga_type: &str, about: &str) {
        let mut raised = self.raised.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (kind, saga_type.to_owned(), about.to_owned());
        if raised.remove(&key).is_some() {
            tracing::info!(alarm = kind.as_str(), saga_type, about, "the alarm is over");
        }
    }

    /// Ends every alarm about sagas of a type: their stream is another one now.
    pub(super) fn clear_all(&self, saga_type: &str) {
        let mut raised = self.raised.lock().unwrap_or_else(PoisonError::into_inner);
        raised.retain(|(_, of, _), _| of != saga_type);
    }

    /// How many are raised.
    pub(super) fn count(&self) -> usize {
        self.raised.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The raised ones, oldest first, at most `limit`; and how many there are.
    pub(super) fn list(&self, saga_type: Option<&str>, limit: usize) -> (Vec<Alarm>, usize) {
        let raised = self.raised.lock().unwrap_or_else(PoisonError::into_inner);
        let of_type =
            raised.iter().filter(|((_, of, _), _)| saga_type.is_none_or(|wanted| of == wanted));
        let mut found: Vec<Alarm> = of_type
            .map(|((kind, saga_type, about), (since_ms, detail))| Alarm {
                kind: *kind,
                saga_type: saga_type.clone(),
                about: about.clone(),
                since_ms: *since_ms,
                detail: detail.clone(),
            })
            .collect();
        found.sort_by_key(|alarm| alarm.since_ms);
        let total = found.len();
        found.truncate(limit);
        (found, total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_is_raised_once_and_ends() {
        let board = AlarmBoard::default();
        board.raise(AlarmKind::Late, "trip", "a/mail", 20, "late".to_owned());
        board.raise(AlarmKind::Late, "trip", "a/mail", 30, "late again".to_owned());
        board.raise(AlarmKind::Stuck, "order", "b", 10, "stuck".to_owned());
        let (found, total) = board.list(None, 10);
        assert_eq!((found[0].about.as_str(), found[1].since_ms, total), ("b", 20, 2));
        assert_eq!(board.list(Some("trip"), 10).1, 1);
        board.clear(AlarmKind::Late, "trip", "a/mail");
        board.clear_all("order");
        assert_eq!(board.count(), 0);
    }
}

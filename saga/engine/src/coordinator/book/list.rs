//! The list of remembered sagas, newest start first.

use saga_core::Status;

use super::Book;
use crate::wishes::Summary;

/// A saga's place in a list: time of its start, type, id. Lists go from the greatest to the least.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::coordinator) struct Place {
    pub(in crate::coordinator) started_ms: i64,
    pub(in crate::coordinator) id: String,
    pub(in crate::coordinator) saga_type: String,
}

impl Place {
    pub(in crate::coordinator) fn of(summary: &Summary) -> Self {
        Self {
            started_ms: summary.started_ms,
            id: summary.id.clone(),
            saga_type: summary.saga_type.clone(),
        }
    }

    /// Reads a cursor.
    pub(in crate::coordinator) fn parse(cursor: &str) -> Option<Self> {
        let mut parts = cursor.split('~');
        let place = Self {
            started_ms: parts.next()?.parse().ok()?,
            id: parts.next()?.to_owned(),
            saga_type: parts.next()?.to_owned(),
        };
        parts.next().is_none().then_some(place)
    }

    /// As a cursor.
    pub(in crate::coordinator) fn cursor(&self) -> String {
        format!("{}~{}~{}", self.started_ms, self.id, self.saga_type)
    }
}

impl Book {
    /// At most `limit` sagas with one of `status` (empty: any) that come after `after` in the list.
    pub(in crate::coordinator) fn list(
        &self,
        saga_type: &str,
        status: &[Status],
        after: Option<&Place>,
        limit: usize,
    ) -> Vec<Summary> {
        let of = |(_, id): &(i64, String)| self.summary(saga_type, id);
        let is_wanted = |summary: &Summary| {
            (status.is_empty() || status.contains(&summary.status))
                && after.is_none_or(|after| Place::of(summary) < *after)
        };
        let candidates: Box<dyn Iterator<Item = &(i64, String)>> = match after {
            None => Box::new(self.index.iter().rev()),
            // The type decides between two of one time and id: that place itself is looked at again.
            Some(after) => {
                let last = (after.started_ms, after.id.clone());
                Box::new(self.index.range(..=last).rev())
            }
        };
        candidates.filter_map(of).filter(is_wanted).take(limit).collect()
    }

    fn summary(&self, saga_type: &str, id: &str) -> Option<Summary> {
        let (saga_type, id) = (saga_type.to_owned(), id.to_owned());
        if let Some(it) = self.open.get(&id) {
            let (status, n, sequence) = (it.status, it.n, it.sequence);
            let (started_ms, at_ms, cause) = (it.started_ms, it.at_ms, it.cause.clone());
            return Some(Summary { saga_type, id, status, n, sequence, started_ms, at_ms, cause });
        }
        let it = self.ended.get(&id)?;
        let (status, n, sequence) = (it.status, it.n, it.sequence);
        let (started_ms, at_ms, cause) = (it.started_ms, it.at_ms, it.cause.clone());
        Some(Summary { saga_type, id, status, n, sequence, started_ms, at_ms, cause })
    }
}

//! An order's progress as server-sent events.

use futures::stream::{self, Stream};
use jetsaga_contracts::http::order::OrderStatus;
use jetsaga_contracts::time::Timestamp;
use poem_openapi::Object;
use saga_engine::saga_core::Status;
use saga_engine::{Follower, Stored};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::view;

/// One step of an order, as it happens. The event's id is the sequence in the stream.
#[derive(Debug, Clone, Serialize, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct Progress {
    /// The sequence in the stream: send the last one as `Last-Event-ID` to go on after it.
    #[serde(skip)]
    #[oai(skip)]
    pub sequence: u64,
    /// Number of the event, from 1.
    pub n: u64,
    /// The step, or `saga`.
    pub step: String,
    /// What happened to it: `started`, `done`, `failed`, `undone`, …
    pub event: String,
    /// Where the saga stands after it: `running`, `rolling_back`, `completed`, `rolled_back`,
    /// `stuck`.
    pub saga: String,
    /// Where the order stands after it.
    pub order: OrderStatus,
    /// Why, where there is a reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<jetsaga_contracts::http::order::Reason>,
    /// When the server stored it.
    pub at: Timestamp,
}

impl Progress {
    /// An event of a saga.
    pub fn of(stored: &Stored) -> Self {
        let record = &stored.record;
        Self {
            sequence: stored.sequence,
            n: record.n,
            step: record.event.step.clone(),
            event: record.event.kind.to_string(),
            saga: record.status.to_string(),
            order: view::status(record.status),
            reason: view::reason(record),
            at: view::time(stored.at_ms),
        }
    }

    /// Whether nothing follows.
    pub fn is_last(&self) -> bool {
        Status::parse(&self.saga).is_some_and(Status::is_end)
    }
}

/// The events of a follower until the saga's end, or until the program stops.
pub fn progress(follower: Follower, stop: CancellationToken) -> impl Stream<Item = Progress> {
    stream::unfold((follower, stop), |(mut follower, stop)| async move {
        let next = stop.run_until_cancelled(follower.next()).await?;
        match next {
            Ok(stored) => stored.map(|stored| (Progress::of(&stored), (follower, stop))),
            Err(error) => {
                // The client comes back with the id of the last event that it has.
                tracing::warn!(%error, "an event stream broke off");
                None
            }
        }
    })
}

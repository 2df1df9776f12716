//! A running participant, as its host holds it.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::meter::{Meter, Stats};
use super::valve::Valve;

/// Time to send what was still to be sent when a participant stops.
const FLUSH: Duration = Duration::from_secs(2);

/// A running participant. Dropped without [`ParticipantHandle::shutdown`] it stops at once, as if
/// its process had died: what is in hand comes again when the consumers' `ack_wait` has passed.
#[derive(Debug)]
pub struct ParticipantHandle {
    client: async_nats::Client,
    meter: Arc<Meter>,
    valve: Valve,
    ends: Ends,
    tasks: TaskTracker,
    pulls: Vec<JoinHandle<()>>,
    // Its endpoints go when it goes.
    endpoints: Option<async_nats::service::Service>,
}

/// The ways in which a participant ends.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ends {
    /// Stops pulling.
    pub(crate) stop: CancellationToken,
    /// Hands back what is in hand.
    pub(crate) hand_back: CancellationToken,
    /// Lets go of what is in hand without a word.
    pub(crate) died: CancellationToken,
}

impl ParticipantHandle {
    pub(crate) fn new(
        client: async_nats::Client,
        meter: Arc<Meter>,
        valve: Valve,
        ends: Ends,
        tasks: TaskTracker,
        pulls: Vec<JoinHandle<()>>,
        endpoints: async_nats::service::Service,
    ) -> Self {
        Self { client, meter, valve, ends, tasks, pulls, endpoints: Some(endpoints) }
    }

    /// Takes up no new steps until [`ParticipantHandle::resume`]; rollbacks and endings go on.
    pub fn pause(&self) {
        self.valve.close();
    }

    /// Takes up steps again.
    pub fn resume(&self) {
        self.valve.open();
    }

    /// What it has done since it started.
    pub fn stats(&self) -> Stats {
        self.meter.stats()
    }

    /// Stops pulling, finishes what is in hand within `limit`, and hands back the rest. Returns how
    /// many messages were handed back.
    pub async fn shutdown(mut self, limit: Duration) -> usize {
        self.ends.stop.cancel();
        for pull in self.pulls.drain(..) {
            if let Err(error) = pull.await {
                tracing::error!(%error, "a pull ended badly");
            }
        }
        self.tasks.close();
        let is_done = tokio::time::timeout(limit, self.tasks.wait()).await.is_ok();
        let left = self.tasks.len();
        if !is_done {
            tracing::warn!(left, "not everything was finished in time: handed back");
            self.ends.hand_back.cancel();
            self.tasks.wait().await;
        }
        if let Some(endpoints) = self.endpoints.take()
            && let Err(error) = endpoints.stop().await
        {
            tracing::debug!(%error, "the endpoints were not stopped");
        }
        // Acknowledgements are only published: see them off before the process ends.
        if let Ok(Err(error)) = tokio::time::timeout(FLUSH, self.client.flush()).await {
            tracing::debug!(%error, "not everything was sent");
        }
        left
    }
}

impl Drop for ParticipantHandle {
    fn drop(&mut self) {
        self.ends.stop.cancel();
        self.ends.died.cancel();
        for pull in &self.pulls {
            pull.abort();
        }
    }
}

//! Keeps an eye on the provider: while it is down no new charge is taken up.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use saga_engine::Valve;
use tokio_util::sync::CancellationToken;

use super::{Charge, Fate, Provider, ProviderError, Receipt, Refund};

/// So many calls in a row without an answer mean that it is down, and not only one charge unlucky.
const MISSES: u32 = 16;
/// How often a provider that is down is asked whether it is back.
const PROBE: Duration = Duration::from_millis(500);
/// A key that no charge has.
const PROBE_KEY: &str = "health";

/// A provider whose silence closes a valve; it is opened again when the provider answers.
#[derive(Clone)]
pub struct Watched {
    provider: Arc<dyn Provider>,
    valve: Valve,
    misses: Arc<AtomicU32>,
    stop: CancellationToken,
}

impl Watched {
    /// Watches `provider` until `stop`.
    pub fn new(provider: Arc<dyn Provider>, valve: Valve, stop: CancellationToken) -> Self {
        Self { provider, valve, misses: Arc::default(), stop }
    }

    fn note<T>(&self, answer: Result<T, ProviderError>) -> Result<T, ProviderError> {
        let is_silent =
            matches!(answer, Err(ProviderError::Transient { .. } | ProviderError::Unknown { .. }));
        if !is_silent {
            self.misses.store(0, Ordering::Relaxed);
        } else if self.misses.fetch_add(1, Ordering::Relaxed) + 1 == MISSES && self.valve.is_open()
        {
            tracing::warn!("the payment provider is down: no new charges until it answers");
            self.valve.close();
            tokio::spawn(self.clone().wait_until_back());
        }
        answer
    }

    async fn wait_until_back(self) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(PROBE) => {}
                () = self.stop.cancelled() => return,
            }
            if self.provider.status(PROBE_KEY).await.is_ok() {
                break;
            }
        }
        tracing::warn!("the payment provider answers again");
        self.misses.store(0, Ordering::Relaxed);
        self.valve.open();
    }
}

#[async_trait]
impl Provider for Watched {
    async fn charge(&self, charge: &Charge, key: &str) -> Result<Receipt, ProviderError> {
        self.note(self.provider.charge(charge, key).await)
    }

    async fn cancel(&self, key: &str) -> Result<Fate, ProviderError> {
        self.note(self.provider.cancel(key).await)
    }

    async fn refund(&self, refund: &Refund, key: &str) -> Result<String, ProviderError> {
        self.note(self.provider.refund(refund, key).await)
    }

    async fn status(&self, key: &str) -> Result<Fate, ProviderError> {
        self.note(self.provider.status(key).await)
    }
}

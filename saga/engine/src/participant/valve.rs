//! Stops a participant from taking up new work while something it depends on is down.

use std::sync::Arc;

use tokio::sync::watch;

/// Closes and opens a participant's forward consumer. Rollbacks and endings go on meanwhile.
///
/// Hand a clone to whoever knows (a circuit breaker) and one to
/// [`Participant::valve`](crate::Participant::valve).
#[derive(Debug, Clone)]
pub struct Valve(Arc<watch::Sender<bool>>);

impl Default for Valve {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(true)))
    }
}

impl Valve {
    /// Takes up no new work until [`Valve::open`].
    pub fn close(&self) {
        self.0.send_replace(false);
    }

    /// Takes up work again.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    /// Whether work is taken up.
    pub fn is_open(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until the valve is open (`true`) or closed.
    pub(crate) async fn until(&self, open: bool) {
        let mut watcher = self.0.subscribe();
        // The sender lives in `self`, so this ends only with the wanted state.
        if watcher.wait_for(|&is_open| is_open == open).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

//! Takes away what a test left on the server.
//!
//! A saga's stream with its consumers is some twenty Raft groups on a cluster, each of which has
//! something to say every second for as long as the server runs. The groups of two hundred tests
//! that are over would take more of the machine than the tests that run.

use std::thread;
use std::time::Duration;

use async_nats::ConnectOptions;
use async_nats::jetstream;
use futures::TryStreamExt as _;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Longest time for what one test left.
const PATIENCE: Duration = Duration::from_secs(30);

/// An account that is in use: by whoever holds it, and by each of its connections.
#[derive(Debug)]
pub(super) struct Lease {
    url: String,
    over: UnboundedSender<String>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Without a janitor all stays until the server ends.
        let _gone = self.over.send(std::mem::take(&mut self.url));
    }
}

/// Deletes the streams of accounts that nobody uses any more, in a thread of its own: the runtime
/// of the test is gone by then.
#[derive(Debug)]
pub(super) struct Janitor(UnboundedSender<String>);

impl Janitor {
    pub(super) fn start() -> Self {
        let (over, accounts) = unbounded_channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            match runtime {
                Ok(runtime) => runtime.block_on(clear(accounts)),
                Err(why) => tracing::warn!(%why, "what tests leave stays on the server"),
            }
        });
        Self(over)
    }

    /// The account of this URL is in use.
    pub(super) fn lease(&self, url: &str) -> Lease {
        Lease { url: url.to_owned(), over: self.0.clone() }
    }
}

async fn clear(mut accounts: UnboundedReceiver<String>) {
    while let Some(url) = accounts.recv().await {
        match tokio::time::timeout(PATIENCE, delete_streams(&url)).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => tracing::debug!(why, "a test's streams stay on the server"),
            Err(_) => tracing::debug!("a test's streams stay on the server: it is too slow"),
        }
    }
}

async fn delete_streams(url: &str) -> Result<(), String> {
    let client = crate::connect(url, ConnectOptions::new()).await;
    let context = jetstream::new(client.map_err(|why| why.to_string())?);
    let names: Vec<String> =
        context.stream_names().try_collect().await.map_err(|why| why.to_string())?;
    for name in names {
        context.delete_stream(name).await.map_err(|why| why.to_string())?;
    }
    Ok(())
}

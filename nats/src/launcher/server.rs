//! A server in use: one that was there, or one that was started.

use std::time::Duration;

use super::process::Process;
use super::version::Version;

/// How long a server may take to close its streams before it is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(30);

/// The server that [`super::Launcher::start`] found or started.
///
/// Dropping it stops a started server too, but does not wait for the end: prefer [`Server::stop`].
#[derive(Debug)]
pub struct Server {
    pub(super) url: String,
    pub(super) version: Version,
    pub(super) started: Option<Started>,
}

/// What is known of a server that was started here.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) process: Process,
    pub(super) pid: u32,
}

impl Server {
    /// Where clients connect, with the credentials that [`super::Options::url`] had.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The port of a started server on 127.0.0.1; `None` for one that was there.
    pub fn port(&self) -> Option<u16> {
        self.started.as_ref()?;
        self.url.rsplit_once(':').and_then(|(_host, port)| port.parse().ok())
    }

    /// Its version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The process id of a started server; `None` for one that was there.
    pub fn pid(&self) -> Option<u32> {
        self.started.as_ref().map(|started| started.pid)
    }

    /// Returns when a started server has ended, wanted or not; never for one that was there.
    pub async fn ended(&self) {
        match &self.started {
            Some(started) => started.process.ended().await,
            None => std::future::pending().await,
        }
    }

    /// Stops a started server and waits for its end; one that was there goes on.
    ///
    /// It closes its streams first; what takes longer than 30 s is killed, which loses nothing that
    /// was acknowledged. A second call does nothing.
    pub async fn stop(&self) {
        let Some(Started { process, .. }) = &self.started else { return };
        process.signal("TERM");
        if tokio::time::timeout(STOP_PATIENCE, process.ended()).await.is_err() {
            tracing::warn!("the NATS server does not stop: killing it");
            process.signal("KILL");
            process.ended().await;
        }
    }

    /// Kills a started server and waits at most `patience` for its end, without a runtime.
    #[cfg(feature = "testing")]
    pub(crate) fn kill_within(&self, patience: Duration) {
        let Some(Started { process, .. }) = &self.started else { return };
        process.signal("KILL");
        let deadline = std::time::Instant::now() + patience;
        while !process.has_ended() && std::time::Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Kills a started server as a crash would, and waits for its end: for tests.
    pub async fn kill(&self) {
        if let Some(Started { process, .. }) = &self.started {
            process.signal("KILL");
            process.ended().await;
        }
    }
}

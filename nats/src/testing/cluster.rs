//! Three servers of a test's own.

use std::array;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::own::start;
use crate::launcher::{Config, Server};

/// How many servers a cluster has.
pub(super) const SERVERS: usize = 3;

/// How many replicas a stream can have where this client is connected: 3 in a cluster, else 1.
pub fn replicas(client: &async_nats::Client) -> u32 {
    if client.server_info().cluster.is_some() { 3 } else { 1 }
}

/// A cluster that only one test uses: the servers of the example `nats/server/cluster-*.conf` on
/// other ports, as processes, with their stores in a temporary directory. All is gone when it is
/// dropped.
#[derive(Debug)]
pub struct OwnCluster {
    servers: [Server; SERVERS],
    files: [PathBuf; SERVERS],
    directory: TempDir,
}

/// Starts three servers. They have no leader yet: applying a topology waits for one.
///
/// # Panics
/// When they cannot be started.
pub async fn own_cluster() -> OwnCluster {
    let directory = tempfile::Builder::new().prefix("jetsaga-own-cluster-").tempdir();
    let directory = directory.expect("the temporary directory can be written, or no test can run");
    let files = configurations(directory.path(), "");
    let files = files.expect("the examples can be read, or the checkout is not whole");
    let servers = started_all(directory.path(), &files).await;
    OwnCluster { servers, files, directory }
}

impl OwnCluster {
    /// Where clients connect, all three with commas; the same after a restart.
    pub fn url(&self) -> String {
        self.servers.each_ref().map(Server::url).join(",")
    }

    /// Kills the server of this number, 1 to 3, as a crash would (SIGKILL), and waits for its end.
    pub async fn kill(&self, number: usize) {
        self.servers[number - 1].kill().await;
    }

    /// Kills the server that leads a stream, as its information names it; returns its number.
    ///
    /// # Panics
    /// When that is none of ours.
    pub async fn kill_leader(&self, leader: &str) -> usize {
        let number = Self::number(leader);
        self.kill(number).await;
        number
    }

    /// The number of a server by its name, `jetsaga-1` to `jetsaga-3`.
    ///
    /// # Panics
    /// When that is none of ours.
    pub fn number(name: &str) -> usize {
        let number = name.strip_prefix("jetsaga-").and_then(|number| number.parse().ok());
        number.expect("the examples call the servers jetsaga-1 to jetsaga-3")
    }

    /// Stops the server of this number in its tracks (SIGSTOP): its connections stay open, and
    /// nobody answers.
    ///
    /// # Panics
    /// When it does not run.
    pub fn pause(&self, number: usize) {
        self.signal(number, "STOP");
    }

    /// Lets a paused server go on.
    ///
    /// # Panics
    /// When it does not run.
    pub fn resume(&self, number: usize) {
        self.signal(number, "CONT");
    }

    fn signal(&self, number: usize, name: &str) {
        let pid = self.servers[number - 1].pid().unwrap_or_default().to_string();
        let status = Command::new("sh").args(["-c", "kill -$0 $1", name, &pid]).status();
        assert!(status.is_ok_and(|status| status.success()), "server {number} does not run");
    }

    /// Starts the server of this number again on the same port and store; one that still runs is
    /// killed first.
    ///
    /// # Panics
    /// When it cannot be started.
    pub async fn restart(&mut self, number: usize) {
        self.kill(number).await;
        let index = number - 1;
        let port = self.servers[index].port();
        self.servers[index] = started(self.directory.path(), &self.files, index, port).await;
    }
}

impl Drop for OwnCluster {
    fn drop(&mut self) {
        // Else they would still write into the directory while that is removed.
        for server in &self.servers {
            server.kill_within(Duration::from_secs(5));
        }
    }
}

/// Starts the three servers of these configurations, with their stores in the directory.
pub(super) async fn started_all(directory: &Path, files: &[PathBuf; SERVERS]) -> [Server; SERVERS] {
    let [first, second, third] = array::from_fn(|index| started(directory, files, index, None));
    [first.await, second.await, third.await]
}

async fn started(
    directory: &Path,
    files: &[PathBuf; SERVERS],
    index: usize,
    port: Option<u16>,
) -> Server {
    let store = directory.join(format!("store-{}", index + 1));
    start(&store, &Config::File(files[index].clone()), port).await
}

/// The examples with ports that are free: others may take them meanwhile, but hardly the same. What
/// is `extra` is added to each.
pub(super) fn configurations(directory: &Path, extra: &str) -> io::Result<[PathBuf; SERVERS]> {
    let mut listeners = Vec::new();
    for _ in 0..2 * SERVERS {
        listeners.push(TcpListener::bind("127.0.0.1:0")?);
    }
    let mut ports = Vec::new();
    for listener in &listeners {
        ports.push(listener.local_addr()?.port());
    }
    let files = array::from_fn(|index| directory.join(format!("cluster-{}.conf", index + 1)));
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("server");
    for (file, number) in files.iter().zip(1..) {
        let mut text = std::fs::read_to_string(examples.join(format!("cluster-{number}.conf")))?;
        for (server, pair) in (1..).zip(ports.chunks(2)) {
            text = text.replace(&format!(":622{server}"), &format!(":{}", pair[0]));
            text = text.replace(&format!(":822{server}"), &format!(":{}", pair[1]));
        }
        let store = directory.join(format!("store-{number}")).join("streams");
        text = text.replace(&format!("data/nats-{number}"), &store.to_string_lossy());
        std::fs::write(file, format!("{text}\n{extra}\n"))?;
    }
    Ok(files)
}

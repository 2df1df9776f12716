//! The servers of a cluster as processes.

use std::array;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::super::own::start;
use super::SERVERS;
use super::configuration::{Configuration, configurations};
use super::routes::Routes;
use crate::launcher::{Config, Server};

/// Servers, and their configurations.
pub(crate) type Started = ([Server; SERVERS], [PathBuf; SERVERS]);

/// Three processes, with their stores in a temporary directory. All is gone when it is dropped.
#[derive(Debug)]
pub(super) struct Processes {
    servers: [Server; SERVERS],
    files: [PathBuf; SERVERS],
    directory: TempDir,
}

impl Processes {
    pub(super) async fn start() -> Self {
        let directory = temporary();
        let (servers, files) = started_in(directory.path(), "").await;
        Self { servers, files, directory }
    }

    /// Three processes that reach each other through a network of the test's.
    pub(super) async fn with_routes() -> (Self, Routes) {
        let directory = temporary();
        let ((servers, files), routes) = started_with_routes_in(directory.path(), "").await;
        (Self { servers, files, directory }, routes)
    }

    pub(super) fn url(&self) -> String {
        self.servers.each_ref().map(Server::url).join(",")
    }

    pub(super) fn url_of(&self, index: usize) -> &str {
        self.servers[index].url()
    }

    pub(super) async fn kill(&self, index: usize) {
        self.servers[index].kill().await;
    }

    pub(super) fn signal(&self, index: usize, name: &str) {
        let pid = self.servers[index].pid().unwrap_or_default().to_string();
        let status = Command::new("sh").args(["-c", "kill -$0 $1", name, &pid]).status();
        assert!(status.is_ok_and(|status| status.success()), "server {index} does not run");
    }

    pub(super) async fn restart(&mut self, index: usize) {
        let port = self.servers[index].port();
        self.servers[index] = started(self.directory.path(), &self.files[index], index, port).await;
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        // Else they would still write into the directory while that is removed.
        for server in &self.servers {
            server.kill_within(Duration::from_secs(5));
        }
    }
}

/// Starts three servers with their stores in the directory, and what is `extra` added to the
/// configuration of each.
pub(crate) async fn started_in(directory: &Path, extra: &str) -> Started {
    started_with(directory, &all_in(directory, extra)).await
}

/// The same; they reach each other through a network of the test's.
pub(crate) async fn started_with_routes_in(directory: &Path, extra: &str) -> (Started, Routes) {
    let mut all = all_in(directory, extra);
    let ports = all.each_ref().map(|it| it.route);
    let (routes, through) = Routes::before(ports).expect("127.0.0.1 has free ports");
    let ports: Vec<_> = ports.into_iter().zip(through).collect();
    for configuration in &mut all {
        configuration.go_through(&ports);
    }
    (started_with(directory, &all).await, routes)
}

fn temporary() -> TempDir {
    let directory = tempfile::Builder::new().prefix("jetsaga-own-cluster-").tempdir();
    directory.expect("the temporary directory can be written")
}

fn all_in(directory: &Path, extra: &str) -> [Configuration; SERVERS] {
    let store = |number| directory.join(format!("store-{number}/streams"));
    let all = configurations(|number| store(number).to_string_lossy().into_owned(), extra);
    all.expect("the examples can be read, or the checkout is not whole")
}

async fn started_with(directory: &Path, all: &[Configuration; SERVERS]) -> Started {
    let files = array::from_fn(|index| directory.join(format!("cluster-{}.conf", index + 1)));
    for (file, configuration) in files.iter().zip(all) {
        std::fs::write(file, &configuration.text).expect("the temporary directory can be written");
    }
    let start = |index: usize| started(directory, &files[index], index, Some(all[index].port));
    let servers = [start(0).await, start(1).await, start(2).await];
    (servers, files)
}

async fn started(directory: &Path, file: &Path, index: usize, port: Option<u16>) -> Server {
    let store = directory.join(format!("store-{}", index + 1));
    start(&store, &Config::File(file.to_owned()), port).await
}

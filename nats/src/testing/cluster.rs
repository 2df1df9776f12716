//! Three servers of a test's own.

use std::time::Duration;

use super::broker::{Wish, say};

mod configuration;
mod containers;
mod processes;
mod routes;

pub(super) use containers::Containers;
pub(super) use processes::{started_in, started_with_routes_in};
pub(super) use routes::Routes;

use processes::Processes;

/// How many servers a cluster has.
const SERVERS: usize = 3;

/// How many replicas a stream can have where this client is connected: 3 in a cluster, else 1.
pub fn replicas(client: &async_nats::Client) -> u32 {
    if client.server_info().cluster.is_some() { 3 } else { 1 }
}

/// A cluster that only one test uses: the servers of the example `nats/server/cluster-*.conf` on
/// other ports. All is gone when it is dropped.
#[derive(Debug)]
pub struct OwnCluster(Home);

/// What the servers run in.
#[derive(Debug)]
enum Home {
    Containers(Box<Containers>),
    Processes(Box<Processes>),
}

/// Starts three servers, in containers where an engine answers, as processes where none does (or
/// where `JETSAGA_TEST_NATS` is `process`). They have no leader yet: applying a topology waits for
/// one.
///
/// # Panics
/// When they cannot be started.
pub async fn own_cluster() -> OwnCluster {
    if Wish::from_environment() == Wish::Process {
        return own_cluster_of_processes().await;
    }
    match Containers::start("").await {
        Ok(containers) => OwnCluster(Home::Containers(Box::new(containers))),
        Err(why) => {
            say(&format!("{why}: the servers of a cluster are processes"));
            own_cluster_of_processes().await
        }
    }
}

/// Starts three servers as processes, whatever else there is.
///
/// # Panics
/// When they cannot be started.
pub async fn own_cluster_of_processes() -> OwnCluster {
    OwnCluster(Home::Processes(Box::new(Processes::start().await)))
}

/// A cluster of processes whose replicas can be made to hear of everything late: they lag behind
/// what clients were told.
#[derive(Debug)]
pub struct LaggingCluster {
    servers: Processes,
    routes: Routes,
}

/// Starts three servers as processes whose routes go through this test. They have no leader yet,
/// and nothing takes long yet.
///
/// # Panics
/// When they cannot be started.
pub async fn lagging_cluster() -> LaggingCluster {
    let (servers, routes) = Processes::with_routes().await;
    LaggingCluster { servers, routes }
}

impl LaggingCluster {
    /// Where clients of the server of this number, 1 to 3, connect.
    ///
    /// # Panics
    /// When there is no such server.
    pub fn url_of(&self, number: usize) -> &str {
        self.servers.url_of(number - 1)
    }

    /// From now on what the servers tell each other of their streams takes this long, and so does
    /// what a leader is asked through another server. What clients publish and are answered passes
    /// at once, as it always does.
    pub fn lag(&self, delay: Duration) {
        self.routes.delay(delay);
    }
}

impl OwnCluster {
    /// Where clients connect, all three with commas; the same after a restart.
    pub fn url(&self) -> String {
        match &self.0 {
            Home::Containers(containers) => containers.url(),
            Home::Processes(processes) => processes.url(),
        }
    }

    /// Whether its servers run in containers; else they are processes.
    pub fn is_in_containers(&self) -> bool {
        matches!(self.0, Home::Containers(_))
    }

    /// Kills the server of this number, 1 to 3, as a crash would (SIGKILL), and waits for its end.
    ///
    /// # Panics
    /// When its engine refuses.
    pub async fn kill(&self, number: usize) {
        match &self.0 {
            Home::Containers(containers) => {
                containers.kill(number - 1).await.expect("the engine kills a container");
            }
            Home::Processes(processes) => processes.kill(number - 1).await,
        }
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

    /// Stops the server of this number in its tracks: its connections stay open, and nobody
    /// answers.
    ///
    /// # Panics
    /// When it does not run.
    pub async fn pause(&self, number: usize) {
        match &self.0 {
            Home::Containers(containers) => {
                containers.pause(number - 1).await.expect("a container that runs is paused");
            }
            Home::Processes(processes) => processes.signal(number - 1, "STOP"),
        }
    }

    /// Lets a paused server go on.
    ///
    /// # Panics
    /// When it does not run.
    pub async fn resume(&self, number: usize) {
        match &self.0 {
            Home::Containers(containers) => {
                containers.resume(number - 1).await.expect("a paused container goes on");
            }
            Home::Processes(processes) => processes.signal(number - 1, "CONT"),
        }
    }

    /// Starts the server of this number again on the same port and store; one that still runs is
    /// killed first.
    ///
    /// # Panics
    /// When it cannot be started.
    pub async fn restart(&mut self, number: usize) {
        self.kill(number).await;
        match &mut self.0 {
            Home::Containers(containers) => {
                containers.restart(number - 1).await.expect("a container starts again");
            }
            Home::Processes(processes) => processes.restart(number - 1).await,
        }
    }
}

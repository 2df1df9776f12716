//! The servers of a cluster in containers.
//!
//! They share the network of this machine, so that configurations and addresses are those of
//! processes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use testcontainers::core::WaitFor;
use testcontainers::core::client::docker_client_instance;
use testcontainers::runners::AsyncRunner as _;
use testcontainers::{ContainerAsync, GenericImage, ImageExt as _};
use tokio::net::TcpStream;

use super::super::container::{Error, engine};
use super::super::reaper::Reaper;
use super::SERVERS;
use super::configuration::{Configuration, configurations};
use crate::launcher::Version;

/// Where the configuration lies in the container.
const CONFIG: &str = "/cluster.conf";
/// How long a server may take until it takes connections.
const START: Duration = Duration::from_secs(30);

/// Clusters of this process so far.
static CLUSTERS: AtomicUsize = AtomicUsize::new(0);

/// Three containers. The reaper removes them when this is dropped, or the process ends.
#[derive(Debug)]
pub(crate) struct Containers {
    servers: [ContainerAsync<GenericImage>; SERVERS],
    addresses: [String; SERVERS],
    _reaper: Reaper,
}

impl Containers {
    /// Starts them, with what is `extra` added to the configuration of each.
    pub(crate) async fn start(extra: &str) -> Result<Self, Error> {
        engine().await.map_err(Error::NoEngine)?;
        let cluster = CLUSTERS.fetch_add(1, Ordering::Relaxed);
        let group = format!("jetsaga-test-cluster-{}-{cluster}", std::process::id());
        let names: [String; SERVERS] =
            std::array::from_fn(|index| format!("{group}-{}", index + 1));
        // First the reaper, then the containers: there is no moment in which nobody would remove
        // them.
        let reaper = Reaper::at_end(
            "docker rm --force --volumes \"$@\" || podman rm --force --volumes \"$@\"",
            &names.each_ref().map(String::as_str),
        )?;
        let all = configurations(|_number| "/data".to_owned(), extra)?;
        let start = |index: usize| started(&names[index], &all[index]);
        let servers = [start(0).await?, start(1).await?, start(2).await?];
        let addresses = all.each_ref().map(|it| format!("127.0.0.1:{}", it.port));
        for address in &addresses {
            answers(address).await?;
        }
        Ok(Self { servers, addresses, _reaper: reaper })
    }

    /// `host:port` of each.
    pub(crate) fn addresses(&self) -> &[String] {
        &self.addresses
    }

    pub(super) fn url(&self) -> String {
        self.addresses.each_ref().map(|address| format!("nats://{address}")).join(",")
    }

    /// SIGKILL, and waits for its end.
    pub(super) async fn kill(&self, index: usize) -> Result<(), Error> {
        let server = &self.servers[index];
        if server.is_running().await? {
            let docker = docker_client_instance().await.map_err(no_engine)?;
            docker.kill_container(server.id(), None).await.map_err(no_engine)?;
            while server.is_running().await? {
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    pub(super) async fn pause(&self, index: usize) -> Result<(), Error> {
        Ok(self.servers[index].pause().await?)
    }

    pub(super) async fn resume(&self, index: usize) -> Result<(), Error> {
        Ok(self.servers[index].unpause().await?)
    }

    /// Starts one that was killed.
    pub(super) async fn restart(&self, index: usize) -> Result<(), Error> {
        self.servers[index].start().await?;
        answers(&self.addresses[index]).await
    }
}

fn no_engine(why: impl std::fmt::Display) -> Error {
    Error::NoEngine(why.to_string())
}

async fn started(
    name: &str,
    configuration: &Configuration,
) -> Result<ContainerAsync<GenericImage>, Error> {
    let image = GenericImage::new("nats", &Version::PINNED.to_string())
        .with_wait_for(WaitFor::message_on_stderr("Server is ready"))
        .with_container_name(name)
        .with_network("host")
        .with_copy_to(CONFIG, configuration.text.clone().into_bytes())
        .with_cmd(["--config", CONFIG]);
    Ok(image.start().await?)
}

/// Waits until somebody listens there.
async fn answers(address: &str) -> Result<(), Error> {
    let end = Instant::now() + START;
    while TcpStream::connect(address).await.is_err() {
        if Instant::now() > end {
            return Err(Error::Unreachable(address.to_owned()));
        }
        tokio::task::yield_now().await;
    }
    Ok(())
}

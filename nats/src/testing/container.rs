//! The test server in a container.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use testcontainers::bollard::models::{HostConfig, PortBinding};
use testcontainers::core::client::docker_client_instance;
use testcontainers::runners::AsyncRunner as _;
use testcontainers::{ContainerAsync, ImageExt as _};
use testcontainers_modules::nats::Nats;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::accounts::Accounts;
use super::reaper::Reaper;
use crate::launcher::Version;

/// Where the configuration lies in the container.
const CONFIG: &str = "/jetsaga-test.conf";
/// The server's port in the container.
const PORT: u16 = 4222;
/// How long one of the addresses is tried.
const ANSWER: Duration = Duration::from_secs(3);

/// A running container; its reaper removes it when the process ends.
#[derive(Debug)]
pub(super) struct Container {
    _running: ContainerAsync<Nats>,
    _reaper: Reaper,
    pub(super) address: String,
}

/// Why the server does not run in a container.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("no container engine answers ({0})")]
    NoEngine(String),
    #[error("the container does not start: {0}")]
    Start(#[from] testcontainers::TestcontainersError),
    #[error("the container runs, but nothing answers at {0}: is its engine on another machine?")]
    Unreachable(String),
    #[error("the container's end cannot be prepared: {0}")]
    Reaper(#[from] io::Error),
}

/// Starts the server with these accounts.
pub(super) async fn start(accounts: &Accounts) -> Result<Container, Error> {
    engine().await.map_err(Error::NoEngine)?;
    let name = format!("jetsaga-test-nats-{}", std::process::id());
    // First the reaper, then the container: there is no moment in which nobody would remove it.
    let reaper = Reaper::at_end(
        "docker rm --force --volumes \"$1\" || podman rm --force --volumes \"$1\"",
        &[&name],
    )?;
    let image = Nats::default()
        .with_tag(Version::PINNED.to_string())
        .with_container_name(name)
        .with_copy_to(CONFIG, config(accounts).into_bytes())
        .with_cmd(["--config", CONFIG])
        .with_host_config_modifier(loopback_only);
    let container = image.start().await?;
    let address = reachable(&container).await?;
    Ok(Container { _running: container, _reaper: reaper, address })
}

/// Where the server in the container answers from here.
///
/// `ContainerAsync::get_host` guesses, and guesses wrong where the tests and their engine share
/// one container: it names the bridge's gateway, on which a port of the loopback is not published.
async fn reachable(container: &ContainerAsync<Nats>) -> Result<String, Error> {
    let address = format!("127.0.0.1:{}", container.get_host_port_ipv4(PORT).await?);
    match timeout(ANSWER, TcpStream::connect(&address)).await {
        Ok(Ok(_stream)) => Ok(address),
        Ok(Err(_)) | Err(_) => Err(Error::Unreachable(address)),
    }
}

pub(super) async fn engine() -> Result<(), String> {
    let docker = docker_client_instance().await.map_err(|why| why.to_string())?;
    docker.ping().await.map(|_pong| ()).map_err(|why| why.to_string())
}

fn config(accounts: &Accounts) -> String {
    let accounts = accounts.config();
    format!("listen: 0.0.0.0:{PORT}\njetstream: {{store_dir: \"/data\"}}\n{accounts}\n")
}

/// Publishes the port to this machine alone.
fn loopback_only(host: &mut HostConfig) {
    let binding = PortBinding { host_ip: Some("127.0.0.1".to_owned()), host_port: None };
    host.publish_all_ports = Some(false);
    host.port_bindings = Some(HashMap::from([(format!("{PORT}/tcp"), Some(vec![binding]))]));
}

//! What every program of the shop can be told on its command line.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use saga_engine::testing::Faults;
use saga_engine::topology::ACK_WAIT_MS;
use tokio::runtime::Handle;

use super::FailPoint;
use crate::host::telemetry::LogForm;

/// Options of every program.
#[derive(Debug, Clone, clap::Args)]
pub struct HostOptions {
    /// Directory of databases and of everything else that is kept
    #[arg(long, env = "JETSAGA_DATA_DIR", default_value = "./data")]
    pub data_dir: PathBuf,

    /// A NATS server to use, instead of starting one: nats://host:port
    #[arg(long, env = "NATS_URL")]
    pub nats_url: Option<String>,

    /// Port of the NATS server that is started [default: a free one]
    #[arg(long, env = "JETSAGA_NATS_PORT")]
    pub nats_port: Option<u16>,

    /// Replicas of streams: 1, or 3 on a cluster
    #[arg(long, env = "JETSAGA_REPLICAS", default_value_t = 1)]
    pub replicas: u32,

    /// Address to listen on
    #[arg(long, env = "JETSAGA_ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub address: IpAddr,

    /// Port to listen on; in the monolith that of the gateway
    #[arg(long, env = "JETSAGA_PORT")]
    pub port: Option<u16>,

    /// Listen on other than loopback addresses although nobody has to log in: whoever reaches the
    /// port can order, cancel, and read every order
    #[arg(long, env = "JETSAGA_EXPOSE_WITHOUT_AUTHENTICATION")]
    pub expose_without_authentication: bool,

    /// Where another service is, as name=url; may be repeated
    #[arg(long = "service-url", env = "JETSAGA_SERVICE_URLS", value_delimiter = ',', value_parser = name_and_url)]
    pub service_urls: Vec<(String, String)>,

    /// Where databases are: embedded, memory, or ws://host:port of a SurrealDB server
    #[arg(long, env = "JETSAGA_STORE", default_value = "embedded")]
    pub store: String,

    /// Form of the log; `RUST_LOG` chooses what is in it
    #[arg(long, env = "JETSAGA_LOG", value_enum, default_value_t = LogForm::Text)]
    pub log: LogForm,

    /// Keep the bucket `sagas` with every saga's last record, for `nats kv get`
    #[arg(long, env = "JETSAGA_VIEW")]
    pub view: bool,

    /// After how many milliseconds the work of a service that died is given out again; the same
    /// for all programs on a server
    #[arg(long, env = "JETSAGA_ACK_WAIT_MS", default_value_t = ACK_WAIT_MS,
          value_parser = clap::value_parser!(u64).range(500..=600_000))]
    pub ack_wait_ms: u64,

    /// Dies as by `kill -9` at POINT:SERVICE, or at POINT:SERVICE:2 the second time; for tests,
    /// refused by release builds
    #[arg(long, env = "JETSAGA_FAIL_POINT", hide = true)]
    pub fail_point: Option<FailPoint>,

    /// Asked at every fail-point of every step in this process; for tests in it.
    #[arg(skip)]
    pub faults: Faults,

    /// Parts of this process that get threads of their own; for benchmarks in it.
    #[arg(skip)]
    pub apart: Apart,
}

/// Runtimes for parts of a process, so that what each part uses can be told apart. Everything else
/// is on the one that hosts.
#[derive(Debug, Clone, Default)]
pub struct Apart {
    /// For services, by name.
    pub services: BTreeMap<&'static str, Handle>,
    /// For the embedded databases of all services.
    pub databases: Option<Handle>,
}

impl HostOptions {
    /// The address to listen on, with this port.
    pub fn socket(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.address, port)
    }

    /// Whether the address is open to others, and nobody said that this is wanted.
    pub fn is_exposed_by_mistake(&self) -> bool {
        !self.address.is_loopback() && !self.expose_without_authentication
    }
}

fn name_and_url(text: &str) -> Result<(String, String), String> {
    let (name, url) = text.split_once('=').ok_or("it must be name=url")?;
    if url.starts_with("http://") {
        Ok((name.to_owned(), url.to_owned()))
    } else {
        Err(format!("{url} must begin with http://"))
    }
}

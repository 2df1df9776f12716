//! The shop as processes of their own: each service, the coordinator and the NATS server.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::process::Command;

use futures::future::join_all;
use jetsaga_nats::testing::{OwnServer, own_server};
use payment::simulator::{Simulator, SimulatorSettings};
use service_kit::http::ServiceUrls;
use tempfile::TempDir;
use tokio::sync::Mutex;

use super::binary::{self, Running, free_port};
use super::{Front, eventually};

/// All of them, the one that people ask last.
pub const PROCESSES: [&str; 7] =
    ["product", "inventory", "payment", "notification", "order", "coordinator", "gateway"];
/// What a process that died had in hand comes again after so many milliseconds.
const ACK_WAIT_MS: &str = "1000";
/// Longest wait for an answer of the provider, in milliseconds.
const CALL_TIMEOUT_MS: &str = "400";

/// Which programs the processes run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Programs {
    /// The one that holds everything, with `--only`.
    Monolith,
    /// Each service's own.
    Own,
}

/// A shop in pieces. All of them are killed when it is dropped.
pub struct Split {
    front: Front,
    programs: Programs,
    ports: BTreeMap<&'static str, u16>,
    processes: BTreeMap<&'static str, Mutex<Option<Running>>>,
    /// The provider is another company's: it does not die with our processes.
    provider: Simulator,
    /// The NATS server.
    pub nats: Mutex<OwnServer>,
    nats_url: String,
    data: TempDir,
}

impl Deref for Split {
    type Target = Front;

    fn deref(&self) -> &Front {
        &self.front
    }
}

impl Split {
    /// Starts everything and waits until it is ready.
    ///
    /// # Panics
    /// When something does not start.
    pub async fn start(programs: Programs) -> Self {
        let nats = own_server().await;
        let data = tempfile::tempdir().expect("a directory can be made");
        let provider = Simulator::start(SimulatorSettings::default()).await;
        let provider = provider.expect("the provider starts");
        let urls = ServiceUrls::default();
        urls.set("payment-provider", &provider.url());
        let ports: BTreeMap<_, _> = PROCESSES.map(|name| (name, free_port())).into();
        for (name, port) in &ports {
            urls.set(name, &format!("http://127.0.0.1:{port}"));
        }
        let nats_url = nats.url().to_owned();
        let front = Front::new(urls, &nats_url).await;
        let processes = PROCESSES.map(|name| (name, Mutex::new(None))).into();
        let nats = Mutex::new(nats);
        let split = Self { front, programs, ports, processes, provider, nats, nats_url, data };
        split.start_all().await;
        split
    }

    /// Starts all processes.
    pub async fn start_all(&self) {
        join_all(PROCESSES.map(|name| self.start_one(name, None))).await;
    }

    /// Starts a process, and kills the one that runs; it dies at `fail_point`. Waits until it is
    /// ready, or died already.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_one(&self, name: &'static str, fail_point: Option<&str>) {
        let mut place = self.processes[name].lock().await;
        // The old one first: it holds the port and the database.
        drop(place.take());
        let mut command = self.command(name);
        if let Some(point) = fail_point {
            command.env("JETSAGA_FAIL_POINT", point);
            // An aborted process says nothing that is worth reading.
            command.stderr(std::process::Stdio::null());
        }
        let port = self.ports[name];
        *place = Some(match fail_point {
            // It may die before anybody sees that it was ready.
            Some(_) => Running::spawn(command, port),
            None => Running::start(command, port).await,
        });
    }

    fn command(&self, name: &str) -> Command {
        let mut command = match self.programs {
            Programs::Monolith => {
                let mut command = binary::clean(&binary::jetsaga(), self.data.path());
                command.args(["--only", name]);
                command
            }
            Programs::Own => binary::clean(&binary::own(name), self.data.path()),
        };
        command.args(["--nats-url", &self.nats_url, "--ack-wait-ms", ACK_WAIT_MS]);
        for (name, port) in &self.ports {
            command.args(["--service-url", &format!("{name}=http://127.0.0.1:{port}")]);
        }
        command.env("PAYMENT_PROVIDER_URL", self.provider.url());
        command.env("PAYMENT_PROVIDER_KEY", "sk_test_split");
        command.env("PAYMENT_CALL_TIMEOUT_MS", CALL_TIMEOUT_MS);
        command.env("RUST_LOG", "error");
        command
    }

    /// Waits until a process has died of its fail-point.
    ///
    /// # Panics
    /// When it lives on.
    pub async fn until_dead(&self, name: &str) {
        eventually(&format!("{name} died"), async || {
            let mut place = self.processes[name].lock().await;
            let is_dead = place.as_mut().is_none_or(Running::has_ended);
            if is_dead { Ok(()) } else { Err("it runs".to_owned()) }
        })
        .await;
    }

    /// `kill -9`, and waits until it is gone.
    pub async fn kill(&self, name: &str) {
        drop(self.processes[name].lock().await.take());
    }

    /// Sends a process a signal: `STOP`, `CONT`.
    ///
    /// # Panics
    /// When it does not run.
    pub async fn signal(&self, name: &str, signal: &str) {
        self.processes[name].lock().await.as_ref().expect("it runs").signal(signal);
    }
}

//! A payment provider to play with: it speaks [`crate::provider::wire`] over HTTP on a loopback
//! port of its own, and fails on demand.
//!
//! What it answers depends on the token of the charge ([`jetsaga_contracts::demo`]), and on faults
//! that are switched by hand:
//!
//! | call | |
//! | --- | --- |
//! | `GET /admin/faults` | every fault and its mode |
//! | `PUT /admin/faults/{name}` | `{"mode":"off"}` repairs it, `"token"` (the default) leaves it to the tokens, `"always"` lets it happen to every charge |
//! | `POST /admin/arrivals` | lets every charge that is still on its way arrive now |
//! | `GET /admin/summary` | how many charges, refunds, declines, cancels there are, and the balance |
//!
//! A real provider does not forget when *we* crash, so neither does this one when it has a journal:
//! a file of JSON lines, written before each answer (a killed process loses nothing; a power cut
//! may). Everything is kept in memory, so it is no place for millions of charges.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use poem::{Server, listener::TcpAcceptor};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

mod api;
mod book;
mod fault;
mod journal;
mod teller;

pub use book::Summary;
pub use fault::{Fault, Mode};
pub use teller::Teller;

/// How the simulator behaves.
#[derive(Debug, Clone)]
pub struct SimulatorSettings {
    /// Loopback port; 0 takes a free one.
    pub port: u16,
    /// Where it remembers its charges; without one it forgets them when it ends.
    pub journal: Option<PathBuf>,
    /// How long a slow charge takes. Shorter than the caller's time-out.
    pub slow_for: Duration,
    /// How long an answer that never arrives keeps its connection open. Longer than the caller's
    /// time-out.
    pub hold_for: Duration,
    /// When a late charge arrives. Longer than the time-out of the saga's step.
    pub late_after: Duration,
}

impl Default for SimulatorSettings {
    fn default() -> Self {
        Self {
            port: 0,
            journal: None,
            slow_for: Duration::from_secs(2),
            hold_for: Duration::from_secs(30),
            late_after: Duration::from_secs(75),
        }
    }
}

/// A running simulator. Ends when it is dropped or [`Simulator::stop`] is called.
#[derive(Debug)]
pub struct Simulator {
    address: SocketAddr,
    teller: Arc<Teller>,
    stop: CancellationToken,
    serving: JoinHandle<io::Result<()>>,
}

impl Simulator {
    /// Starts it on 127.0.0.1.
    ///
    /// # Errors
    /// When the port is in use, or the journal cannot be read or written.
    pub async fn start(settings: SimulatorSettings) -> io::Result<Self> {
        let stop = CancellationToken::new();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, settings.port)).await?;
        let address = listener.local_addr()?;
        let teller = Arc::new(Teller::open(settings, stop.clone())?);
        let server = Server::new_with_acceptor(TcpAcceptor::from_tokio(listener)?);
        let serving = tokio::spawn(server.run_with_graceful_shutdown(
            api::routes(Arc::clone(&teller)),
            stop.clone().cancelled_owned(),
            Some(Duration::from_secs(1)),
        ));
        Ok(Self { address, teller, stop, serving })
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its books and switches, for tests in the same process.
    pub fn teller(&self) -> &Teller {
        &self.teller
    }

    /// Ends it, and waits until it has.
    ///
    /// # Errors
    /// When the server had failed.
    pub async fn stop(mut self) -> io::Result<()> {
        self.stop.cancel();
        (&mut self.serving).await.map_err(io::Error::other)?
    }

    /// Waits until it ends, which it does only on an error.
    ///
    /// # Errors
    /// When the server failed.
    pub async fn serve(mut self) -> io::Result<()> {
        (&mut self.serving).await.map_err(io::Error::other)?
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

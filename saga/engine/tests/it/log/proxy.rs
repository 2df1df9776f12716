//! A network between a client and its server that loses what a test wants lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What the network does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Network {
    /// It is well.
    Well,
    /// What the client sends is lost.
    RequestsLost,
    /// What the server sends is lost.
    AnswersLost,
}

/// Passes bytes on between clients and one server.
pub(super) struct Proxy {
    /// Where the server seems to be, with the credentials of the true URL.
    pub(super) url: String,
    // Each change of the state ends all connections that lost something: it is missing for good.
    state: Arc<watch::Sender<Network>>,
    lost: Arc<AtomicUsize>,
}

impl Proxy {
    /// A proxy in front of the server of this URL: `nats://user:password@host:port`. Of several with
    /// commas it is the last.
    pub(super) async fn before(url: &str) -> Self {
        let url = url.rsplit(',').next().unwrap_or(url);
        let (credentials, server) = url.rsplit_once('@').unwrap();
        let server = server.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("{credentials}@{}", listener.local_addr().unwrap());
        let state = Arc::new(watch::Sender::new(Network::Well));
        let lost = Arc::new(AtomicUsize::new(0));
        let (shared, counted) = (Arc::clone(&state), Arc::clone(&lost));
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let server = TcpStream::connect(&server).await.unwrap();
                tokio::spawn(connection(client, server, shared.subscribe(), Arc::clone(&counted)));
            }
        });
        Self { url, state, lost }
    }

    /// Bytes that were lost so far.
    pub(super) fn lost(&self) -> usize {
        self.lost.load(Ordering::SeqCst)
    }

    /// From now on.
    pub(super) fn set(&self, network: Network) {
        self.state.send_replace(network);
    }
}

async fn connection(
    client: TcpStream,
    server: TcpStream,
    mut state: watch::Receiver<Network>,
    lost: Arc<AtomicUsize>,
) {
    let ((from_client, to_client), (from_server, to_server)) =
        (client.into_split(), server.into_split());
    let seen = state.clone();
    tokio::select! {
        () = pass(from_client, to_server, &seen, Network::RequestsLost, &lost) => {}
        () = pass(from_server, to_client, &seen, Network::AnswersLost, &lost) => {}
        // A connection with a hole in it cannot be used again.
        () = lost_and_found(&mut state) => {}
    }
}

/// Returns when the network has been ill and is well again.
async fn lost_and_found(state: &mut watch::Receiver<Network>) {
    for is_wanted in [|it: &Network| *it != Network::Well, |it: &Network| *it == Network::Well] {
        if state.wait_for(is_wanted).await.is_err() {
            return;
        }
    }
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    state: &watch::Receiver<Network>,
    illness: Network,
    lost: &AtomicUsize,
) {
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(length) = from.read(&mut bytes).await {
        if length == 0 {
            return;
        }
        if *state.borrow() == illness {
            lost.fetch_add(length, Ordering::SeqCst);
        } else if to.write_all(&bytes[..length]).await.is_err() {
            return;
        }
    }
}

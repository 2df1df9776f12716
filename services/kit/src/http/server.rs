//! Listening: connections are counted, small answers leave at once, and an end has a limit.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use poem::http::uri::Scheme;
use poem::listener::{Acceptor, Listener, TcpListener};
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Endpoint, Response, Server};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

mod counted;

use counted::Counted;

/// Most connections of one listener; further ones wait until one ends.
const CONNECTIONS: usize = 4_096;
/// A connection that is silent for this long is closed.
const IDLE: Duration = Duration::from_mins(1);
/// How long requests in hand, event streams among them, may take to end.
const DRAIN: Duration = Duration::from_secs(5);

/// A port that is bound and not served yet.
pub struct Bound {
    acceptor: poem::listener::TcpAcceptor,
    address: SocketAddr,
}

impl Bound {
    /// The address, with the port that was found when port 0 was asked.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Binds an address.
pub async fn bind(address: SocketAddr) -> io::Result<Bound> {
    let acceptor = TcpListener::bind(address).into_acceptor().await?;
    let local = acceptor.local_addr().into_iter().next();
    let address = local.and_then(|local| local.as_socket_addr().copied()).unwrap_or(address);
    Ok(Bound { acceptor, address })
}

/// Serves until `stop`, then lets requests in hand end.
pub async fn serve(
    bound: Bound,
    endpoint: impl Endpoint<Output = Response> + 'static,
    stop: CancellationToken,
) -> io::Result<()> {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let acceptor = Limited { inner: bound.acceptor, places };
    Server::new_with_acceptor(acceptor)
        .idle_timeout(IDLE)
        .run_with_graceful_shutdown(endpoint, stop.cancelled_owned(), Some(DRAIN))
        .await
}

/// An acceptor that counts connections and turns off Nagle's algorithm.
struct Limited {
    inner: poem::listener::TcpAcceptor,
    places: Arc<Semaphore>,
}

impl Acceptor for Limited {
    type Io = Counted<TcpStream, OwnedSemaphorePermit>;

    fn local_addr(&self) -> Vec<LocalAddr> {
        self.inner.local_addr()
    }

    async fn accept(&mut self) -> io::Result<(Self::Io, LocalAddr, RemoteAddr, Scheme)> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(io::Error::other)?;
        let (stream, local, remote, scheme) = self.inner.accept().await?;
        // A peer that is gone already is found out by the first read.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps Nagle's algorithm");
        }
        Ok((Counted::new(stream, place), local, remote, scheme))
    }
}

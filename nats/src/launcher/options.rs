//! What the launcher is told.

use std::ffi::OsString;
use std::path::PathBuf;

/// Which server to use, and how to run it.
#[derive(Debug, Clone)]
pub struct Options {
    /// A running server to use instead of starting one; with commas, several of one cluster.
    pub url: Option<String>,
    /// The loopback port of a started server; a free one if absent.
    pub port: Option<u16>,
    /// Where a started server keeps its streams.
    pub store_dir: PathBuf,
    /// Where a fetched server program is kept.
    pub cache_dir: PathBuf,
    /// How a started server is configured.
    pub config: Config,
    /// Directories to look for `nats-server` and `python3` in, in the manner of `PATH`.
    pub search_path: OsString,
}

/// How a started server is configured.
///
/// Whatever is configured, it listens to clients on 127.0.0.1 alone. It keeps its streams in
/// [`Options::store_dir`], unless the configuration names a `store_dir` of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Config {
    /// The launcher writes the configuration.
    Embedded {
        /// Whether every message is written to disk before it is acknowledged. Without it a killed
        /// process loses nothing, but a power cut may lose the last two minutes.
        is_sync_always: bool,
        /// More of it, in the server's own syntax; a `jetstream` block
        /// replaces ours.
        extra: String,
    },
    /// A configuration file of one's own.
    File(PathBuf),
}

impl Default for Config {
    fn default() -> Self {
        Self::Embedded { is_sync_always: false, extra: String::new() }
    }
}

impl Config {
    /// The configuration that the launcher writes, with `extra` added.
    pub fn with_extra(extra: impl Into<String>) -> Self {
        Self::Embedded { is_sync_always: false, extra: extra.into() }
    }
}

impl Options {
    /// Starts a server on a free port, with its streams in `store_dir`; `PATH` and the user's cache
    /// directory are taken from the environment.
    pub fn new(store_dir: impl Into<PathBuf>) -> Self {
        Self {
            url: None,
            port: None,
            store_dir: store_dir.into(),
            cache_dir: default_cache_dir(),
            config: Config::default(),
            search_path: std::env::var_os("PATH").unwrap_or_default(),
        }
    }

    /// The same, but the server named by `NATS_URL` is used if that is set and not empty.
    pub fn from_env(store_dir: impl Into<PathBuf>) -> Self {
        let url = std::env::var("NATS_URL").ok().filter(|url| !url.trim().is_empty());
        Self { url, ..Self::new(store_dir) }
    }
}

/// The directory for what can be fetched again: `$XDG_CACHE_HOME/jetsaga`, else
/// `~/Library/Caches/jetsaga` (macOS) or `~/.cache/jetsaga`, else one in the temporary directory.
pub fn default_cache_dir() -> PathBuf {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|dir| dir.is_absolute());
    let below_home = if cfg!(target_os = "macos") { "Library/Caches" } else { ".cache" };
    absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(below_home)))
        .unwrap_or_else(std::env::temp_dir)
        .join("jetsaga")
}

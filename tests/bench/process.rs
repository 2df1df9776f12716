//! What a process used, as the kernel counts it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use jetsaga_tests::harness::binary::server_under;
use tokio::runtime::Handle;

use super::figure::Figure;

/// The kernel's ticks per second in `/proc`; fixed for programs on Linux.
const TICKS: u64 = 100;

/// Processor time of a process until now.
fn cpu(pid: u32) -> Duration {
    ticks(&std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default())
}

/// The processor time in a `stat` of `/proc`.
fn ticks(text: &str) -> Duration {
    // The name in parentheses may hold anything; what follows it is numbers.
    let fields = text.rsplit(')').next().unwrap_or_default();
    let field = |index: usize| -> u64 {
        fields.split_whitespace().nth(index).and_then(|it| it.parse().ok()).unwrap_or(0)
    };
    Duration::from_millis((field(11) + field(12)) * 1_000 / TICKS)
}

/// Memory of a process that is in use now, in MiB.
pub(crate) fn memory_mib(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

/// What the files in a directory take, in MiB.
pub(crate) fn mib_in(directory: &Path) -> u64 {
    fn bytes_in(directory: &Path) -> u64 {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        let size = |entry: std::fs::DirEntry| match entry.metadata() {
            Ok(it) if it.is_dir() => bytes_in(&entry.path()),
            Ok(it) => it.len(),
            Err(_) => 0,
        };
        entries.map(size).sum()
    }
    bytes_in(directory) / 1024 / 1024
}

/// Runtimes whose threads bear the names of the shop's parts.
pub(crate) struct Parts {
    pub(crate) gateway: Handle,
    pub(crate) services: Handle,
    pub(crate) databases: Handle,
}

impl Parts {
    pub(crate) const GATEWAY: &str = "gateway";
    pub(crate) const SERVICES: &str = "services";
    pub(crate) const DATABASES: &str = "databases";
}

/// Processor time of this process until now, by the names of its threads. Threads that ended are
/// not in it; the runtimes' workers stay.
fn cpu_by_thread() -> BTreeMap<String, Duration> {
    let mut found = BTreeMap::new();
    for task in std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let text = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        let name = text.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')'));
        let name = name.map_or_else(String::new, |(name, _)| name.to_owned());
        *found.entry(name).or_default() += ticks(&text);
    }
    found
}

/// What this process and its NATS server use from here on.
pub(crate) struct Meter {
    server: Option<u32>,
    before: [Duration; 2],
    threads: BTreeMap<String, Duration>,
}

impl Meter {
    pub(crate) fn start() -> Self {
        let server = server_under(std::process::id());
        Self { server, before: used(server), threads: cpu_by_thread() }
    }

    /// Processor time since the start of the threads of these names, of all others of this process,
    /// and of the server, for each of the works that a figure counted.
    pub(crate) fn split(&self, figure: &Figure, names: &[&str]) -> String {
        let works = u32::try_from(figure.done.max(1)).unwrap_or(u32::MAX);
        let threads = cpu_by_thread();
        let since = |name: &str| {
            let before = self.threads.get(name).copied().unwrap_or_default();
            threads.get(name).copied().unwrap_or_default().saturating_sub(before)
        };
        let say = |name: &str, used: Duration| format!("{name} {} µs", (used / works).as_micros());
        let mut said: Vec<_> = names.iter().map(|name| say(name, since(name))).collect();
        let others = threads.keys().filter(|name| !names.contains(&name.as_str()));
        said.push(say("load", others.map(|name| since(name)).sum()));
        said.push(say("NATS", used(self.server)[1].saturating_sub(self.before[1])));
        said.join(", ")
    }

    /// Processor time since the start, for each of the works that a figure counted.
    pub(crate) fn per(&self, figure: &Figure, what: &str) -> String {
        let now = used(self.server);
        let works = u32::try_from(figure.done.max(1)).unwrap_or(u32::MAX);
        let per =
            |index: usize| (now[index].saturating_sub(self.before[index]) / works).as_micros();
        format!("{} µs here and {} µs in the server per {what}", per(0), per(1))
    }

    /// Memory of both, now.
    pub(crate) fn memory(&self) -> String {
        let server = self.server.map_or(0, memory_mib);
        format!("{} MiB here and {server} MiB in the server", memory_mib(std::process::id()))
    }
}

fn used(server: Option<u32>) -> [Duration; 2] {
    [Some(std::process::id()), server].map(|pid| pid.map_or(Duration::ZERO, cpu))
}

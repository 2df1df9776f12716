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

/// What a process and its NATS server use from here on.
pub(crate) struct Meter {
    /// Where it is, as the notes say it.
    place: &'static str,
    process: u32,
    server: Option<u32>,
    before: Used,
    threads: BTreeMap<String, Duration>,
}

impl Meter {
    /// Of this process.
    pub(crate) fn start() -> Self {
        Self::of(std::process::id(), "here")
    }

    /// Of another one.
    pub(crate) fn of(process: u32, place: &'static str) -> Self {
        let server = server_under(process);
        let (before, threads) = (Used::until_now(process, server), cpu_by_thread());
        Self { place, process, server, before, threads }
    }

    /// Processor time since the start of the threads of these names, of all others of this process,
    /// and of the server, for each of the works that a figure counted.
    pub(crate) fn split(&self, figure: &Figure, names: &[&str]) -> String {
        let threads = cpu_by_thread();
        let since = |name: &str| {
            let before = self.threads.get(name).copied().unwrap_or_default();
            threads.get(name).copied().unwrap_or_default().saturating_sub(before)
        };
        let say = |name: &str, used: Duration| format!("{name} {} µs", micros_per(used, figure));
        let mut said: Vec<_> = names.iter().map(|name| say(name, since(name))).collect();
        let others = threads.keys().filter(|name| !names.contains(&name.as_str()));
        said.push(say("load", others.map(|name| since(name)).sum()));
        said.push(say("NATS", self.used().server));
        said.join(", ")
    }

    /// Processor time since the start.
    pub(crate) fn used(&self) -> Used {
        let now = Used::until_now(self.process, self.server);
        Used {
            process: now.process.saturating_sub(self.before.process),
            server: now.server.saturating_sub(self.before.server),
        }
    }

    /// Processor time since the start, for each of the works that a figure counted.
    pub(crate) fn per(&self, figure: &Figure, what: &str) -> String {
        self.say(self.used(), figure, what)
    }

    /// Processor time for each of the works that a figure counted.
    pub(crate) fn say(&self, used: Used, figure: &Figure, what: &str) -> String {
        let (process, server) = (micros_per(used.process, figure), micros_per(used.server, figure));
        format!("{process} µs {} and {server} µs in the server per {what}", self.place)
    }

    /// Memory of both, now.
    pub(crate) fn memory(&self) -> String {
        let (process, server) = (memory_mib(self.process), self.server.map_or(0, memory_mib));
        format!("{process} MiB {} and {server} MiB in the server", self.place)
    }
}

/// Processor time of a process and of its NATS server.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Used {
    process: Duration,
    server: Duration,
}

impl Used {
    fn until_now(process: u32, server: Option<u32>) -> Self {
        Self { process: cpu(process), server: server.map_or(Duration::ZERO, cpu) }
    }

    /// What two stretches used.
    pub(crate) fn and(self, other: Self) -> Self {
        Self { process: self.process + other.process, server: self.server + other.server }
    }
}

fn micros_per(used: Duration, figure: &Figure) -> u128 {
    let works = u32::try_from(figure.done.max(1)).unwrap_or(u32::MAX);
    (used / works).as_micros()
}

//! What a process used, as the kernel counts it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::figure::Figure;

/// The kernel's ticks per second in `/proc`; fixed for programs on Linux.
const TICKS: u64 = 100;

/// Processor time of a process until now.
fn cpu(pid: u32) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name in parentheses may hold anything; what follows it is numbers.
    let fields = text.rsplit(')').next().unwrap_or_default();
    let field = |index: usize| -> u64 {
        fields.split_whitespace().nth(index).and_then(|it| it.parse().ok()).unwrap_or(0)
    };
    Duration::from_millis((field(11) + field(12)) * 1_000 / TICKS)
}

/// The NATS server that this process started for itself; shells stand in between.
fn own_server() -> Option<u32> {
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
    let is_ours = |pid: u32| {
        let up =
            std::iter::successors(Some(pid), |pid| parents.get(pid).map(|(parent, _)| *parent));
        up.take_while(|&pid| pid > 1).any(|pid| pid == std::process::id())
    };
    let servers = parents.iter().filter(|(_, (_, name))| name == "nats-server");
    servers.map(|(&pid, _)| pid).find(|&pid| is_ours(pid))
}

/// Memory of a process that is in use now, in MiB.
fn memory_mib(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

/// What this process and its NATS server use from here on.
pub(crate) struct Meter {
    server: Option<u32>,
    before: [Duration; 2],
}

impl Meter {
    pub(crate) fn start() -> Self {
        let server = own_server();
        Self { server, before: used(server) }
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

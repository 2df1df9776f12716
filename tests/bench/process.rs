//! What a process used, as the kernel counts it.

use std::time::Duration;

/// The kernel's ticks per second in `/proc`; fixed for programs on Linux.
const TICKS: u64 = 100;

/// Processor time of a process until now.
pub(crate) fn cpu(pid: u32) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
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

//! The table that is printed, and the page that keeps it.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use jetsaga_nats::launcher::Version;

use super::figure::{Failure, Figure};

/// Between these lines of the page stands the last run.
const BEGIN: &str = "<!-- figures: written by `just bench` -->";
const END: &str = "<!-- end of figures -->";

/// What else the figures depend on, and where the versions stand.
const LIBRARIES: [&str; 4] = ["async-nats", "surrealdb", "surrealkv", "poem"];
const LOCK: &str = include_str!("../../Cargo.lock");

/// What one run found.
#[derive(Debug, Default)]
pub(crate) struct Report {
    lines: Vec<String>,
    page: Option<PathBuf>,
}

impl Report {
    /// With a heading that says where and how it was measured. The page, if one is given, has its
    /// table replaced.
    pub(crate) fn new(duration: Duration, server: Version, page: Option<PathBuf>) -> Self {
        let mut report = Self { lines: Vec::new(), page };
        report.say(machine(duration, server));
        report.say(String::new());
        report.say("| | what | per second | p50 ms | p99 ms | durability | |".to_owned());
        report.say("|---|---|---|---|---|---|---|".to_owned());
        report
    }

    /// One line of the table.
    pub(crate) fn row(
        &mut self,
        letter: &str,
        what: &str,
        figure: &Figure,
        durability: &str,
        note: &str,
    ) {
        let milliseconds = |time: Duration| time.as_secs_f64() * 1_000.0;
        let failed = match figure.failed {
            0 => String::new(),
            failed => format!("**{failed} failed** "),
        };
        self.say(format!(
            "| {letter} | {what} | {:.0} | {:.1} | {:.1} | {durability} | {failed}{note} |",
            figure.per_second(),
            milliseconds(figure.quantile(0.5)),
            milliseconds(figure.quantile(0.99)),
        ));
    }

    /// A line of the table that is no rate.
    pub(crate) fn fact(&mut self, letter: &str, what: &str, durability: &str, note: &str) {
        self.say(format!("| {letter} | {what} | | | | {durability} | {note} |"));
    }

    #[expect(clippy::print_stdout, reason = "its output is its purpose")]
    fn say(&mut self, line: String) {
        println!("{line}");
        self.lines.push(line);
    }

    /// Puts the table as it is by now into the page, in place of the one there. After each figure:
    /// what was measured is kept, whatever ends the run.
    ///
    /// # Errors
    /// When the page has no place for it, or cannot be written.
    pub(crate) fn write(&self) -> Result<(), Failure> {
        let Some(page) = &self.page else { return Ok(()) };
        let text = std::fs::read_to_string(page)?;
        let place = || Some((text.find(BEGIN)? + BEGIN.len(), text.find(END)?));
        let (begin, end) = place().ok_or("the page has no place for the figures")?;
        let (before, after) = (&text[..begin], &text[end..]);
        Ok(std::fs::write(page, format!("{before}\n\n{}\n\n{after}", self.lines.join("\n")))?)
    }
}

/// Tells whoever waits how far it is, beside the table.
#[expect(clippy::print_stderr, reason = "a fill takes up to an hour")]
pub(crate) fn progress(text: &str) {
    eprintln!("{text}");
}

/// The version of a library that this program was built with.
fn locked(name: &str) -> &'static str {
    let (_, found) =
        LOCK.split_once(&format!("name = \"{name}\"\nversion = \"")).unwrap_or_default();
    found.split('"').next().unwrap_or_default()
}

fn machine(duration: Duration, server: Version) -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let first = |path: &str, key: &str| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(key));
        let value = line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim());
        value.unwrap_or("unknown").to_owned()
    };
    let said = |program: &str, argument: &str| {
        let output = Command::new(program).arg(argument).output();
        let output = output.map(|it| String::from_utf8_lossy(&it.stdout).trim().to_owned());
        output.unwrap_or_else(|_| format!("{program} unknown"))
    };
    let build =
        if cfg!(debug_assertions) { "a debug build: no measurement" } else { "a release build" };
    format!(
        "{cores} cores ({}), {} of memory, Linux {}, {}, nats-server {server}, {}; {build}, {} s per \
         figure. Server, services and load share the machine.",
        first("/proc/cpuinfo", "model name"),
        first("/proc/meminfo", "MemTotal"),
        said("uname", "-r"),
        said("rustc", "--version"),
        LIBRARIES.map(|name| format!("{name} {}", locked(name))).join(", "),
        duration.as_secs(),
    )
}

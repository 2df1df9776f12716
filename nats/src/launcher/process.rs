//! The server as a child process: supervised, followed, and never left behind.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::sync::watch;

/// Starts the server, passes signals on, and ends it when our end of its stdin is closed: also when
/// this process is killed, for the kernel closes a dead process's files.
const SUPERVISE: &str = include_str!("supervise.sh");

/// How many lines of the log are kept for an error message.
const TAIL_LINES: usize = 20;

/// A running server; dropping it ends the server.
///
/// Threads do the waiting, not tasks: the process is bound to no runtime.
#[derive(Debug)]
pub(super) struct Process {
    control: Mutex<Option<ChildStdin>>,
    tail: Arc<Mutex<VecDeque<String>>>,
    ended: watch::Receiver<bool>,
}

impl Process {
    /// Starts `program` with `arguments`; it holds `lock` for as long as it lives.
    ///
    /// # Errors
    /// When `/bin/sh` cannot be started.
    pub(super) fn start<S>(program: &Path, arguments: &[S], lock: File) -> io::Result<Self>
    where
        S: AsRef<std::ffi::OsStr>,
    {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SUPERVISE, "sh"]).arg(program).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(lock);
        // Ctrl-C in the terminal is for us alone: the server stops when we are done with it.
        command.process_group(0);
        let mut child = command.spawn()?;
        let missing = || io::Error::other("a pipe to the server is missing");
        let control = child.stdin.take().ok_or_else(missing)?;
        let log = child.stdout.take().ok_or_else(missing)?;
        let tail = Arc::new(Mutex::new(VecDeque::new()));
        let (sender, ended) = watch::channel(false);
        follow(child, log, Arc::clone(&tail), sender);
        Ok(Self { control: Mutex::new(Some(control)), tail, ended })
    }

    /// Sends a signal, named without `SIG`; nothing happens when the server has ended.
    pub(super) fn signal(&self, name: &str) {
        let mut control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pipe) = control.as_mut()
            && let Err(error) = writeln!(pipe, "{name}")
        {
            tracing::debug!(%error, name, "the NATS server takes no signal");
        }
    }

    /// Returns when the server has ended.
    pub(super) async fn ended(&self) {
        let mut ended = self.ended.clone();
        // The sender is gone only when the thread is: then nothing is known to run either.
        if ended.wait_for(|&ended| ended).await.is_err() {
            tracing::debug!("the thread that follows the NATS server is gone");
        }
    }

    /// Whether the server has ended.
    pub(super) fn has_ended(&self) -> bool {
        *self.ended.borrow()
    }

    /// The last lines of the log.
    pub(super) fn tail(&self) -> String {
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.iter().flat_map(|line| ["  ", line.as_str(), "\n"]).collect()
    }
}

/// Follows the log until the server ends, then collects the child.
fn follow(
    mut child: Child,
    log: ChildStdout,
    tail: Arc<Mutex<VecDeque<String>>>,
    ended: watch::Sender<bool>,
) {
    thread::spawn(move || {
        for line in BufReader::new(log).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            if line.is_empty() {
                continue;
            }
            trace(&line);
            let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
            if tail.len() == TAIL_LINES {
                tail.pop_front();
            }
            tail.push_back(line);
        }
        if let Err(error) = child.wait() {
            tracing::warn!(%error, "the NATS server's end was not seen");
        }
        ended.send_replace(true);
    });
}

/// One line of the server's log (`[pid] [INF] text`) as an event of ours.
fn trace(line: &str) {
    let (level, text) = split(line);
    match level {
        "FTL" | "ERR" => tracing::error!(target: "nats_server", "{text}"),
        "WRN" => tracing::warn!(target: "nats_server", "{text}"),
        "DBG" => tracing::debug!(target: "nats_server", "{text}"),
        "TRC" => tracing::trace!(target: "nats_server", "{text}"),
        _ => tracing::info!(target: "nats_server", "{text}"),
    }
}

/// The level and the text of a line; a line of another form has no level.
fn split(line: &str) -> (&str, &str) {
    let parts = line.split_once("] [").and_then(|(_pid, rest)| rest.split_once("] "));
    parts.unwrap_or(("", line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_log_has_level_and_text() {
        assert_eq!(split("[77] [WRN] disk [a] is full"), ("WRN", "disk [a] is full"));
        assert_eq!(split("nats-server: no such option"), ("", "nats-server: no such option"));
    }

    #[tokio::test]
    async fn the_last_words_are_kept_and_a_signal_arrives() {
        // The last line of before the signal says that the shell is ready for it.
        let script =
            "trap 'echo bye; exit 3' USR1; echo one; echo two; while :; do sleep 0.05; done";
        let lock = File::create("/dev/null").unwrap();
        let process = Process::start(Path::new("/bin/sh"), &["-c", script], lock).unwrap();
        wait_for_line(&process, "two").await;
        assert!(!process.has_ended());
        process.signal("USR1");
        process.ended().await;
        assert_eq!(process.tail(), "  one\n  two\n  bye\n  nats-server ended with code 3\n");
    }
    async fn wait_for_line(process: &Process, line: &str) {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while !process.tail().contains(line) {
            let tail = process.tail();
            assert!(std::time::Instant::now() < deadline, "no {line:?} in 20 s, but {tail:?}");
            tokio::task::yield_now().await;
        }
    }
}

//! Cleaning up after this process has ended, however it ended.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

/// Runs a shell script when it is dropped or this process ends, whichever comes first.
#[derive(Debug)]
pub(super) struct Reaper {
    _shell: Child,
}

impl Reaper {
    /// Prepares `script`, which finds `arguments` in `$1`, `$2` and so on.
    ///
    /// The shell waits for the end of its stdin, a pipe of which only this process has the other
    /// end; it is in a process group of its own, so that Ctrl-C does not reach it.
    ///
    /// # Errors
    /// When there is no `/bin/sh`.
    pub(super) fn at_end(script: &str, arguments: &[&str]) -> io::Result<Self> {
        let script = format!("while read -r _; do :; done; {script}");
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &script, "sh"]).args(arguments).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self { _shell: command.spawn()? })
    }
}

//! `jetsaga reset`: deletes the data, after asking.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Options of `jetsaga reset`.
#[derive(Debug, Clone, clap::Args)]
pub struct ResetOptions {
    /// Directory to delete
    #[arg(long, env = "JETSAGA_DATA_DIR", default_value = "./data")]
    pub data_dir: PathBuf,

    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

/// Directories that a shop makes; one of them must be there, so that nothing else is deleted.
const MARKS: [&str; 3] = ["nats", "order", "product"];

/// Deletes the data.
#[expect(clippy::print_stderr, reason = "a command answers whoever typed it")]
pub fn reset(options: &ResetOptions) -> ExitCode {
    match delete(options) {
        Ok(said) => {
            eprintln!("jetsaga: {said}");
            ExitCode::SUCCESS
        }
        Err(said) => {
            eprintln!("jetsaga: {said}");
            ExitCode::FAILURE
        }
    }
}

fn delete(options: &ResetOptions) -> Result<String, String> {
    let directory = &options.data_dir;
    let shown = directory.display();
    if !directory.exists() {
        return Ok(format!("there is nothing at {shown}"));
    }
    if !MARKS.iter().any(|mark| directory.join(mark).is_dir()) {
        return Err(format!("{shown} is not a shop's data directory; nothing was deleted"));
    }
    if !options.yes && !is_agreed(directory)? {
        return Err("nothing was deleted".to_owned());
    }
    std::fs::remove_dir_all(directory)
        .map_err(|error| format!("{shown} could not be deleted: {error}"))?;
    Ok(format!("deleted {shown}"))
}

#[expect(clippy::print_stderr, reason = "a command asks whoever typed it")]
fn is_agreed(directory: &Path) -> Result<bool, String> {
    if !io::stdin().is_terminal() {
        return Err("there is nobody to ask: say --yes; nothing was deleted".to_owned());
    }
    eprint!("Delete everything in {}, all orders included? [y/N] ", directory.display());
    let mut answer = String::new();
    io::stderr().flush().map_err(|error| error.to_string())?;
    io::stdin().read_line(&mut answer).map_err(|error| error.to_string())?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(data_dir: PathBuf) -> ResetOptions {
        ResetOptions { data_dir, yes: true }
    }

    #[test]
    fn only_a_shops_data_is_deleted() {
        let directory = std::env::temp_dir().join(format!("jetsaga-reset-{}", std::process::id()));
        std::fs::create_dir_all(directory.join("photos")).unwrap();
        assert!(delete(&options(directory.clone())).unwrap_err().contains("not a shop's"));
        std::fs::create_dir_all(directory.join("order/db")).unwrap();
        assert!(delete(&options(directory.clone())).unwrap().contains("deleted"));
        assert!(!directory.exists());
        assert!(delete(&options(directory)).unwrap().contains("nothing at"));
    }
}

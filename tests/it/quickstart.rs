//! The README's quick start, run as it is written.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use jetsaga_tests::harness::binary::{Running, command, is_taken};
use jetsaga_tests::harness::run;

/// The port that the README names.
const PORT: u16 = 8080;

/// The shell blocks under "Quick start".
fn blocks(readme: &str) -> Vec<String> {
    let section = readme.split("\n## ").find(|part| part.starts_with("Quick start")).unwrap();
    let after_fences = section.split("```sh\n").skip(1);
    after_fences.map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn the_quick_start_works_as_written() {
    if is_taken(PORT) {
        let why = format!("port {PORT} is in use; free it to run the quick start of the README");
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{why}");
        writeln!(std::io::stderr(), "tests: skipped: {why}").unwrap();
        return;
    }
    run(async {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
        let blocks = blocks(&readme);
        assert_eq!(blocks[0].trim(), "cargo run", "what starts the shop");
        let data = tempfile::tempdir().unwrap();
        // What `cargo run` does, with the data elsewhere.
        let _shop = Running::start(command(data.path()), PORT).await;
        let mut said = Vec::new();
        for block in &blocks[1..] {
            let output = Command::new("sh").args(["-ec", block]).output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            assert!(output.status.success(), "{block}\n{text}");
            said.push(text);
        }
        let [confirmed, refused, lists, ..] = said.as_slice() else {
            panic!("three blocks place two orders and list them: {blocks:?}");
        };
        assert!(confirmed.contains("201 Created"), "{confirmed}");
        assert!(confirmed.contains("\"status\":\"confirmed\""), "{confirmed}");
        assert!(refused.contains("409 Conflict"), "{refused}");
        assert!(refused.contains("out_of_stock"), "{refused}");
        for word in ["confirmed", "cancelled", "completed", "rolled_back"] {
            assert!(lists.contains(word), "{word}: {lists}");
        }
    });
}

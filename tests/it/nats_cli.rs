//! The operator's page, run as it stands: each command of it prints what the page says.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use jetsaga_contracts::demo;
use jetsaga_tests::harness::{Setup, Shop, eventually, order, run};
use saga_core::{Record, subject};
use tokio::process::Command;

const TEA: &[(&str, i64)] = &[("tea-assam", 1)];
const SOLD_OUT: &[(&str, i64)] = &[("mug-sold-out", 1)];
/// Token, lines, and what such an order comes to where no refund works.
type Kind = (&'static str, &'static [(&'static str, i64)], &'static str);

const KINDS: [Kind; 3] = [
    (demo::VISA, TEA, "completed"),
    (demo::DECLINED, TEA, "rolled_back"),
    (demo::VISA, SOLD_OUT, "stuck"),
];
/// Longer than any command takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A command of the page, and the lines that it must print.
#[derive(Debug)]
struct Sample {
    command: String,
    lines: Vec<String>,
}

/// What the page's variables stand for; and the environment of its commands.
type Variables = BTreeMap<&'static str, String>;

fn file(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    std::fs::read_to_string(root.join(path)).unwrap()
}

/// The blocks of the page: each `sh` block is followed by a `text` block that is not empty.
fn samples(page: &str) -> Vec<Sample> {
    let mut samples: Vec<Sample> = Vec::new();
    let mut rest = page;
    while let Some((_, block)) = rest.split_once("\n```") {
        let (language, block) = block.split_once('\n').unwrap();
        let (text, after) = block.split_once("\n```").unwrap();
        rest = after;
        match language {
            "sh" => samples.push(Sample { command: text.to_owned(), lines: Vec::new() }),
            "text" => {
                let sample = samples.last_mut().expect("output follows a command");
                assert!(sample.lines.is_empty(), "two outputs are shown for {sample:?}");
                sample.lines = text.lines().map(str::to_owned).collect();
            }
            // How to install: the versions in it are compared, and the shop is a test's own.
            "console" => assert!(samples.is_empty(), "a command that is not run: {text}"),
            language => unreachable!("a block in {language}, which nobody checks: {text}"),
        }
    }
    for sample in &samples {
        assert!(!sample.lines.is_empty(), "no output is shown for {sample:?}");
    }
    samples
}

/// Whether a line has the parts of a pattern in their order; `…` stands for anything.
fn fits(line: &str, pattern: &str) -> bool {
    let line = line.trim_end();
    let Some((first, others)) = pattern.split_once('…') else { return line == pattern };
    let (middle, last) = others.rsplit_once('…').unwrap_or(("", others));
    let Some(mut rest) = line.strip_prefix(first).and_then(|rest| rest.strip_suffix(last)) else {
        return false;
    };
    middle.split('…').all(|part| {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
        true
    })
}

/// The line of the page that the output lacks. Lines come in the page's order, but for the rows
/// of tables: services answer in any.
fn missing(output: &str, sample: &Sample, variables: &Variables) -> Option<String> {
    let mut lines = output.lines();
    for pattern in &sample.lines {
        let mut pattern = pattern.clone();
        for (name, value) in variables {
            pattern = pattern.replace(&format!("${name}"), value);
        }
        let is_there = if pattern.starts_with('│') {
            output.lines().any(|line| fits(line, &pattern))
        } else {
            lines.by_ref().any(|line| fits(line, &pattern))
        };
        if !is_there {
            return Some(pattern);
        }
    }
    None
}

/// What a command prints, with its complaints at the end.
async fn output(command: &str, variables: &Variables) -> Result<String, String> {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).envs(variables).stdin(Stdio::null()).kill_on_drop(true);
    let ended = tokio::time::timeout(PATIENCE, shell.output()).await;
    let Ok(ended) = ended else { return Err(format!("{command} does not end")) };
    let Output { status, stdout, stderr } = ended.unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    if status.success() { Ok(said) } else { Err(format!("{status}: {said}")) }
}

/// Runs a command while orders come, so that one that waits for something new sees it.
async fn while_orders_come(
    shop: &Shop,
    output: impl Future<Output = Result<String, String>>,
) -> Result<String, String> {
    let orders = async {
        for (token, lines, status) in KINDS.iter().cycle() {
            let id = shop.place(token, lines).await;
            shop.until(&id, status).await;
        }
    };
    tokio::select! {
        output = output => output,
        () = orders => unreachable!("orders come for ever"),
    }
}

/// Sends what is no record, as the first of a saga: a dead letter.
async fn poison(shop: &Shop) {
    let plan = shop.engine().plan("order", 1).await.unwrap();
    let first = Record::start(&plan, "ord_poison", order(demo::VISA, TEA)).unwrap();
    let subject = subject::of("order", &first);
    let sent = shop.engine().jetstream().publish(subject, "not a record".into()).await.unwrap();
    sent.await.unwrap();
}

/// A shop in which everything has happened that the page looks at.
async fn shop(home: &Path) -> (Shop, Variables) {
    let setup = Setup { view: true, call_timeout_ms: 300, ..Setup::default() };
    let shop = Shop::with(setup).await;
    let order = shop.place(demo::VISA, TEA).await;
    shop.until(&order, "completed").await;
    let cancelled = shop.place(demo::VISA, SOLD_OUT).await;
    shop.until(&cancelled, "rolled_back").await;
    shop.fault("refund_never_works", "always").await;
    let stuck = shop.place(demo::VISA, SOLD_OUT).await;
    shop.until(&stuck, "stuck").await;
    let waiting = shop.place("pm_fault_down_for_600s", TEA).await;
    shop.until_event(&waiting, "order", "done").await;
    poison(&shop).await;
    let home = home.to_str().unwrap().to_owned();
    let variables = BTreeMap::from([
        ("ORDER", order),
        ("CANCELLED", cancelled),
        ("STUCK", stuck),
        ("WAITING", waiting),
        ("NEW", "ord_00000000000000000000000001".to_owned()),
        ("NATS_URL", shop.nats_url()),
        // The contexts of whoever runs the test are not touched.
        ("XDG_CONFIG_HOME", home.clone()),
        ("HOME", home),
    ]);
    (shop, variables)
}

#[test]
fn every_command_of_the_operators_page_prints_what_it_says() {
    run(async {
        if output("nats --version", &BTreeMap::new()).await.is_err() {
            let why = "there is no nats command line; `just install-nats` gets it";
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{why}");
            eprintln!("tests: skipped: {why}");
            return;
        }
        let samples = samples(&file("docs/operations/nats-cli.md"));
        assert!(samples.len() > 30, "the page is not what it was: {samples:?}");
        let home = tempfile::tempdir().unwrap();
        let (shop, variables) = Box::pin(shop(home.path())).await;
        for sample in &samples {
            let output = || output(&sample.command, &variables);
            // What a command shows may come a moment after the one before.
            eventually(&sample.command, async || {
                let output = if sample.command.contains("--new") {
                    while_orders_come(&shop, output()).await?
                } else {
                    output().await?
                };
                match missing(&output, sample, &variables) {
                    None => Ok(()),
                    Some(line) => Err(format!("no line {line:?} in:\n{output}")),
                }
            })
            .await;
        }
        shop.stop().await;
    });
}

#[test]
fn the_page_installs_the_version_that_it_is_tested_with() {
    let settings = file(".ci/env");
    let pinned = settings.lines().find_map(|line| line.strip_prefix("NATS_CLI_VERSION=")).unwrap();
    let page = file("docs/operations/nats-cli.md");
    let line = format!("go install github.com/nats-io/natscli/nats@v{pinned}\n");
    assert!(page.contains(&line), "{line}");
}

#[test]
fn a_line_fits_its_pattern_and_nothing_else() {
    assert!(fits("a b c", "a b c") && fits("a b c", "a … c") && fits("a b c", "…c"));
    assert!(fits("a b c", "a…") && fits("a b c  ", "a b c") && fits("a c b c", "a … c"));
    assert!(!fits("a b c", "a b") && !fits("a b c", "b c") && !fits("a b c", "a … d"));
    assert!(!fits("a b c d", "a … c") && !fits("a b c d", "a … c … d") && !fits("ab", "ab…b"));
}

#[test]
#[should_panic(expected = "no output is shown for")]
fn a_command_that_nobody_checks_is_refused() {
    samples("# Page\n\n```sh\nnats a\n```\n\n```text\na\n```\n\n```sh\nnats b\n```\n");
}

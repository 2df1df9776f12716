//! The operator's page, run as it stands: each command of it prints what the page says.

use std::collections::BTreeMap;
use std::process::Output;
use std::time::Duration;

use jetsaga_contracts::demo;
use jetsaga_tests::harness::{Setup, Shop, eventually, run};
use tokio::process::Command;

const PAGE: &str = "docs/operations/nats-cli.md";
const TEA: &[(&str, i64)] = &[("tea-assam", 1)];
const SOLD_OUT: &[(&str, i64)] = &[("mug-sold-out", 1)];
/// Longer than any command takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A command of the page, and the lines that it must print.
#[derive(Debug)]
struct Sample {
    command: String,
    lines: Vec<String>,
}

/// The blocks of the page: each `sh` block is followed by a `text` block.
fn samples(page: &str) -> Vec<Sample> {
    let mut samples: Vec<Sample> = Vec::new();
    let mut rest = page;
    while let Some((_, block)) = rest.split_once("\n```") {
        let (language, block) = block.split_once('\n').unwrap();
        let (text, after) = block.split_once("\n```").unwrap();
        rest = after;
        match language {
            "sh" => {
                let is_answered = samples.last().is_none_or(|last| !last.lines.is_empty());
                assert!(is_answered, "no output is shown for {:?}", samples.last());
                samples.push(Sample { command: text.to_owned(), lines: Vec::new() });
            }
            "text" => {
                let sample = samples.last_mut().expect("output follows a command");
                sample.lines = text.lines().map(str::to_owned).collect();
            }
            _ => {}
        }
    }
    samples
}

/// Whether a line has the parts of a pattern in their order; `…` stands for anything.
fn fits(line: &str, pattern: &str) -> bool {
    let mut rest = line.trim_end();
    let mut parts = pattern.split('…');
    let Some(first) = parts.next() else { return true };
    let Some(after) = rest.strip_prefix(first) else { return false };
    rest = after;
    let mut last = first;
    for part in parts {
        last = part;
        let Some((_, after)) = rest.split_once(part.trim_end()) else { return false };
        rest = after;
    }
    last.is_empty() || rest.is_empty() || pattern.ends_with('…')
}

/// Why the output is not what the page shows.
fn missing(output: &str, sample: &Sample, variables: &BTreeMap<&str, String>) -> Option<String> {
    let mut lines = output.lines();
    for pattern in &sample.lines {
        let mut pattern = pattern.clone();
        for (name, value) in variables {
            pattern = pattern.replace(&format!("${name}"), value);
        }
        if !lines.by_ref().any(|line| fits(line, &pattern)) {
            return Some(pattern);
        }
    }
    None
}

async fn output(command: &str, variables: &BTreeMap<&str, String>) -> String {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).kill_on_drop(true);
    for (name, value) in variables {
        shell.env(name, value);
    }
    let ended: std::io::Result<Output> =
        tokio::time::timeout(PATIENCE, shell.output()).await.expect("the command ends");
    let Output { stdout, stderr, .. } = ended.unwrap();
    format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr))
}

/// Orders, one after the other, until the command that follows them has seen one.
async fn while_orders_come(shop: &Shop, output: impl Future<Output = String>) -> String {
    let orders = async {
        loop {
            let id = shop.place(demo::VISA, TEA).await;
            shop.until(&id, "completed").await;
        }
    };
    tokio::select! {
        output = output => output,
        () = orders => unreachable!("orders come for ever"),
    }
}

#[test]
fn every_command_of_the_operators_page_prints_what_it_says() {
    run(async {
        if output("nats --version", &BTreeMap::new()).await.contains("not found") {
            assert!(std::env::var_os("CI").is_none(), "the nats command line is not installed");
            eprintln!("skipped: there is no nats command line; `just install-nats` gets it");
            return;
        }
        let shop = Shop::with(Setup { view: true, ..Setup::default() }).await;
        let order = shop.place(demo::VISA, TEA).await;
        shop.until(&order, "completed").await;
        shop.fault("refund_never_works", "always").await;
        let stuck = shop.place(demo::VISA, SOLD_OUT).await;
        shop.until(&stuck, "stuck").await;
        let variables = BTreeMap::from([
            ("ORDER", order),
            ("STUCK", stuck),
            ("NEW", "ord_00000000000000000000000001".to_owned()),
            ("NATS_URL", shop.nats_url()),
        ]);
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let page = std::fs::read_to_string(root.join(PAGE)).unwrap();
        let samples = samples(&page);
        assert!(samples.len() > 20, "the page is not what it was: {samples:?}");
        for sample in &samples {
            let output = || output(&sample.command, &variables);
            // What a command shows may come a moment after the one before.
            eventually(&sample.command, async || {
                let output = if sample.command.contains("--new") {
                    while_orders_come(&shop, output()).await
                } else {
                    output().await
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
fn a_line_fits_its_pattern_and_nothing_else() {
    assert!(fits("a b c", "a b c") && fits("a b c", "a … c") && fits("a b c", "…c"));
    assert!(fits("a b c", "a…") && fits("a b c  ", "a b c"));
    assert!(!fits("a b c", "a b") && !fits("a b c", "b c") && !fits("a b c", "a … d"));
    assert!(!fits("a b c d", "a … c"));
}

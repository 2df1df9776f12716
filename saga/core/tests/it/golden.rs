//! Golden files: the transition table of every definition, the barrier table, a sample record.
//! `UPDATE=1` rewrites them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use saga_core::{Author, Change, Event, Record, mermaid};
use serde_json::json;

use crate::definitions;
use crate::walk::walk;

pub(crate) fn check(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, found).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(wanted == found, "{name} changed; `UPDATE=1 just golden` rewrites it:\n{found}");
}

fn phase(record: &Record) -> String {
    let state = |(step, it): (&String, &saga_core::StepRecord)| {
        let by = it.by.as_ref().map_or(String::new(), |by| format!("({})", by.as_str()));
        format!("{step}={}{by}", it.state)
    };
    let steps: Vec<String> = record.steps.iter().map(state).collect();
    format!("{} [{}]", record.status, steps.join(" "))
}

fn name(event: &Event) -> String {
    let force = match &event.change {
        Change::Settled { force: true, .. } => "!",
        _ => "",
    };
    let change = &event.change;
    format!("{}.{}{force} by {}", change.step(), change.kind(), event.by.as_str())
}

/// What a phase accepts, and what it refuses: by code, then by step.
#[derive(Default)]
struct Row {
    accepted: BTreeMap<String, String>,
    refused: BTreeMap<&'static str, Steps>,
}

type Steps = BTreeMap<String, BTreeSet<&'static str>>;

impl Row {
    fn summary(&self, steps: &Steps) -> String {
        if self.accepted.is_empty() && self.refused.len() == 1 {
            return "everything".to_owned();
        }
        let of_step = |(step, kinds): (&String, &BTreeSet<&str>)| {
            let kinds: Vec<&str> = kinds.iter().copied().collect();
            format!("{step}({})", kinds.join(" "))
        };
        steps.iter().map(of_step).collect::<Vec<_>>().join(" ")
    }
}

/// Who may do what, when, and with which code everything else is refused. Events of authors that
/// may never write them are left out: the promise is one line of the table's head.
#[test]
fn transition_tables() {
    // The fork's table has the same kinds of rows as the others, five times as many.
    let others = definitions::all().into_iter().filter(|(plan, ..)| plan.name() != "fork");
    for (plan, inputs, outputs) in others {
        let graph = walk(&plan, &inputs[..1], &outputs[..1]);
        let mut table: BTreeMap<String, Row> = BTreeMap::new();
        let mut strangers = 0;
        for node in &graph.nodes {
            let row = table.entry(phase(&node.record)).or_default();
            for (event, to) in &node.accepted {
                row.accepted.insert(name(event), phase(&graph.nodes[*to].record));
            }
            for (event, refusal) in &node.refused {
                if refusal.code() == "not_yours" {
                    strangers += 1;
                    continue;
                }
                let of_code = row.refused.entry(refusal.code()).or_default();
                let (step, kind) = (event.change.step(), event.change.kind());
                of_code.entry(step.to_owned()).or_default().insert(kind.as_str());
            }
        }
        let mut text = format!(
            "{} phases of {}.{}; {strangers} events refused since their author may not write them\n",
            table.len(),
            plan.name(),
            plan.version(),
        );
        for (phase, row) in &table {
            writeln!(text, "\n{phase}").unwrap();
            for (event, to) in &row.accepted {
                writeln!(text, "  {event} -> {to}").unwrap();
            }
            for (code, steps) in &row.refused {
                writeln!(text, "  {code}: {}", row.summary(steps)).unwrap();
            }
        }
        check(&format!("transitions-{}.txt", plan.name()), &text);
    }
}

#[test]
fn diagrams() {
    let all = definitions::all();
    let text: Vec<String> = all.iter().map(|(plan, ..)| mermaid(plan)).collect();
    check("diagrams.txt", &text.join("\n"));
}

#[test]
fn a_sample_record() {
    let plan = definitions::order();
    let start = Record::start(&plan, "ord_1", json!({"lines": [{"sku": "tea", "quantity": 2}]}));
    let done = Change::done("order", json!({"total": {"amount": 1998, "currency": "EUR"}}));
    let paid = Change::done("payment", json!({"provider_ref": "ch_1"}));
    let refused = Change::failed("inventory", "out_of_stock", "tea: 2 wanted, 1 left");
    let record = start.unwrap();
    let record = record.next(&plan, 1180, Event::new(Author::service("order"), done)).unwrap();
    let record = record.next(&plan, 1184, Event::new(Author::service("payment"), paid)).unwrap();
    let record =
        record.next(&plan, 1187, Event::new(Author::service("inventory"), refused)).unwrap();
    let pretty = serde_json::to_string_pretty(&record).unwrap();
    check("record.json", &format!("{pretty}\n"));
    let line = record.to_json();
    assert!(
        line.starts_with(br#"{"v":1,"type":"order","id":"ord_1","n":4,"status":"rolling_back""#)
    );
    assert_eq!(Record::from_json(&line).unwrap(), record);
}

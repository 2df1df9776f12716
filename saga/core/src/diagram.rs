//! A definition drawn as a Mermaid flow chart.

use std::fmt::Write as _;

use crate::definition::{Kind, Test};
use crate::plan::Plan;

/// The flow of a definition as Mermaid text, for people and documents.
pub fn mermaid(plan: &Plan) -> String {
    let mut out = String::from("flowchart LR\n    start([started])\n");
    for step in plan.steps() {
        let (open, close) = match step.kind {
            Kind::Compensable => ("[", "]"),
            Kind::Pivot => ("{{", "}}"),
            Kind::Retriable => ("[[", "]]"),
            Kind::Timer => ("([", "])"),
            Kind::Signal => ("[/", "/]"),
        };
        let word = match step.kind {
            Kind::Compensable => "compensable",
            Kind::Pivot => "pivot",
            Kind::Retriable => "retriable",
            Kind::Timer => "timer",
            Kind::Signal => "signal",
        };
        line(&mut out, format_args!("{}{open}\"{}<br/>{word}\"{close}", step.name, step.name));
    }
    let mut has_successor = vec![false; plan.steps().len()];
    for (index, step) in plan.steps().iter().enumerate() {
        let label = step.when.as_ref().map_or(String::new(), |when| {
            let test = match &when.test {
                Test::Exists(true) => format!("if {} exists", when.pointer),
                Test::Exists(false) => format!("if no {}", when.pointer),
                // A quotation mark would end the label.
                Test::Equals(value) => format!("if {} = {value}", when.pointer).replace('"', "'"),
            };
            format!("|\"{test}\"|")
        });
        if plan.predecessors(index).is_empty() {
            line(&mut out, format_args!("start -->{label} {}", step.name));
        }
        for &before in plan.predecessors(index) {
            has_successor[before] = true;
            line(&mut out, format_args!("{} -->{label} {}", plan.steps()[before].name, step.name));
        }
    }
    out.push_str("    finish([completed])\n");
    for (step, _) in plan.steps().iter().zip(&has_successor).filter(|(_, has)| !**has) {
        line(&mut out, format_args!("{} --> finish", step.name));
    }
    out
}

fn line(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    writeln!(out, "    {arguments}").unwrap_or_default();
}

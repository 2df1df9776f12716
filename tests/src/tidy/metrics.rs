//! Every metric is explained, and every explained metric is kept.

use std::collections::BTreeSet;

use super::{Finding, Tree};

/// The page that explains them: a table whose first column is the metric's name in backticks.
const PAGE: &str = "docs/operations/metrics.md";
/// How the code speaks of them.
const CALLS: [&str; 3] = ["counter!(", "gauge!(", "histogram!("];
/// How the names of those begin and end that the code hands around before it keeps them.
const BEGINNINGS: [&str; 3] = ["saga_", "store_", "http_"];
const ENDINGS: [&str; 2] = ["_total", "_seconds"];

/// Compares the metrics that the code keeps with the page.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let kept: BTreeSet<&str> = tree
        .sources()
        .filter(|source| source.is("rs") && !source.path.starts_with("tests/"))
        .flat_map(|source| named_in_calls(&source.text).chain(named_elsewhere(&source.text)))
        .collect();
    let page = tree.text(PAGE).unwrap_or_default();
    let explained: BTreeSet<&str> =
        page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let mut findings = Vec::new();
    for name in kept.difference(&explained) {
        findings.push(Finding::new(PAGE, format!("does not explain {name}")));
    }
    for name in explained.difference(&kept) {
        // A name that the code puts together stands somewhere as a literal of its own.
        let literal = format!("\"{name}\"");
        let somewhere = tree.sources().any(|s| s.is("rs") && s.text.contains(&literal));
        if !somewhere {
            findings.push(Finding::new(PAGE, format!("explains {name}, which nobody keeps")));
        }
    }
    findings
}

/// The literals with which the calls begin.
fn named_in_calls(text: &str) -> impl Iterator<Item = &str> {
    CALLS.into_iter().flat_map(move |call| {
        text.split(call)
            .skip(1)
            .filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next())
    })
}

/// Other literals that look like the name of a metric.
fn named_elsewhere(text: &str) -> impl Iterator<Item = &str> {
    let is_name = |literal: &str| literal.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    text.lines().flat_map(|line| line.split('"').skip(1).step_by(2)).filter(move |literal| {
        is_name(literal)
            && BEGINNINGS.iter().any(|beginning| literal.starts_with(beginning))
            && ENDINGS.iter().any(|ending| literal.ends_with(ending))
    })
}

#[cfg(test)]
mod tests;

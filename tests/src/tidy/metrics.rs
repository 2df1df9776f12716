//! Every metric is explained, and every explained metric is kept.

use std::collections::BTreeSet;

use super::{Finding, Tree};

/// The page that explains them: a table whose first column is the metric's name in backticks.
const PAGE: &str = "docs/operations/metrics.md";
/// How the code speaks of them.
const CALLS: [&str; 3] = ["counter!(\"", "gauge!(\"", "histogram!(\""];

/// Compares the metrics that the code keeps with the page.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let kept: BTreeSet<&str> = tree
        .sources()
        .filter(|source| source.is("rs") && !source.path.starts_with("tests/"))
        .flat_map(|source| CALLS.map(|call| source.text.split(call).skip(1)).into_iter().flatten())
        .filter_map(|rest| rest.split('"').next())
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

#[cfg(test)]
mod tests;

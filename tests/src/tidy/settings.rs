//! The settings of a service are in its README, and only those.

use std::collections::BTreeSet;

use super::{Finding, Tree};

/// Compares the settings that a service's code takes with the table in its README.
pub fn check(tree: &Tree) -> Vec<Finding> {
    tree.entries("services").flat_map(|service| check_one(tree, service)).collect()
}

fn check_one(tree: &Tree, service: &str) -> Vec<Finding> {
    let (code, readme) =
        (format!("services/{service}/src/"), format!("services/{service}/README.md"));
    let taken: BTreeSet<&str> = tree
        .sources()
        .filter(|source| source.is("rs") && source.path.starts_with(&code))
        .flat_map(|source| source.text.split("env = \"").skip(1))
        .filter_map(|rest| rest.split('"').next())
        .collect();
    let text = tree.text(&readme).unwrap_or_default();
    let explained: BTreeSet<&str> = text
        .lines()
        .filter(|line| line.starts_with('|'))
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .filter(|span| is_setting(span))
        .collect();
    let missing = taken.difference(&explained).map(|name| format!("does not explain {name}"));
    let stale =
        explained.difference(&taken).map(|name| format!("explains {name}, which nobody takes"));
    missing.chain(stale).map(|what| Finding::new(&readme, what)).collect()
}

/// Capitals with an underscore: `ORDER_PORT`.
fn is_setting(span: &str) -> bool {
    let is_part = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    span.contains('_') && span.chars().all(is_part)
}

#[cfg(test)]
mod tests;

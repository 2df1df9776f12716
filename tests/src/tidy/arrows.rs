//! Which crate may name which: the arrows between the rooms.

use std::collections::BTreeSet;

use super::Finding;

/// One dependency as a manifest states it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrow {
    /// The package whose manifest it is.
    pub from: String,
    /// The package it names.
    pub to: String,
    /// Whether it is for tests and examples only.
    pub dev: bool,
}

/// A service of the shop may name these, and never another service.
const SERVICE: [&str; 5] =
    ["jetsaga-contracts", "saga-core", "saga-engine", "saga-workflows", "service-kit"];

/// What a package of ours may name among ours; `None` for one that is not listed here.
fn allowed(package: &str) -> Option<&'static [&'static str]> {
    Some(match package {
        "saga-core" | "jetsaga-contracts" => &[],
        "saga-engine" => &["saga-core"],
        "saga-workflows" => &["saga-core", "jetsaga-contracts"],
        "jetsaga-model" => &["saga-core", "saga-workflows"],
        "jetsaga-nats" => &["saga-core", "saga-engine"],
        "service-kit" => &["saga-core", "saga-engine", "jetsaga-nats"],
        "saga-coordinator" => &["saga-core", "saga-engine", "saga-workflows", "service-kit"],
        "gateway" | "product" | "order" | "payment" | "inventory" | "notification" => &SERVICE,
        _ => return None,
    })
}

/// What it may name beyond that in its tests.
fn allowed_in_tests(package: &str) -> &'static [&'static str] {
    match package {
        // The definitions are checked against real contracts; the engine against a real broker.
        "saga-engine" => &["jetsaga-nats", "saga-workflows"],
        // The golden diagram and the golden topology are the shop's.
        "saga-core" | "jetsaga-nats" => &["saga-workflows"],
        "service-kit" | "gateway" | "product" | "order" | "payment" | "inventory"
        | "notification" | "saga-coordinator" => &["jetsaga-nats"],
        _ => &[],
    }
}

/// Packages that may name everything: they put the whole together.
const OPEN: [&str; 2] = ["jetsaga-shop", "jetsaga-tests"];

/// Crates from outside that only these may name.
const KEPT: [(&str, &[&str]); 5] = [
    ("surrealdb", &["service-kit"]),
    ("surrealdb-core", &["service-kit"]),
    ("surrealdb-cnf", &["service-kit"]),
    ("surrealdb-types", &["service-kit"]),
    ("async-nats", &["saga-engine", "jetsaga-nats", "jetsaga-tests"]),
];

/// What a pure crate may not name: anything that runs, waits, logs or draws lots.
const IMPURE: [&str; 7] =
    ["tokio", "async-nats", "tracing", "rand", "chrono", "reqwest", "surrealdb"];

/// Checks every arrow; `ours` are the workspace's packages.
pub fn check(ours: &BTreeSet<String>, arrows: &[Arrow]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = ours
        .iter()
        .filter(|name| allowed(name).is_none() && !OPEN.contains(&name.as_str()))
        .map(|name| Finding::new(name, "a package without a place: list its arrows"))
        .collect();
    findings.extend(arrows.iter().filter_map(|arrow| refusal(ours, arrow)));
    findings
}

fn refusal(ours: &BTreeSet<String>, arrow: &Arrow) -> Option<Finding> {
    let Arrow { from, to, dev } = arrow;
    let reason = if ours.contains(to) {
        // A package names itself to switch a feature of its own on for its tests.
        let open = OPEN.contains(&from.as_str()) || from == to;
        let in_tests = *dev && allowed_in_tests(from).contains(&to.as_str());
        let named = allowed(from).unwrap_or(&[]).contains(&to.as_str());
        (!open && !named && !in_tests).then(|| format!("may not name {to}"))
    } else if from == "saga-core" && !dev && IMPURE.contains(&to.as_str()) {
        Some(format!("is pure and may not name {to}"))
    } else {
        let kept = KEPT.iter().find(|(name, _)| name == to);
        let outsider = kept.filter(|(_, by)| !by.contains(&from.as_str()));
        outsider.map(|(_, by)| format!("may not name {to}: only {} may", by.join(", ")))
    };
    reason.map(|what| Finding::new(from, what))
}

#[cfg(test)]
mod tests;

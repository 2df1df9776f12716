//! Versions and features of third-party crates are set in the root manifest and nowhere else: one
//! more feature in one member would compile the database engine a second time.

use super::{Finding, Source, Tree};

/// Checks the manifest of every member.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let ours = tree.text("Cargo.toml").map(path_dependencies).unwrap_or_default();
    tree.sources()
        .filter(|source| source.path.ends_with("/Cargo.toml"))
        .flat_map(|source| check_one(source, &ours))
        .collect()
}

/// The names that the root manifest gives to packages of this repository.
fn path_dependencies(root: &str) -> Vec<&str> {
    root.lines().filter(|line| line.contains("path = \"")).map(name).collect()
}

fn check_one(manifest: &Source, ours: &[&str]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut in_dependencies = false;
    for (number, line) in manifest.lines() {
        if line.starts_with('[') {
            in_dependencies = line.contains("dependencies");
        }
        let is_entry = in_dependencies && line.starts_with(|c: char| c.is_ascii_alphabetic());
        if !is_entry {
            continue;
        }
        // A package names itself to switch a feature of its own on for its tests.
        let is_itself = line.contains("path = \".\"");
        let what = if is_itself {
            continue;
        } else if !line.contains("workspace = true") {
            "is not taken from the workspace"
        } else if line.contains("features") && !ours.contains(&name(line)) {
            "sets features: set them in the root manifest"
        } else {
            continue;
        };
        findings.push(Finding::new(
            format!("{}:{number}", manifest.path),
            format!("{} {what}", name(line)),
        ));
    }
    findings
}

/// The key at the beginning of a line.
fn name(line: &str) -> &str {
    line.split(['.', ' ', '=']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests;

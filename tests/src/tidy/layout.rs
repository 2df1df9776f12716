//! Where things lie: the root, and the rooms of a service.

use super::{Finding, Tree};

/// What may lie at the root.
const ROOT: [&str; 26] = [
    ".ci",
    ".gitignore",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "NOTICE",
    "README.md",
    "clippy.toml",
    "contracts",
    "deny.toml",
    "docs",
    "justfile",
    "nats",
    "openapi",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "saga",
    "services",
    "tests",
    // Where the split system comes to live.
    "compose.yaml",
    "Dockerfile",
    "deploy",
    "bench",
];

/// Nothing else lies at the root.
pub fn root(tree: &Tree) -> Vec<Finding> {
    tree.entries("")
        .filter(|name| !ROOT.contains(name))
        .map(|name| Finding::new(name, "does not belong at the root"))
        .collect()
}

/// The files that every service has, each under the same name.
const SERVICE: [&str; 8] = [
    "Cargo.toml",
    "README.md",
    "schema.surql",
    "src/api.rs",
    "src/config.rs",
    "src/lib.rs",
    "src/main.rs",
    "src/store.rs",
];

/// The services with a database of their own, and whether each takes part in sagas.
const SERVICES: [(&str, bool); 5] = [
    ("inventory", true),
    ("notification", true),
    ("order", true),
    ("payment", true),
    ("product", false),
];

/// Rooms below `services/` that are made differently, with what they must have.
const OTHERS: [(&str, &[&str]); 3] = [
    ("gateway", &["Cargo.toml", "README.md", "src/lib.rs", "src/main.rs"]),
    (
        "kit",
        &["Cargo.toml", "README.md", "src/host.rs", "src/http.rs", "src/lib.rs", "src/store.rs"],
    ),
    ("shop", &["Cargo.toml", "README.md", "src/lib.rs", "src/main.rs"]),
];

/// Every service has the same rooms.
pub fn services(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (service, takes_part) in SERVICES {
        findings.extend(missing(tree, service, &SERVICE));
        let steps = format!("services/{service}/src/steps.rs");
        if tree.has(&steps) != takes_part {
            let what = if takes_part {
                "missing: a service that takes part in sagas has its steps here"
            } else {
                "this service takes part in no saga"
            };
            findings.push(Finding::new(steps, what));
        }
    }
    for (room, files) in OTHERS {
        findings.extend(missing(tree, room, files));
    }
    let known = |name: &str| {
        SERVICES.iter().any(|(service, _)| *service == name)
            || OTHERS.iter().any(|(room, _)| *room == name)
    };
    findings.extend(
        tree.entries("services")
            .filter(|name| !known(name))
            .map(|name| Finding::new(format!("services/{name}"), "a room that nobody listed")),
    );
    findings
}

fn missing(tree: &Tree, room: &str, files: &[&str]) -> Vec<Finding> {
    files
        .iter()
        .map(|file| format!("services/{room}/{file}"))
        .filter(|path| !tree.has(path))
        .map(|path| Finding::new(path, "missing: every service has it"))
        .collect()
}

/// The headings of a service's README, in this order; the first one only where it takes part.
const HEADINGS: [&str; 4] = ["## Steps", "## Routes", "## Settings", "## Run it alone"];

/// Every service's README answers the same questions in the same order.
pub fn readmes(tree: &Tree) -> Vec<Finding> {
    let services = SERVICES.into_iter().chain([("gateway", false)]);
    services
        .filter_map(|(service, takes_part)| {
            let path = format!("services/{service}/README.md");
            let text = tree.text(&path)?;
            let title = format!("# {service}");
            let wanted: Vec<&str> =
                HEADINGS.into_iter().filter(|h| takes_part || *h != "## Steps").collect();
            let found: Vec<&str> = text.lines().filter(|line| wanted.contains(line)).collect();
            if text.lines().next() != Some(&title) {
                return Some(Finding::new(
                    path,
                    format!("begins with another line than {title:?}"),
                ));
            }
            let what = format!("has {found:?} where every service has {wanted:?}");
            (found != wanted).then(|| Finding::new(path, what))
        })
        .collect()
}

/// A `main.rs` only hands over to the library: at most this many lines of code.
pub const MAIN_LINES_MAX: usize = 30;

/// The programs of the services are tiny: what they do is in the library, where tests reach it.
pub fn tiny_mains(tree: &Tree) -> Vec<Finding> {
    tree.sources()
        .filter(|source| {
            source.path.starts_with("services/") && source.path.ends_with("/src/main.rs")
        })
        .filter_map(|source| {
            let is_code = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with("//");
            let lines = source.text.lines().filter(is_code).count();
            (lines > MAIN_LINES_MAX).then(|| {
                let what = format!("{lines} lines of code in a program, {MAIN_LINES_MAX} at most");
                Finding::new(&source.path, what)
            })
        })
        .collect()
}

/// Every suite file is a module of its binary; one that nobody names would never run.
pub fn suites(tree: &Tree) -> Vec<Finding> {
    let main = tree.text("tests/it/main.rs").unwrap_or_default();
    tree.entries("tests/it")
        .filter_map(|name| name.strip_suffix(".rs"))
        .filter(|name| *name != "main" && !main.contains(&format!("mod {name};")))
        .map(|name| Finding::new(format!("tests/it/{name}.rs"), "never runs: main.rs has no `mod`"))
        .collect()
}

#[cfg(test)]
mod tests;

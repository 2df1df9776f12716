//! Every public error code has a page, and every page a code.

use std::collections::BTreeSet;

use super::{Finding, Tree};

/// Where the pages are.
const FOLDER: &str = "docs/errors";
/// The list of all pages.
const INDEX: &str = "docs/errors/README.md";
/// What every page says.
const HEADINGS: [&str; 2] = ["## Cause", "## Remedy"];

/// How the code makes a problem.
const CALL: &str = "Problem::";

/// Compares the codes that the code can answer with the pages.
pub fn check(tree: &Tree, codes: &BTreeSet<&str>) -> Vec<Finding> {
    let pages: BTreeSet<&str> = tree
        .entries(FOLDER)
        .filter_map(|name| name.strip_suffix(".md"))
        .filter(|name| *name != "README")
        .collect();
    let mut findings = Vec::new();
    for code in codes.difference(&pages) {
        findings.push(Finding::new(page(code), "missing: every error code has a page"));
    }
    for code in pages.difference(codes) {
        findings.push(Finding::new(page(code), "a page of a code that nothing answers"));
    }
    let index = tree.text(INDEX).unwrap_or_default();
    for code in pages.intersection(codes) {
        let path = page(code);
        let text = tree.text(&path).unwrap_or_default();
        if text.lines().next() != Some(&format!("# `{code}`")) {
            findings.push(Finding::new(&path, format!("begins with another line than # `{code}`")));
        }
        for heading in HEADINGS {
            if !text.lines().any(|line| line == heading) {
                findings.push(Finding::new(&path, format!("has no heading {heading:?}")));
            }
        }
        if !index.contains(&format!("]({code}.md)")) {
            findings.push(Finding::new(INDEX, format!("does not list {code}")));
        }
    }
    findings
}

/// The codes that the services' code answers with: those in its lists (`CODES: &[&str] = &[…]`),
/// and the first name-like literal after each `Problem::…(` outside of comments, so that none is forgotten there.
pub fn answered(tree: &Tree) -> BTreeSet<&str> {
    let answering = |path: &str| path.starts_with("services/") && path.contains("/src/");
    tree.sources()
        .filter(|source| source.is("rs") && answering(&source.path))
        .filter(|source| !source.path.ends_with("/tests.rs"))
        .flat_map(|source| {
            let calls = source.text.match_indices(CALL).filter_map(|(at, _)| {
                let line = source.text[..at].rsplit('\n').next().unwrap_or_default();
                let in_comment = line.trim_start().starts_with("//");
                (!in_comment).then(|| code_argument(&source.text[at + CALL.len()..])).flatten()
            });
            calls.chain(listed(&source.text))
        })
        .collect()
}

/// The literals of every list of codes.
fn listed(text: &str) -> impl Iterator<Item = &str> {
    text.split("CODES: &[&str] = &[").skip(1).flat_map(|rest| {
        let list = rest.split_once("];").map_or(rest, |(list, _)| list);
        list.split('"').skip(1).step_by(2)
    })
}

/// The first literal of a call whose text begins with the function's name, if it is a code.
fn code_argument(call: &str) -> Option<&str> {
    let (function, arguments) = call.split_once('(')?;
    let is_name = |text: &str| text.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    if !is_name(function) {
        return None;
    }
    let arguments = arguments.split_once(';').map_or(arguments, |(statement, _)| statement);
    let literal = arguments.split('"').nth(1)?;
    (!literal.is_empty() && is_name(literal)).then_some(literal)
}

fn page(code: &str) -> String {
    format!("{FOLDER}/{code}.md")
}

#[cfg(test)]
mod tests;

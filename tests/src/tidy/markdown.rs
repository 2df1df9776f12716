//! What Markdown names must exist: links, their anchors, and paths in code spans.

use super::{Finding, Source, Tree};

/// Checks every Markdown file.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in tree.sources().filter(|source| source.is("md")) {
        for (number, line) in prose(source) {
            let place = || format!("{}:{number}", source.path);
            for target in links(line) {
                let reason = broken_link(tree, source, target);
                findings.extend(reason.map(|what| Finding::new(place(), what)));
            }
            for span in code_spans(line) {
                let reason = missing_path(tree, &source.path, span);
                findings.extend(reason.map(|what| Finding::new(place(), what)));
            }
        }
    }
    findings
}

/// The lines outside fenced blocks.
fn prose(source: &Source) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    source.lines().filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

/// The targets of `[text](target)`.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("](").filter_map(|(at, _)| {
        let target = &line[at + 2..];
        target.find(')').map(|end| &target[..end])
    })
}

/// What stands between backticks.
fn code_spans(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

fn broken_link(tree: &Tree, source: &Source, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = if path.is_empty() { source.path.clone() } else { resolve(&source.path, path) };
    if !tree.has(&path) {
        return Some(format!("links to {target}, which does not exist"));
    }
    let text = tree.text(&path)?;
    let known = anchor.is_empty() || !is_markdown(&path) || anchors(text).any(|a| a == anchor);
    (!known).then(|| format!("links to {target}, and there is no such heading"))
}

fn is_markdown(path: &str) -> bool {
    super::extension_of(path) == Some("md")
}

/// `link` as seen from the folder of `from`, without `.` and `..`.
fn resolve(from: &str, link: &str) -> String {
    let mut parts: Vec<&str> = match link.strip_prefix('/') {
        Some(_) => Vec::new(),
        None => from.rsplit_once('/').map_or(Vec::new(), |(folder, _)| folder.split('/').collect()),
    };
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The anchors that headings make: lower case, punctuation dropped, blanks as hyphens.
fn anchors(text: &str) -> impl Iterator<Item = String> {
    text.lines().filter(|line| line.starts_with('#')).map(|line| {
        line.trim_start_matches('#')
            .trim()
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect()
    })
}

/// File names that mean a file of this repository wherever they stand alone.
const EXTENSIONS: [&str; 9] =
    ["conf", "json", "md", "rs", "sh", "surql", "toml", "yaml", "mermaid"];
/// Names that belong to what a user or a tool makes, not to the repository.
const MADE_ELSEWHERE: [&str; 4] = ["dockerd.log", "shop.log", "openapi.json", "openapi.yaml"];

/// A code span that names a path of ours must name one that exists: from the root, from the
/// document's own folder, or (a bare file name) anywhere.
fn missing_path(tree: &Tree, document: &str, span: &str) -> Option<String> {
    let path = span.split_once(':').map_or(span, |(path, _)| path);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-');
    if path.is_empty() || !path.chars().all(plain) || path.starts_with(['/', '-', '~']) {
        return None;
    }
    let is_file = super::extension_of(path).is_some_and(|ext| EXTENSIONS.contains(&ext));
    let first = path.split('/').next().unwrap_or_default();
    let ours = path.contains('/') && tree.has(first) || is_file;
    if !ours || MADE_ELSEWHERE.contains(&path) {
        return None;
    }
    let here = resolve(document, path);
    let anywhere = || {
        let ending = format!("/{path}");
        tree.paths().any(|known| known.ends_with(&ending))
    };
    let found = tree.has(path) || tree.has(&here) || (is_file && anywhere());
    (!found).then(|| format!("names `{path}`, which does not exist"))
}

#[cfg(test)]
mod tests;

//! Rules about what a source file may say.

use super::{Finding, Source, Tree};

/// The longest a hand-written source file may be.
pub const LINES_MAX: usize = 500;

/// No source file is longer than [`LINES_MAX`] lines.
pub fn length(tree: &Tree) -> Vec<Finding> {
    rust(tree)
        .filter_map(|source| {
            let lines = source.text.lines().count();
            (lines > LINES_MAX).then(|| {
                Finding::new(&source.path, format!("{lines} lines, {LINES_MAX} at most: split it"))
            })
        })
        .collect()
}

/// Where subjects are built and read (and that is tested), and nowhere else.
const SUBJECTS: [&str; 3] =
    ["saga/core/src/subject.rs", "saga/core/src/subject/", "saga/core/tests/it/subjects.rs"];

/// No other file holds a subject literal.
pub fn subjects(tree: &Tree) -> Vec<Finding> {
    // Written in two pieces, or this line would be one.
    let literal = concat!("\"sa", "ga.");
    // An event of the saga itself in the short form `<step>.<event>.<status>` is no subject.
    let events = ["started.", "cancelled.", "expired."];
    let elsewhere =
        rust(tree).filter(|source| !SUBJECTS.iter().any(|place| source.path.starts_with(place)));
    let is_subject = move |line: &str| {
        let mut literals = line.split(literal).skip(1);
        literals.any(|rest| !events.iter().any(|event| rest.starts_with(event)))
    };
    lines_where(elsewhere, is_subject)
        .map(|place| Finding::new(place, "a subject literal: saga_core::subject builds those"))
        .collect()
}

/// Nothing is left for later: no notes to self, no debugging aids.
pub fn unfinished(tree: &Tree) -> Vec<Finding> {
    let notes = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("HA", "CK")];
    let aids = [concat!("db", "g!("), concat!("to", "do!("), concat!("unimple", "mented!(")];
    // Three crosses are a currency code too: only in a comment are they a note.
    let crosses = concat!("X", "XX");
    lines_where(tree.sources().filter(|source| !is_foreign_text(source)), |line| {
        notes.iter().any(|note| has_word(line, note))
            || aids.iter().any(|aid| line.contains(aid))
            || (has_comment(line) && has_word(line, crosses))
    })
    .map(|place| Finding::new(place, "left for later: finish it or file it"))
    .collect()
}

/// Every test and doctest runs. A test that another one runs in a process of its own (to kill it)
/// says so: `#[ignore = "run by …"]`.
pub fn ignored(tree: &Tree) -> Vec<Finding> {
    let attribute = concat!("#[", "ignore");
    let run_by_another = concat!("#[", "ignore = \"run by ");
    let fences = [concat!("```", "ignore"), concat!("```rust,", "ignore")];
    lines_where(rust(tree), |line| {
        let code = line.trim_start();
        let left_out = code.starts_with(attribute) && !code.starts_with(run_by_another);
        left_out || fences.iter().any(|fence| code.contains(fence))
    })
    .map(|place| Finding::new(place, "a test that does not run"))
    .collect()
}

/// Modules are `state.rs` beside `state/`.
pub fn module_files(tree: &Tree) -> Vec<Finding> {
    tree.paths()
        .filter(|path| path.ends_with("/mod.rs"))
        .map(|path| Finding::new(path, "name the module's file after the module"))
        .collect()
}

/// Tests wait for a condition, never for a time: a sleep stands in a loop with a bound (in a function
/// that looks at the time and gives up, or in `for _ in 0..n`), or under a comment that says why
/// time has to pass.
pub fn sleeps(tree: &Tree) -> Vec<Finding> {
    rust(tree)
        .flat_map(|source| {
            let places = bare_sleeps(source).into_iter();
            places.map(|number| format!("{}:{number}", source.path)).collect::<Vec<_>>()
        })
        .map(|place| {
            let what =
                "a sleep in a test: wait for a condition, or say above it why time must pass";
            Finding::new(place, what)
        })
        .collect()
}

/// The lines of test code that sleep without being a wait.
fn bare_sleeps(source: &Source) -> Vec<usize> {
    let mut found = Vec::new();
    let mut testing = is_test_file(&source.path);
    let mut bounded = false;
    // How far the `for _ in 0..n` around this line is indented.
    let mut counted: Option<usize> = None;
    let mut before = "";
    for (number, line) in source.lines() {
        testing |= line.trim() == "mod tests {";
        if line.contains("fn ") && !is_comment(line) {
            bounded = false;
            counted = None;
        }
        let looks = ["Instant::now() <", "Instant::now() >", "deadline"];
        bounded |= looks.iter().any(|look| line.contains(look));
        let indent = line.len() - line.trim_start().len();
        if counted.is_some_and(|outer| indent <= outer && !line.trim().is_empty()) {
            counted = None;
        }
        if line.trim_start().starts_with("for ") && line.contains(" in 0..") {
            counted = Some(indent);
        }
        let allowed = is_comment(before) || counted.is_some() || bounded;
        if testing && !allowed && !is_comment(line) && calls(line, "sleep") {
            found.push(number);
        }
        before = line;
    }
    found
}

/// Nothing names a place on somebody's machine.
pub fn machine_paths(tree: &Tree) -> Vec<Finding> {
    let places = ["/root/", "/home/", "/Users/", "/work/", "/tmp/bash"];
    let written = tree.sources().filter(|source| source.is("md"));
    lines_where(written, |line| places.iter().any(|place| names_folder(line, place)))
        .map(|place| Finding::new(place, "a path of somebody's machine"))
        .collect()
}

fn rust(tree: &Tree) -> impl Iterator<Item = &Source> {
    tree.sources().filter(|source| source.is("rs"))
}

/// Texts that others wrote.
fn is_foreign_text(source: &Source) -> bool {
    matches!(source.path.as_str(), "LICENSE" | "Cargo.lock")
}

fn is_test_file(path: &str) -> bool {
    path.starts_with("tests/") || path.contains("/tests/") || path.ends_with("/tests.rs")
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

fn has_comment(line: &str) -> bool {
    is_comment(line) || line.trim_start().starts_with('#') || line.contains(" // ")
}

/// `word` with nothing that belongs to an identifier on either side.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(is_identifier) && !after.is_some_and(is_identifier)
    })
}

/// A call of a function of this name, whatever stands before it.
fn calls(line: &str, function: &str) -> bool {
    let call = format!("{function}(");
    line.match_indices(&call)
        .any(|(at, _)| !line[..at].chars().next_back().is_some_and(is_identifier))
}

/// An absolute path that begins with `folder`, not one that has it in the middle.
fn names_folder(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| is_identifier(c) || matches!(c, '.' | '-' | '}' | '>' | '/' | '~'))
    })
}

fn is_identifier(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// `path:line` of every line that a rule hits.
fn lines_where<'a>(
    sources: impl Iterator<Item = &'a Source> + 'a,
    rule: impl Fn(&str) -> bool + 'a,
) -> impl Iterator<Item = String> + 'a {
    sources.flat_map(move |source| {
        let hits: Vec<String> = source
            .lines()
            .filter(|(_, line)| rule(line))
            .map(|(number, _)| format!("{}:{number}", source.path))
            .collect();
        hits
    })
}

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use super::{answered, check};
use crate::tidy::Tree;

const GOOD: &str = "# `late`\n\nToo late.\n\n## Cause\n\nTime.\n\n## Remedy\n\nHurry.\n";
const INDEX: (&str, &str) = ("docs/errors/README.md", "- [late](late.md)\n");

fn said(files: &[(&str, &str)], codes: &[&str]) -> Vec<String> {
    let codes: BTreeSet<&str> = codes.iter().copied().collect();
    check(&Tree::of(files), &codes).into_iter().map(|finding| finding.to_string()).collect()
}

#[test]
fn a_code_with_its_page_is_right() {
    assert_eq!(said(&[("docs/errors/late.md", GOOD), INDEX], &["late"]), [""; 0]);
}

#[test]
fn a_code_without_a_page_and_a_page_without_a_code_are_found() {
    assert_eq!(
        said(&[("docs/errors/late.md", GOOD), INDEX], &["early"]),
        [
            "docs/errors/early.md: missing: every error code has a page",
            "docs/errors/late.md: a page of a code that nothing answers",
        ]
    );
}

#[test]
fn a_page_that_gives_no_remedy_or_is_not_listed_is_found() {
    let text = GOOD.replace("## Remedy", "## Advice");
    assert_eq!(
        said(&[("docs/errors/late.md", &text), ("docs/errors/README.md", "")], &["late"]),
        [
            "docs/errors/late.md: has no heading \"## Remedy\"",
            "docs/errors/README.md: does not list late",
        ]
    );
    let other = GOOD.replace("# `late`", "# `soon`");
    assert_eq!(said(&[("docs/errors/late.md", &other), INDEX], &["late"]).len(), 1);
}

#[test]
fn codes_are_found_where_they_are_answered() {
    let tree = Tree::of(&[
        (
            "services/order/src/api.rs",
            "return Err(Problem::conflict(\"too_late\", \"It is too late\"));\n\
             let p = Problem::new(\n    StatusCode::GONE,\n    \"gone\",\n    format!(\"x\"));\n\
             let q = Problem::not_found(CODE, \"No such order\");\n\
             //!     Problem::not_found(\"in_a_comment\", \"\")\n\
             let r: Problem::Of(\"typed\");\n\
             pub const CODES: &[&str] = &[\n    \"listed\",\n    \"too\",\n];\n\"no\"",
        ),
        ("services/order/src/api/tests.rs", "Problem::conflict(\"only_in_tests\", \"\");"),
        ("saga/core/src/lib.rs", "Problem::conflict(\"elsewhere\", \"\");"),
    ]);
    assert_eq!(answered(&tree), BTreeSet::from(["gone", "listed", "too", "too_late"]));
}

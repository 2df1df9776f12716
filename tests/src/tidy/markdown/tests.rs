use super::check;
use crate::tidy::Tree;

/// What is said about a document `docs/a.md` with this text.
fn said(text: &str) -> Vec<String> {
    let tree = Tree::of(&[
        ("docs/a.md", text),
        ("docs/b.md", "# A Heading, with `code`\n"),
        ("README.md", "# Jetsaga\n"),
        ("saga/core/src/record.rs", ""),
        ("services/order/schema.surql", ""),
    ]);
    check(&tree).into_iter().map(|finding| finding.to_string()).collect()
}

#[test]
fn a_link_to_nothing_is_found() {
    assert_eq!(said("[b](b.md) and [up](../README.md) and [out](https://example.org)"), [""; 0]);
    assert_eq!(said("\n[c](c.md)"), ["docs/a.md:2: links to c.md, which does not exist"]);
    assert_eq!(said("[r](README.md)").len(), 1, "a link is seen from the document's folder");
}

#[test]
fn a_link_to_a_heading_that_is_not_there_is_found() {
    assert_eq!(said("[b](b.md#a-heading-with-code)"), [""; 0]);
    assert_eq!(said("# Here\n[here](#here)"), [""; 0]);
    assert_eq!(
        said("[b](b.md#gone)"),
        ["docs/a.md:1: links to b.md#gone, and there is no such heading"]
    );
}

#[test]
fn a_path_that_does_not_exist_is_found_in_code_spans() {
    assert_eq!(said("`saga/core/src/record.rs`, `saga/core/`, `record.rs:12`, `b.md`"), [""; 0]);
    assert_eq!(
        said("see `saga/core/src/gone.rs`"),
        ["docs/a.md:1: names `saga/core/src/gone.rs`, which does not exist"]
    );
    assert_eq!(said("`gone.rs`").len(), 1);
    assert_eq!(said("`saga/gone`").len(), 1);
    assert_eq!(said("`services/order/schema.surql`, `schema.surql`"), [""; 0]);
}

#[test]
fn routes_commands_and_fenced_blocks_are_no_paths() {
    assert_eq!(said("`/v1/orders.json`, `just golden`, `application/json`, `docs/*.md`"), [""; 0]);
    assert_eq!(said("```\n`saga/gone.rs` [x](gone.md)\n```\n"), [""; 0]);
}

use super::check;
use crate::tidy::Tree;

fn said(code: &str, page: &str) -> Vec<String> {
    let tree = Tree::of(&[("saga/engine/src/a.rs", code), ("docs/operations/metrics.md", page)]);
    check(&tree).into_iter().map(|finding| finding.to_string()).collect()
}

#[test]
fn a_metric_that_nobody_explains_is_found() {
    let code = "metrics::counter!(\n    \"a_total\", &labels).increment(1);\n\
                gauge!(\"b\").set(1);\nself.count(\"saga_c_seconds\");\n";
    assert_eq!(said(code, "| `a_total` | … |\n| `b` | … |\n| `saga_c_seconds` | … |\n"), [""; 0]);
    assert_eq!(
        said(code, "| `b` | … |\n"),
        [
            "docs/operations/metrics.md: does not explain a_total",
            "docs/operations/metrics.md: does not explain saga_c_seconds"
        ]
    );
}

#[test]
fn an_explanation_without_its_metric_is_found() {
    assert_eq!(
        said("gauge!(name).set(1);\nlet name = \"c\";\n", "| `c` | … |\n| `d` | … |\n"),
        ["docs/operations/metrics.md: explains d, which nobody keeps"]
    );
}

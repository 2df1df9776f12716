use super::check;
use crate::tidy::Tree;

fn said(readme: &str) -> Vec<String> {
    let code = "#[arg(long, env = \"ORDER_PORT\", default_value_t = 1)]\n";
    let tree = Tree::of(&[
        ("services/order/src/config.rs", code),
        ("services/order/README.md", readme),
        ("services/product/src/lib.rs", ""),
    ]);
    check(&tree).into_iter().map(|finding| finding.to_string()).collect()
}

#[test]
fn a_setting_that_the_readme_does_not_explain_is_found() {
    assert_eq!(said("| `ORDER_PORT` | 8080 | Where it listens |\n"), [""; 0]);
    assert_eq!(said("# order\n"), ["services/order/README.md: does not explain ORDER_PORT"]);
    assert_eq!(said("Set `ORDER_PORT`, as the table says.\n").len(), 1, "it is not in a table");
}

#[test]
fn an_explanation_of_a_setting_that_nobody_takes_is_found() {
    assert_eq!(
        said("| `--port`, `ORDER_PORT` | `OK` |\n| `ORDER_HOST` | |\n"),
        ["services/order/README.md: explains ORDER_HOST, which nobody takes"]
    );
}

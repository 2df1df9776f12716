use super::{
    MAIN_LINES_MAX, OTHERS, SERVICE, SERVICES, readmes, root, services, suites, tiny_mains,
};
use crate::tidy::{Finding, Tree};

fn places(findings: &[Finding]) -> Vec<&str> {
    findings.iter().map(|finding| finding.place.as_str()).collect()
}

/// Every file that the rules ask for below `services/`.
fn whole() -> Vec<String> {
    let mut files = Vec::new();
    for (service, takes_part) in SERVICES {
        files.extend(SERVICE.map(|file| format!("services/{service}/{file}")));
        files.extend(takes_part.then(|| format!("services/{service}/src/steps.rs")));
    }
    for (room, asked) in OTHERS {
        files.extend(asked.iter().map(|file| format!("services/{room}/{file}")));
    }
    files
}

fn tree(files: &[String]) -> Tree {
    let files: Vec<(&str, &str)> = files.iter().map(|file| (file.as_str(), "")).collect();
    Tree::of(&files)
}

#[test]
fn a_stray_file_at_the_root_is_found() {
    let tree = Tree::of(&[("README.md", ""), ("notes.md", ""), ("saga/core/src/lib.rs", "")]);
    assert_eq!(places(&root(&tree)), ["notes.md"]);
}

#[test]
fn every_missing_file_of_a_service_is_found() {
    let whole = whole();
    assert_eq!(services(&tree(&whole)), []);
    for left_out in &whole {
        let rest: Vec<String> = whole.iter().filter(|file| *file != left_out).cloned().collect();
        assert_eq!(places(&services(&tree(&rest))), [left_out], "without {left_out}");
    }
}

#[test]
fn steps_where_no_saga_asks_and_unlisted_rooms_are_found() {
    let mut files = whole();
    files.push("services/product/src/steps.rs".to_owned());
    files.push("services/common/src/lib.rs".to_owned());
    assert_eq!(
        places(&services(&tree(&files))),
        ["services/product/src/steps.rs", "services/common"]
    );
}

#[test]
fn a_program_with_a_life_of_its_own_is_found() {
    let comments = "// a comment\n\n".repeat(MAIN_LINES_MAX);
    let code = "f();\n".repeat(MAIN_LINES_MAX + 1);
    let tree = Tree::of(&[
        ("services/order/src/main.rs", &comments),
        ("services/payment/src/main.rs", &code),
    ]);
    assert_eq!(places(&tiny_mains(&tree)), ["services/payment/src/main.rs"]);
}

#[test]
fn a_suite_that_nobody_names_is_found() {
    let tree = Tree::of(&[
        ("tests/it/main.rs", "mod tidy;\n"),
        ("tests/it/tidy.rs", ""),
        ("tests/it/lost.rs", ""),
    ]);
    assert_eq!(places(&suites(&tree)), ["tests/it/lost.rs"]);
}

#[test]
fn a_readme_of_another_shape_is_found() {
    let right = "# order\n\n## Steps\n## Routes\n## More\n## Settings\n## Run it alone\n";
    let said = |text: &str| readmes(&Tree::of(&[("services/order/README.md", text)])).len();
    assert_eq!(said(right), 0);
    assert_eq!(said(&right.replace("# order", "# The order service")), 1);
    assert_eq!(said(&right.replace("## Steps\n## Routes", "## Routes\n## Steps")), 1);
    assert_eq!(said(&right.replace("## Run it alone\n", "")), 1);
}

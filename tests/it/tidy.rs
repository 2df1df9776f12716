//! The repository checks itself: the rules of `jetsaga_tests::tidy` over the real files.

use std::collections::BTreeSet;
use std::process::Command;

use cargo_metadata::{DependencyKind, MetadataCommand};
use jetsaga_contracts::order_saga::refusal;
use jetsaga_tests::tidy::arrows::Arrow;
use jetsaga_tests::tidy::{
    Finding, Tree, arrows, errors, features, layout, manifests, markdown, metrics, root, settings,
    text,
};

fn tree() -> Tree {
    Tree::read(&root()).expect("the repository can be read")
}

#[track_caller]
fn none(findings: &[Finding]) {
    let said: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert!(said.is_empty(), "{} finding(s):\n{}", said.len(), said.join("\n"));
}

#[test]
fn crates_name_only_what_their_room_allows() {
    let metadata = MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .other_options(["--offline".to_owned()])
        .exec()
        .expect("cargo metadata answers");
    let ours: BTreeSet<String> =
        metadata.packages.iter().map(|package| package.name.to_string()).collect();
    let arrows: Vec<Arrow> = metadata
        .packages
        .iter()
        .flat_map(|package| package.dependencies.iter().map(move |to| (package, to)))
        .map(|(package, to)| Arrow {
            from: package.name.to_string(),
            to: to.name.clone(),
            dev: to.kind == DependencyKind::Development,
        })
        .collect();
    assert!(arrows.len() > ours.len(), "the manifests were read: {arrows:?}");
    none(&arrows::check(&ours, &arrows));
}

fn cargo_tree(selection: &[&str]) -> String {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["tree", "--offline", "--edges", "normal,build", "--prefix", "none"]);
    cargo.args(["--format", features::FORMAT]).args(selection).current_dir(root());
    let output = cargo.output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cargo prints text")
}

#[test]
fn every_selection_of_packages_has_the_same_features() {
    let workspace = cargo_tree(&["--workspace"]);
    assert!(workspace.contains("surrealdb-core"), "{workspace}");
    for package in ["jetsaga-shop", "gateway", "payment", "saga-coordinator", "service-kit"] {
        let selection = ["-p", package];
        none(&features::check(&selection.join(" "), &cargo_tree(&selection), &workspace));
    }
}

#[test]
fn the_root_holds_only_what_belongs_there() {
    none(&layout::root(&tree()));
}

#[test]
fn every_service_has_the_same_rooms() {
    none(&layout::services(&tree()));
}

#[test]
fn every_readme_of_a_service_has_the_same_headings() {
    none(&layout::readmes(&tree()));
}

#[test]
fn programs_hand_over_to_their_library() {
    none(&layout::tiny_mains(&tree()));
}

#[test]
fn every_suite_file_runs() {
    none(&layout::suites(&tree()));
}

#[test]
fn what_markdown_names_exists() {
    none(&markdown::check(&tree()));
}

#[test]
fn markdown_names_no_place_on_a_machine() {
    none(&text::machine_paths(&tree()));
}

#[test]
fn source_files_are_short() {
    none(&text::length(&tree()));
}

#[test]
fn subjects_are_written_in_one_module() {
    none(&text::subjects(&tree()));
}

#[test]
fn nothing_is_left_for_later() {
    none(&text::unfinished(&tree()));
}

#[test]
fn every_test_runs() {
    none(&text::ignored(&tree()));
}

#[test]
fn tests_wait_for_conditions() {
    none(&text::sleeps(&tree()));
}

#[test]
fn modules_are_named_after_themselves() {
    none(&text::module_files(&tree()));
}

#[test]
fn every_error_code_has_a_page() {
    let tree = tree();
    let mut codes = errors::answered(&tree);
    assert!(codes.contains("not_found"), "the services' codes were found: {codes:?}");
    codes.extend(refusal::ALL);
    none(&errors::check(&tree, &codes));
}

#[test]
fn every_metric_is_explained() {
    none(&metrics::check(&tree()));
}

#[test]
fn versions_and_features_are_set_once() {
    none(&manifests::check(&tree()));
}

#[test]
fn every_setting_is_explained() {
    none(&settings::check(&tree()));
}

use std::collections::BTreeSet;

use super::{Arrow, check};

fn ours() -> BTreeSet<String> {
    ["saga-core", "saga-engine", "jetsaga-nats", "service-kit", "order", "product", "jetsaga-shop"]
        .map(str::to_owned)
        .into()
}

fn said(from: &str, to: &str, dev: bool) -> Vec<String> {
    let arrow = Arrow { from: from.to_owned(), to: to.to_owned(), dev };
    check(&ours(), &[arrow]).iter().map(ToString::to_string).collect()
}

#[test]
fn a_service_may_not_name_another_service() {
    assert_eq!(said("order", "product", false), ["order: may not name product"]);
    assert_eq!(said("order", "service-kit", false), [""; 0]);
    assert_eq!(said("jetsaga-shop", "product", false), [""; 0]);
}

#[test]
fn the_database_is_named_by_the_kit_alone() {
    assert_eq!(
        said("order", "surrealdb", false),
        ["order: may not name surrealdb: only service-kit may"]
    );
    assert_eq!(said("service-kit", "surrealdb", false), [""; 0]);
    assert_eq!(said("service-kit", "async-nats", false).len(), 1);
}

#[test]
fn the_core_names_nothing_that_runs() {
    assert_eq!(said("saga-core", "tokio", false), ["saga-core: is pure and may not name tokio"]);
    assert_eq!(said("saga-core", "saga-engine", false).len(), 1);
    assert_eq!(said("saga-core", "serde", false), [""; 0]);
}

#[test]
fn tests_of_the_engine_may_name_the_broker_harness_and_its_code_may_not() {
    assert_eq!(said("saga-engine", "jetsaga-nats", true), [""; 0]);
    assert_eq!(said("saga-engine", "jetsaga-nats", false).len(), 1);
}

#[test]
fn a_package_that_nobody_placed_is_found() {
    let mut ours = ours();
    ours.insert("stray".to_owned());
    let findings = check(&ours, &[]);
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0].place, "stray");
}

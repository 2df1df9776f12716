//! Definitions of every shape that the engine supports.

use saga_core::{Definition, Plan, Step, Test};
use serde_json::{Value, json};

fn compensable(name: &str, service: &str) -> Step {
    Step::compensable(name, service).timeout_ms(10_000)
}

fn retriable(name: &str, service: &str) -> Step {
    Step::retriable(name, service).timeout_ms(10_000)
}

fn pivot(name: &str, service: &str) -> Step {
    Step::pivot(name, service).timeout_ms(10_000)
}

fn plan(definition: Definition) -> Plan {
    Plan::new(definition).unwrap_or_else(|invalid| panic!("{invalid}"))
}

/// order → payment → inventory → notification.
pub(crate) fn order() -> Plan {
    plan(
        Definition::new("order", 1)
            .step(compensable("order", "order"))
            .step(compensable("payment", "payment"))
            .step(compensable("inventory", "inventory"))
            .step(retriable("notification", "notification")),
    )
}

/// Two branches that join.
pub(crate) fn fork_and_join() -> Plan {
    plan(
        Definition::new("fork", 1)
            .step(compensable("a", "alpha"))
            .step(compensable("b", "beta").after(&["a"]))
            .step(compensable("c", "gamma").after(&["a"]))
            .step(compensable("d", "delta").after(&["b", "c"])),
    )
}

/// Two first steps, both of one service, that join.
pub(crate) fn one_owner() -> Plan {
    plan(
        Definition::new("owner", 1)
            .step(compensable("a", "alpha").after(&[]))
            .step(compensable("b", "alpha").after(&[]))
            .step(retriable("c", "beta").after(&["a", "b"])),
    )
}

/// A way forward that cannot be called off after the pivot.
pub(crate) fn pivot_in_the_middle() -> Plan {
    plan(
        Definition::new("pivot", 1)
            .step(compensable("a", "alpha"))
            .step(pivot("p", "beta"))
            .step(retriable("r", "gamma"))
            .step(Step::timer("t", 1_000))
            .step(retriable("z", "alpha")),
    )
}

/// A timer and a signal with a time-out before anything irrevocable.
pub(crate) fn timer_and_signal() -> Plan {
    plan(
        Definition::new("wait", 1)
            .step(compensable("a", "alpha"))
            .step(Step::timer("t", 1_000))
            .step(Step::signal("s").timeout_ms(5_000))
            .step(compensable("b", "beta")),
    )
}

/// Conditional steps, one after the other, beside an unconditional one.
pub(crate) fn conditions() -> Plan {
    plan(
        Definition::new("when", 1)
            .step(compensable("a", "alpha"))
            .step(compensable("b", "beta").when("/input/gift", Test::Equals(json!(true))))
            .step(compensable("c", "gamma").when("/steps/a/output/x", Test::Exists(true)))
            .step(retriable("d", "delta")),
    )
}

/// Every shape, with the inputs and the outputs to walk it with.
pub(crate) fn all() -> Vec<(Plan, Vec<Value>, Vec<Value>)> {
    let plain = || (vec![json!({})], vec![json!({})]);
    let simple = [order(), fork_and_join(), one_owner(), pivot_in_the_middle(), timer_and_signal()];
    let mut all: Vec<_> = simple
        .into_iter()
        .map(|plan| {
            let (inputs, outputs) = plain();
            (plan, inputs, outputs)
        })
        .collect();
    let inputs = vec![json!({}), json!({"gift": true})];
    let outputs = vec![json!({}), json!({"x": 1})];
    all.push((conditions(), inputs, outputs));
    all
}

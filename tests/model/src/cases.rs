//! The definitions that are checked, each with as much going on as a check of minutes allows.

use saga_core::{Definition, Plan, Step, Test};

use crate::setup::Setup;
use crate::state::Left;

fn plan(definition: Definition) -> Plan {
    Plan::new(definition.deadline_ms(60_000)).expect("a definition of this page is valid")
}

fn compensable(name: &str) -> Step {
    Step::compensable(name, name).timeout_ms(10_000)
}

/// Two steps, one after the other.
pub fn pair() -> Plan {
    plan(Definition::new("pair", 1).step(compensable("flight")).step(compensable("hotel")))
}

/// The shop's order saga; payment and notification call a provider.
pub fn order() -> Setup {
    Setup::new("order", plan(saga_workflows::order::order())).outside(&["payment", "notification"])
}

/// Two steps, each by two workers that may handle the same message.
pub fn two_workers() -> Setup {
    Setup::new("two workers", pair()).workers(2)
}

/// Two steps that run at the same time.
pub fn fork() -> Setup {
    let definition = Definition::new("fork", 1)
        .step(compensable("flight").after(&[]))
        .step(compensable("hotel").after(&[]));
    Setup::new("fork", plan(definition))
}

/// Two steps of one service that run at the same time.
pub fn one_service() -> Setup {
    let definition = Definition::new("agency", 1)
        .step(Step::compensable("flight", "agency").timeout_ms(10_000).after(&[]))
        .step(Step::compensable("hotel", "agency").timeout_ms(10_000).after(&[]));
    Setup::new("one service", plan(definition))
}

/// One step, two that run at the same time after it, and one that waits for both.
pub fn diamond() -> Setup {
    let definition = Definition::new("diamond", 1)
        .step(compensable("trip"))
        .step(compensable("flight").after(&["trip"]))
        .step(compensable("hotel").after(&["trip"]))
        .step(compensable("bill").after(&["flight", "hotel"]));
    Setup::new("diamond", plan(definition))
}

/// A signal, a timer, a pivot at a provider and a retriable step.
pub fn kinds() -> Setup {
    let definition = Definition::new("kinds", 1)
        .step(compensable("hold"))
        .step(Step::signal("approval").timeout_ms(10_000))
        .step(Step::timer("cooling-off", 1_000))
        .step(Step::pivot("pay", "pay").timeout_ms(10_000))
        .step(Step::retriable("mail", "mail").timeout_ms(10_000));
    Setup::new("kinds", plan(definition)).outside(&["pay"])
}

/// A step that an output switches on, and one after it.
pub fn conditional() -> Setup {
    let definition = Definition::new("conditional", 1)
        .step(compensable("flight"))
        .step(
            compensable("insurance")
                .when("/steps/flight/output/big", Test::Equals(serde_json::Value::Bool(false))),
        )
        .step(compensable("hotel"));
    Setup::new("conditional", plan(definition))
}

/// Two steps, every message delivered and acknowledged on its own.
pub fn literal() -> Setup {
    Setup::new("literal", pair()).literal()
}

/// Two steps that call a provider; one may be skipped.
pub fn providers() -> Setup {
    let left = Left { skips: 1, ..Left::default() };
    Setup::new("providers", pair()).outside(&["flight", "hotel"]).left(left)
}

/// The shop's order saga, with a skipped step and an undo that is given up.
pub fn order_at_once() -> Setup {
    let left = Left { skips: 1, give_ups: 1, ..Left::default() };
    Setup { name: "order at once", ..order().left(left) }
}

/// A diamond, with undos that are late, given up and tried again.
pub fn diamond_at_once() -> Setup {
    let left = Left { nudges: 1, give_ups: 1, lates: 1, ..Left::default() };
    Setup { name: "diamond at once", ..diamond().left(left) }
}

/// Two steps, of which the first calls a provider.
pub fn provider() -> Setup {
    Setup::new("provider", pair()).outside(&["flight"])
}

/// Two steps on a log with replicas.
pub fn replicated() -> Setup {
    Setup::new("replicated", pair()).replicated()
}

/// Two steps, a start that is repeated, and retention.
pub fn retention() -> Setup {
    let setup = Setup::new("retention", pair());
    let left = Left { repeats: 1, ..setup.left };
    setup.left(left)
}

/// The same with one step that is skipped; no undo is given up or called late.
pub fn with_a_skip(name: &'static str, setup: Setup) -> Setup {
    let left = Left { skips: 1, ..Left::default() };
    Setup { name, ..setup.left(left) }
}

/// The same with one undo that is given up, tried again or settled by hand; none is late, nothing
/// is skipped.
pub fn with_a_given_up_undo(name: &'static str, setup: Setup) -> Setup {
    let left = Left { nudges: 1, give_ups: 1, ..Left::default() };
    Setup { name, ..setup.left(left) }
}

/// The same with one undo that is called late; none is given up, nothing is skipped.
pub fn with_a_late_undo(name: &'static str, setup: Setup) -> Setup {
    let left = Left { lates: 1, ..Left::default() };
    Setup { name, ..setup.left(left) }
}

/// What takes minutes, and the memory of a machine.
pub fn large() -> Vec<Setup> {
    vec![literal(), provider(), providers(), order_at_once(), diamond_at_once()]
}

/// What takes seconds: the cases of the tests, with the states that each of them has at least. A
/// check of nothing finds nothing.
pub fn small() -> Vec<(Setup, usize)> {
    vec![
        (two_workers(), 150_000),
        (fork(), 300_000),
        (one_service(), 100_000),
        (with_a_skip("diamond, a skip", diamond()), 100_000),
        (with_a_given_up_undo("diamond, an undo given up", diamond()), 40_000),
        (with_a_late_undo("diamond, a late undo", diamond()), 15_000),
        (with_a_skip("order, a skip", order()), 180_000),
        (with_a_given_up_undo("order, an undo given up", order()), 30_000),
        (with_a_late_undo("order, a late undo", order()), 8_000),
        (kinds(), 30_000),
        (conditional(), 80_000),
        (with_a_skip("provider, a skip", provider()), 40_000),
        (with_a_given_up_undo("provider, an undo given up", provider()), 20_000),
        (replicated(), 50_000),
        (retention(), 40_000),
    ]
}

//! The sagas that are played, and what may be built wrongly.

use std::sync::{Arc, LazyLock};

use saga_core::{Definition, Plan, Step, Test};

/// One definition, and how it is served.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) plan: Arc<Plan>,
    /// Steps whose effect is at a provider.
    pub(super) outside: &'static [&'static str],
    /// The service that mirrors endings.
    pub(super) mirror: Option<&'static str>,
}

/// What is built wrongly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    /// Nothing: the product.
    None,
    /// Appends are stored without the check.
    NoCheck,
    /// The row is written in another transaction than the effect.
    RowApart,
    /// A message is acknowledged before its events are appended.
    AckFirst,
    /// The undo of an absent row leaves it absent.
    NoVoid,
    /// What an operator settled does not reach the barrier.
    SettledPastBarrier,
    /// A row says nothing of an undo that was given up.
    HeldForNobody,
    /// The undo of a call that may have happened believes a provider that has not heard of it.
    BelievesProvider,
}

fn case(
    name: &'static str,
    definition: Definition,
    outside: &'static [&'static str],
    mirror: Option<&'static str>,
) -> Case {
    let plan = Plan::new(definition).expect("a definition of this page is valid");
    Case { name, plan: Arc::new(plan), outside, mirror }
}

fn compensable(name: &str, service: &str) -> Step {
    Step::compensable(name, service).timeout_ms(10_000).output_max(256).backoff(10, 200)
}

fn own(name: &str) -> Step {
    compensable(name, name)
}

fn of(name: &str) -> Definition {
    Definition::new(name, 1).deadline_ms(60_000)
}

/// All of them.
pub(super) static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
    let fork = of("fork").step(own("flight").after(&[])).step(own("hotel").after(&[]));
    let agency = of("agency")
        .step(compensable("flight", "agency").after(&[]))
        .step(compensable("hotel", "agency").after(&[]));
    let diamond = of("diamond")
        .step(own("trip"))
        .step(own("flight").after(&["trip"]))
        .step(own("hotel").after(&["trip"]))
        .step(own("bill").after(&["flight", "hotel"]));
    let kinds = of("kinds")
        .step(own("hold"))
        .step(Step::signal("approval").timeout_ms(10_000))
        .step(Step::timer("cooling-off", 1_000))
        .step(Step::pivot("pay", "pay").timeout_ms(10_000).backoff(10, 200))
        .step(Step::retriable("mail", "mail").timeout_ms(10_000).backoff(10, 200));
    let is_small = Test::Equals(serde_json::Value::Bool(false));
    let conditional = of("conditional")
        .step(own("flight"))
        .step(own("insurance").when("/steps/flight/output/big", is_small))
        .step(own("hotel"));
    let limited = of("limited").step(own("flight").attempts(2)).step(own("hotel").attempts(3));
    let pair = |name| of(name).step(own("flight")).step(own("hotel"));
    let providers: &[&str] = &["payment", "notification"];
    vec![
        case("pair", pair("pair"), &[], Some("flight")),
        case("order", saga_workflows::order::order(), providers, Some("order")),
        case("fork", fork, &[], None),
        case("one service", agency, &[], Some("agency")),
        case("diamond", diamond, &["hotel"], None),
        case("kinds", kinds, &["pay"], Some("mail")),
        case("conditional", conditional, &[], None),
        case("provider", pair("provider"), &["flight"], None),
        case("providers", pair("providers"), &["flight", "hotel"], None),
        case("limited", limited, &["flight"], None),
    ]
});

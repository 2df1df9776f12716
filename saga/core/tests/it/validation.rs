//! A definition that could go wrong is refused, and every problem of it is named.

use saga_core::plan::Problem;
use saga_core::{Definition, Plan, Step, Test};
use serde_json::json;

fn step(name: &str) -> Step {
    Step::compensable(name, "service").timeout_ms(1_000)
}

fn problems(definition: Definition) -> Vec<Problem> {
    Plan::new(definition).expect_err("it must be refused").problems
}

fn of(steps: Vec<Step>) -> Definition {
    steps.into_iter().fold(Definition::new("t", 1), Definition::step)
}

#[test]
fn names_and_numbers() {
    for name in ["", "Order", "a.b", "order-1", &"x".repeat(65)] {
        assert_eq!(problems(Definition::new(name, 1).step(step("a"))), [Problem::Name]);
    }
    assert_eq!(problems(Definition::new("t", 0).step(step("a"))), [Problem::Version]);
    assert_eq!(problems(Definition::new("t", 1)), [Problem::StepCount]);
    assert_eq!(problems(of(vec![step("saga")])), [Problem::StepName("saga".into())]);
    assert_eq!(problems(of(vec![step("a"), step("a")])), [Problem::StepTwice("a".into())]);
    let reserved = Step::compensable("a", "coordinator").timeout_ms(1);
    assert!(problems(of(vec![reserved])).contains(&Problem::Service("a".into())));
}

#[test]
fn graphs() {
    let unknown = problems(of(vec![step("a").after(&["ghost"])]));
    let problem = Problem::UnknownPredecessor { step: "a".into(), after: "ghost".into() };
    assert_eq!(unknown, [problem]);
    let cycle = problems(of(vec![step("a").after(&["b"]), step("b").after(&["a"])]));
    assert_eq!(cycle, [Problem::Cycle(vec!["a".into(), "b".into()])]);
}

#[test]
fn nothing_may_fail_beside_or_after_a_point_of_no_return() {
    let pivot = |name| Step::pivot(name, "service").timeout_ms(1_000);
    let retriable = |name| Step::retriable(name, "service").timeout_ms(1_000);
    let late = |step: &str, later: &str| Problem::CanFailTooLate {
        step: step.into(),
        later: later.into(),
    };
    assert_eq!(problems(of(vec![pivot("p"), step("a")])), [late("a", "p")]);
    assert_eq!(problems(of(vec![retriable("r"), step("a")])), [late("a", "r")]);
    let beside = vec![step("a").after(&[]), retriable("r").after(&[])];
    assert_eq!(problems(of(beside)), [late("a", "r")]);
    assert_eq!(problems(of(vec![pivot("p"), pivot("q")])), [late("q", "p")]);
    let signal = vec![retriable("r"), Step::signal("s").timeout_ms(10)];
    assert_eq!(problems(of(signal)), [late("s", "r")]);
    let patient = vec![retriable("r"), Step::signal("s")];
    assert!(Plan::new(of(patient)).is_ok());
}

#[test]
fn times() {
    let none = Step::compensable("a", "service");
    assert_eq!(problems(of(vec![none])), [Problem::Timeout("a".into())]);
    let long = of(vec![step("a").timeout_ms(2_000)]).deadline_ms(1_000);
    assert_eq!(problems(long), [Problem::TimeoutPastDeadline("a".into())]);
    let many = step("a").attempts(10).backoff(200, 1_000);
    assert_eq!(problems(of(vec![many])), [Problem::Backoff("a".into())]);
    let timer = Step::timer("t", 9_999_999);
    assert_eq!(problems(of(vec![timer])), [Problem::Delay("t".into())]);
}

#[test]
fn sizes() {
    let large = of((0..20).map(|n| step(&format!("s{n}"))).collect());
    assert!(matches!(problems(large)[..], [Problem::Size { sum }] if sum > 256 * 1024));
    let small = (0..20).map(|n| step(&format!("s{n}")).output_max(1024)).collect();
    assert!(Plan::new(of(small)).is_ok());
}

#[test]
fn conditions_look_back() {
    for pointer in ["", "/steps/b/output", "/steps/ghost/output", "/steps/a/reason", "/inputs"] {
        let conditional = step("b").when(pointer, Test::Exists(true));
        let found = problems(of(vec![step("a"), conditional, step("c")]));
        assert_eq!(found, [Problem::Condition("b".into())], "{pointer}");
    }
    let good = step("b").when("/steps/a/output/x/0", Test::Equals(json!(1)));
    assert!(Plan::new(of(vec![step("a"), good])).is_ok());
}

#[test]
fn a_definition_survives_the_wire_with_its_digest() {
    let definition = of(vec![step("a"), step("b").when("/input/x", Test::Equals(json!({"y": 1})))]);
    let json = serde_json::to_string(&definition).unwrap();
    let read: Definition = serde_json::from_str(&json).unwrap();
    assert_eq!(read, definition);
    assert_eq!(Plan::new(read).unwrap().digest(), Plan::new(definition).unwrap().digest());
}

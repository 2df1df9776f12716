//! The product as it is.

use jetsaga_model::{cases, check};

/// Checks a case of the small ones.
fn holds(name: &str) {
    let (setup, at_least) =
        cases::small().into_iter().find(|(setup, _)| setup.name == name).expect("there is such");
    let outcome = check::check(setup);
    assert!(outcome.is_good(), "{outcome}");
    assert!(outcome.states >= at_least, "only {} states", outcome.states);
}

/// One test for each case, so that they run at the same time.
macro_rules! hold {
    ($($test:ident: $name:literal,)*) => {
        $(#[test]
        fn $test() {
            holds($name);
        })*

        #[test]
        fn no_case_is_left_out() {
            let mut tested = vec![$($name),*];
            let mut names: Vec<&str> =
                cases::small().iter().map(|(setup, _)| setup.name).collect();
            tested.sort_unstable();
            names.sort_unstable();
            assert_eq!(tested, names);
        }
    };
}

hold! {
    two_steps_with_two_workers_each: "two workers",
    the_order_saga_with_a_skipped_step: "order, a skip",
    the_order_saga_with_an_undo_given_up: "order, an undo given up",
    the_order_saga_with_a_late_undo: "order, a late undo",
    a_diamond_with_a_skipped_step: "diamond, a skip",
    a_diamond_with_an_undo_given_up: "diamond, an undo given up",
    a_diamond_with_a_late_undo: "diamond, a late undo",
    a_step_at_a_provider_with_a_skipped_step: "provider, a skip",
    a_step_at_a_provider_with_an_undo_given_up: "provider, an undo given up",
    a_fork: "fork",
    a_fork_of_one_service: "one service",
    a_signal_a_timer_a_pivot_and_a_retriable_step: "kinds",
    a_step_with_a_condition: "conditional",
    a_log_with_replicas: "replicated",
    retention_and_a_repeated_start: "retention",
}

//! The product as it is.

use jetsaga_model::state::Left;
use jetsaga_model::{Setup, cases, check};

/// Checks a case, and that it is no smaller than it was: a check of nothing finds nothing.
fn holds(setup: Setup, at_least: usize) {
    let outcome = check::check(setup);
    eprintln!("{outcome}");
    assert!(outcome.is_good(), "{outcome}");
    assert!(outcome.states >= at_least, "only {} states", outcome.states);
}

/// One step is skipped; no undo is given up or called late.
fn with_a_skip(setup: Setup) -> Setup {
    let left = Left { skips: 1, ..Left::default() };
    setup.left(left)
}

/// One undo is given up, tried again or settled by hand; none is late, nothing is skipped.
fn with_a_given_up_undo(setup: Setup) -> Setup {
    let left = Left { nudges: 1, give_ups: 1, ..Left::default() };
    setup.left(left)
}

#[test]
fn two_steps_with_two_workers_each() {
    holds(cases::two_workers(), 150_000);
}

#[test]
fn the_order_saga_with_a_skipped_step() {
    holds(with_a_skip(cases::order()), 180_000);
}

#[test]
fn the_order_saga_with_an_undo_given_up() {
    holds(with_a_given_up_undo(cases::order()), 30_000);
}

#[test]
fn a_diamond_with_a_skipped_step() {
    holds(with_a_skip(cases::diamond()), 100_000);
}

#[test]
fn a_diamond_with_an_undo_given_up() {
    holds(with_a_given_up_undo(cases::diamond()), 40_000);
}

#[test]
fn a_step_at_a_provider_with_a_skipped_step() {
    holds(with_a_skip(cases::provider()), 40_000);
}

#[test]
fn a_step_at_a_provider_with_an_undo_given_up() {
    holds(with_a_given_up_undo(cases::provider()), 1_000);
}

#[test]
fn a_fork() {
    holds(cases::fork(), 300_000);
}

#[test]
fn a_fork_of_one_service() {
    holds(cases::one_service(), 100_000);
}

#[test]
fn a_signal_a_timer_a_pivot_and_a_retriable_step() {
    holds(cases::kinds(), 30_000);
}

#[test]
fn a_step_with_a_condition() {
    holds(cases::conditional(), 80_000);
}

#[test]
fn a_log_with_replicas() {
    holds(cases::replicated(), 50_000);
}

#[test]
fn retention_and_a_repeated_start() {
    holds(cases::retention(), 40_000);
}

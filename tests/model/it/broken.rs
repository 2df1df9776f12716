//! Each way of building it wrongly is found, and by the promise that it breaks.

use jetsaga_model::reach::By;
use jetsaga_model::state::Left;
use jetsaga_model::{Flaw, Promise, Setup, cases, check};

/// Looks for the shortest way to break a promise.
fn finds(setup: Setup, flaw: Flaw, promise: Promise) {
    let found = check::find(setup.flawed(flaw), promise);
    let way = found.unwrap_or_else(|| panic!("{flaw:?} does not break {:?}", promise.name()));
    eprintln!("{flaw:?} breaks {:?}:\n{way}", promise.name());
}

#[test]
fn an_append_without_the_check_loses_what_was_acknowledged() {
    finds(cases::fork(), Flaw::NoCheck, Promise::Kept);
}

#[test]
fn two_spellings_of_the_filter_are_both_accepted_by_replicas() {
    finds(cases::replicated(), Flaw::TwoSpellings, Promise::Kept);
}

#[test]
fn a_row_in_another_transaction_lets_an_effect_happen_twice() {
    finds(cases::two_workers(), Flaw::RowApart, Promise::Once);
}

#[test]
fn a_row_in_another_transaction_lets_an_effect_remain() {
    finds(cases::two_workers(), Flaw::RowApart, Promise::Clean);
}

#[test]
fn an_acknowledgement_before_the_append_loses_the_turn() {
    finds(cases::order(), Flaw::AckFirst, Promise::TurnKept);
}

/// The trigger is gone, so the services alone do not move the saga any more.
#[test]
fn an_acknowledgement_before_the_append_strands_the_saga() {
    let small = cases::two_workers().left(Left::default()).flawed(Flaw::AckFirst);
    let outcome = check::check(small);
    assert!(outcome.lost.iter().any(|(by, _)| *by == By::Services), "{outcome}");
}

#[test]
fn an_undo_that_leaves_an_absent_row_absent_is_overtaken_by_its_step() {
    finds(cases::two_workers(), Flaw::NoVoid, Promise::Forsworn);
}

#[test]
fn an_undo_that_leaves_an_absent_row_absent_lets_an_effect_remain() {
    finds(cases::two_workers(), Flaw::NoVoid, Promise::Clean);
}

#[test]
fn a_settlement_past_the_barrier_leaves_a_row_that_says_otherwise() {
    finds(cases::two_workers(), Flaw::SettledPastBarrier, Promise::Agrees);
}

#[test]
fn retention_that_forgets_a_start_runs_the_saga_again() {
    finds(cases::retention(), Flaw::ForgetsEarly, Promise::StartedOnce);
}

#[test]
fn giving_up_again_after_a_conflict_lets_a_person_undo_what_is_undone() {
    finds(cases::two_workers(), Flaw::GivesUpAgain, Promise::UndoneOnce);
}

#[test]
fn a_held_row_that_holds_nobody_lets_a_person_undo_what_is_undone() {
    finds(cases::two_workers(), Flaw::HeldForNobody, Promise::UndoneOnce);
}

#[test]
fn a_call_that_arrives_after_an_undo_that_believed_the_provider_remains() {
    finds(cases::provider(), Flaw::BelievesProvider, Promise::Clean);
}

/// What the checks above look at is not broken in the product.
#[test]
fn the_product_breaks_none_of_them() {
    for promise in
        [Promise::Kept, Promise::Once, Promise::TurnKept, Promise::Agrees, Promise::UndoneOnce]
    {
        let small = Left { skips: 0, ..cases::two_workers().left };
        let found = check::find(cases::two_workers().left(small), promise);
        assert_eq!(found, None);
    }
}

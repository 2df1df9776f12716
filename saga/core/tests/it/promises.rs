//! The promises of the protocol at every point of every history.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use saga_core::{
    Action, Author, Change, EventKind, Kind, Lane, Lie, Plan, Record, Status, StepState, decide,
    subject, verify, waiting,
};

use crate::definitions;
use crate::walk::{Graph, walk};

/// Every definition with everything that can happen to it; walked once for all tests.
static WALKED: LazyLock<Vec<(Plan, Graph)>> = LazyLock::new(|| {
    let all = definitions::all().into_iter();
    all.map(|(plan, inputs, outputs)| {
        let graph = walk(&plan, &inputs, &outputs);
        (plan, graph)
    })
    .collect()
});

fn each(check: impl Fn(&Plan, &Graph)) {
    WALKED.iter().for_each(|(plan, graph)| check(plan, graph));
}

fn each_record(check: impl Fn(&Plan, &Record)) {
    each(|plan, graph| graph.nodes.iter().for_each(|node| check(plan, &node.record)));
}

fn state(record: &Record, step: &str) -> Option<StepState> {
    record.state(step)
}

fn actions(plan: &Plan, record: &Record, lane: Lane) -> BTreeSet<(String, Action)> {
    let of = |service: &str| {
        let service = service.to_owned();
        decide(plan, record, &service, lane).into_iter().map(move |it| (service.clone(), it))
    };
    plan.services().into_iter().flat_map(of).collect()
}

#[test]
fn the_walks_are_not_empty() {
    each(|plan, graph| {
        let accepted: usize = graph.nodes.iter().map(|node| node.accepted.len()).sum();
        assert!(graph.nodes.len() > 20, "{}: {} states", plan.name(), graph.nodes.len());
        assert!(accepted > 40, "{}: {accepted} transitions", plan.name());
        for status in Status::ALL {
            let found = graph.nodes.iter().any(|node| node.record.status == *status);
            assert!(found, "{}: {status} is never reached", plan.name());
        }
    });
}

#[test]
fn a_completed_saga_has_every_step_passed() {
    each_record(|plan, record| {
        if record.status == Status::Completed {
            for step in plan.steps() {
                let passed = [StepState::Done, StepState::Skipped, StepState::Omitted];
                assert!(passed.map(Some).contains(&state(record, &step.name)), "{record:?}");
            }
            assert_eq!(record.cause, None);
        }
    });
}

#[test]
fn a_rolled_back_saga_owes_nothing_and_says_why() {
    each_record(|plan, record| {
        if record.status == Status::RolledBack {
            for step in plan.steps().iter().filter(|step| step.kind == Kind::Compensable) {
                let clean = [None, Some(StepState::Failed), Some(StepState::Omitted)];
                let state = state(record, &step.name);
                let clean = clean.contains(&state) || state == Some(StepState::Undone);
                assert!(clean, "{record:?}");
            }
            assert!(record.cause.is_some());
        }
    });
}

#[test]
fn a_saga_is_stuck_exactly_while_an_undo_has_failed() {
    each_record(|_, record| {
        let failed = record.steps.values().any(|step| step.state == StepState::Undofailed);
        assert_eq!(failed, record.status == Status::Stuck, "{record:?}");
    });
}

#[test]
fn nothing_is_rolled_back_after_a_pivot_or_retriable_step() {
    each_record(|plan, record| {
        let passed = plan.steps().iter().any(|step| {
            matches!(step.kind, Kind::Pivot | Kind::Retriable)
                && matches!(state(record, &step.name), Some(StepState::Done | StepState::Skipped))
        });
        let forward = matches!(record.status, Status::Running | Status::Completed);
        assert!(!passed || forward, "{record:?}");
    });
}

#[test]
fn nothing_happens_after_the_end() {
    each(|_, graph| {
        for node in &graph.nodes {
            let is_end = node.record.status.is_end();
            assert_eq!(is_end, node.accepted.is_empty(), "{:?}", node.record);
        }
    });
}

#[test]
fn an_end_can_be_reached_from_everywhere() {
    each(|plan, graph| {
        let mut reaches: Vec<bool> =
            graph.nodes.iter().map(|node| node.record.status.is_end()).collect();
        loop {
            let more: Vec<usize> = (0..reaches.len())
                .filter(|&at| !reaches[at])
                .filter(|&at| graph.nodes[at].accepted.iter().any(|&(_, to)| reaches[to]))
                .collect();
            if more.is_empty() {
                break;
            }
            for at in more {
                reaches[at] = true;
            }
        }
        let lost = (0..reaches.len()).find(|&at| !reaches[at]).map(|at| &graph.nodes[at].record);
        assert_eq!(lost, None, "{}", plan.name());
    });
}

#[test]
fn somebody_is_always_responsible() {
    each_record(|plan, record| {
        if record.status.is_end() {
            assert_eq!(actions(plan, record, Lane::Forward), BTreeSet::new());
            assert_eq!(waiting(plan, record), Vec::new());
            return;
        }
        let services = !actions(plan, record, Lane::Forward).is_empty()
            || !actions(plan, record, Lane::Backward).is_empty();
        let coordinator = waiting(plan, record).iter().any(|waiting| waiting.appends);
        let operator = record.steps.values().any(|step| {
            step.state == StepState::Undofailed && matches!(step.by, Some(Author::Service(_)))
        });
        assert!(services || coordinator || operator, "{record:?}");
    });
}

/// What a service decides to do, the log accepts from it.
#[test]
fn decisions_are_accepted() {
    each_record(|plan, record| {
        for (service, action) in actions(plan, record, Lane::Forward) {
            let done = Change::done(action.step(), serde_json::json!({}));
            let event = saga_core::Event::new(Author::service(&service), done);
            record.next(plan, 1, event).unwrap();
        }
        for (service, action) in actions(plan, record, Lane::Backward) {
            if let Action::Undo(step) = action {
                let undone = Change::undone(&step);
                let event = saga_core::Event::new(Author::service(&service), undone);
                record.next(plan, 1, event).unwrap();
            }
        }
    });
}

/// A step is undone only when nothing after it may still exist.
#[test]
fn undo_runs_in_reverse_order() {
    each(|plan, graph| {
        for node in &graph.nodes {
            for (event, _) in &node.accepted {
                let Change::Undone { step } = &event.change else { continue };
                for later in plan.steps() {
                    let mut before = vec![later.name.as_str()];
                    let mut ancestors = BTreeSet::new();
                    while let Some(name) = before.pop() {
                        let more = plan.predecessor_names(name);
                        before.extend(more.into_iter().filter(|name| ancestors.insert(*name)));
                    }
                    let may_exist = matches!(
                        state(&node.record, &later.name),
                        Some(
                            StepState::Done
                                | StepState::Timedout
                                | StepState::Unsettled
                                | StepState::Skipped
                                | StepState::Undofailed
                        )
                    ) && later.kind == Kind::Compensable;
                    let comes_after = ancestors.contains(step.as_str());
                    assert!(!(comes_after && may_exist), "{step} undone in {:?}", node.record);
                }
            }
        }
    });
}

/// Whoever has something new to do is told so by the filters of its consumers.
#[test]
fn filters_wake_whoever_has_something_to_do() {
    each(|plan, graph| {
        for node in &graph.nodes {
            for (event, _) in &node.accepted {
                let next = node.record.next(plan, 1, event.clone()).unwrap();
                woken(plan, &node.record, &next, Lane::Forward);
                woken(plan, &node.record, &next, Lane::Backward);
                nudged(plan, &next);
            }
        }
    });
}

/// A nudge of a ready step reaches whoever runs it: once, and as something to run.
fn nudged(plan: &Plan, record: &Record) {
    if record.event.kind != EventKind::Nudged || record.status != Status::Running {
        return;
    }
    let step = plan.steps().iter().find(|step| step.name == record.event.step).unwrap();
    if matches!(step.kind, Kind::Timer | Kind::Signal) {
        return;
    }
    let subject = subject::of(plan.name(), record);
    let backward = backward(plan, &step.service);
    let told = backward.iter().filter(|filter| subject::matches(filter, &subject)).count();
    assert_eq!(told, 1, "{subject}");
    assert_eq!(Lane::of(Lane::Backward, record), Lane::Forward);
    let asked = decide(plan, record, &step.service, Lane::Forward);
    assert!(asked.contains(&Action::Run(step.name.clone())), "{subject}");
}

/// What all backward consumers of a service bring.
fn backward(plan: &Plan, service: &str) -> Vec<String> {
    let consumers = subject::backward_consumers(plan, plan.name(), service);
    consumers.into_iter().map(|(_, filter)| filter).collect()
}

fn woken(plan: &Plan, before: &Record, next: &Record, lane: Lane) {
    let subject = subject::of(plan.name(), next);
    let had = actions(plan, before, lane);
    for (service, action) in actions(plan, next, lane).difference(&had) {
        let filters = match lane {
            Lane::Forward => subject::forward_filters(plan, plan.name(), service),
            Lane::Backward => backward(plan, service),
        };
        let is_matched = filters.iter().any(|filter| subject::matches(filter, &subject));
        assert!(is_matched, "{service} misses {action:?} on {subject}");
        if lane == Lane::Backward {
            assert!(subject::asks_back(plan, service, next), "{service} ignores {subject}");
        }
    }
}

#[test]
fn every_record_is_the_fold_of_its_history_and_a_lie_is_found() {
    each(|plan, graph| {
        for node in &graph.nodes {
            for (event, _) in &node.accepted {
                let sequence = node.record.n * 10;
                let next = node.record.next(plan, sequence, event.clone()).unwrap();
                verify(plan, node.record.clone(), sequence, &next).unwrap();
                let mut lie = next.clone();
                lie.input = serde_json::json!({"amount": 1}).into();
                assert!(verify(plan, node.record.clone(), sequence, &lie).is_err());
                let mut lie = next.clone();
                lie.status = match lie.status {
                    Status::Stuck => Status::RolledBack,
                    _ => Status::Stuck,
                };
                assert_eq!(
                    verify(plan, node.record.clone(), sequence, &lie),
                    Err(Lie::Differs("the status"))
                );
                assert!(matches!(
                    verify(plan, node.record.clone(), sequence + 1, &next),
                    Err(Lie::Base { .. })
                ));
            }
        }
    });
}

/// A record survives the wire, with fields that this program does not know.
#[test]
fn unknown_fields_are_kept() {
    each_record(|plan, record| {
        let mut json: serde_json::Value = serde_json::from_slice(&record.to_json()).unwrap();
        json["colour"] = "blue".into();
        let read = Record::from_json(json.to_string().as_bytes()).unwrap();
        let cancel = saga_core::Event::new(Author::Client, Change::Cancelled);
        if let Ok(next) = read.next(plan, 1, cancel) {
            assert_eq!(next.extra["colour"], "blue");
            assert_eq!(next.event.kind, EventKind::Cancelled);
        }
    });
}

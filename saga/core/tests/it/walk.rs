//! Walks everything that can happen to a saga: every legal history is a path through this graph.

use std::collections::{BTreeMap, VecDeque};

use saga_core::{Author, Change, Event, Plan, Reason, Record, Refusal};
use serde_json::Value;

/// A node: one state of a saga, with one record in that state.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) record: Record,
    pub(crate) accepted: Vec<(Event, usize)>,
    pub(crate) refused: Vec<(Event, Refusal)>,
}

/// All states that a saga can get into.
#[derive(Debug)]
pub(crate) struct Graph {
    pub(crate) nodes: Vec<Node>,
}

/// Every event that anybody could write.
pub(crate) fn every_event(plan: &Plan, outputs: &[Value]) -> Vec<Event> {
    let mut authors = vec![Author::Coordinator, Author::Operator, Author::Client];
    authors.extend(plan.services().into_iter().map(Author::service));
    let mut changes = vec![Change::Cancelled, Change::Expired];
    for step in plan.steps() {
        let reason = || Reason::new("why", "because");
        let name = || step.name.clone();
        for output in outputs {
            changes.push(Change::done(&step.name, output.clone()));
            changes.push(Change::skipped(&step.name, output.clone()));
        }
        changes.push(Change::Failed { step: name(), reason: reason() });
        changes.push(Change::Timedout { step: name(), reason: reason() });
        changes.push(Change::Undone { step: name() });
        changes.push(Change::Undofailed { step: name(), reason: reason() });
        changes.push(Change::Nudged { step: name() });
        changes.push(Change::settled(&step.name, false));
        changes.push(Change::settled(&step.name, true));
    }
    let with = |change: &Change| -> Vec<Event> {
        authors.iter().map(|author| Event::new(author.clone(), change.clone())).collect()
    };
    changes.iter().flat_map(with).collect()
}

/// What tells two states apart: everything but the number and the history.
fn key(record: &Record) -> String {
    let parts = (&record.status, &record.input, &record.steps, &record.cause);
    serde_json::to_string(&parts).unwrap()
}

/// Walks the whole graph from the start of a saga with each of `inputs`.
pub(crate) fn walk(plan: &Plan, inputs: &[Value], outputs: &[Value]) -> Graph {
    let events = every_event(plan, outputs);
    let mut nodes: Vec<Node> = Vec::new();
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    let mut open: VecDeque<usize> = VecDeque::new();
    let mut visit = |record: Record, nodes: &mut Vec<Node>, open: &mut VecDeque<usize>| {
        *known.entry(key(&record)).or_insert_with(|| {
            nodes.push(Node { record, accepted: Vec::new(), refused: Vec::new() });
            open.push_back(nodes.len() - 1);
            nodes.len() - 1
        })
    };
    for input in inputs {
        visit(Record::start(plan, "s", input.clone()).unwrap(), &mut nodes, &mut open);
    }
    while let Some(at) = open.pop_front() {
        let record = nodes[at].record.clone();
        for event in &events {
            // The sequence is made up: it only has to be the base of what follows.
            match record.next(plan, record.n * 10, event.clone()) {
                Ok(next) => {
                    let to = visit(next, &mut nodes, &mut open);
                    nodes[at].accepted.push((event.clone(), to));
                }
                Err(refusal) => nodes[at].refused.push((event.clone(), refusal)),
            }
        }
    }
    Graph { nodes }
}

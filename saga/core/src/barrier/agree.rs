//! Which rows of the barrier go with which record: what an auditor compares.
//!
//! A row may be ahead of the log by what its service has committed and not appended yet, and never
//! otherwise. So whoever finds a contradiction in a saga that is still open reads its last record
//! again before saying so.

use super::{Row, State};
use crate::apply::is_ready;
use crate::event::{Author, SAGA};
use crate::plan::Plan;
use crate::record::{Record, Status, StepRecord, StepState};

#[cfg(test)]
mod tests;

/// What is wrong with the row of a step that has an effect, in words; `None`: record and row agree.
/// `is_settled`: the step's service has acknowledged every message of the saga up to this record,
/// so also what it only had to note must be there.
pub fn contradiction(
    plan: &Plan,
    record: &Record,
    step: &str,
    row: Option<&Row>,
    is_settled: bool,
) -> Option<String> {
    let known = record.steps.get(step);
    let own = row.filter(|row| row.request == record.request);
    if row.is_some() && own.is_none() {
        let claims = known.is_some_and(claims_own_row);
        return claims.then(|| {
            let state = known.map_or("waiting", |it| it.state.as_str());
            format!("the log says {state}, and the row is one of another request")
        });
    }
    let is_forward = matches!(record.status, Status::Running | Status::Completed);
    let found = own.map(|row| row.state);
    let fits = match known {
        None => {
            let index = plan.index_of(step);
            let is_ready = index.is_some_and(|index| is_ready(plan, record, index));
            found.is_none() || is_ready && is_of(found, &[State::Begun, State::Done, State::Failed])
        }
        Some(it) => match it.state {
            // Nobody knows what came of it, or it is being settled.
            _ if is_being_settled(it, is_forward) => true,
            StepState::Done if is_forward => found == Some(State::Done),
            StepState::Done => {
                is_of(found, &[State::Done, State::Undoing, State::Undone, State::Held])
            }
            StepState::Failed => found == Some(State::Failed),
            StepState::Skipped => match found {
                None => !is_settled,
                found => is_of(found, &[State::Void, State::Begun, State::Done, State::Failed]),
            },
            StepState::Undone if it.by == Some(Author::Operator) => {
                !is_settled || found == Some(State::Undone)
            }
            StepState::Undone => is_of(found, &[State::Void, State::Failed, State::Undone]),
            StepState::Undofailed => found == Some(State::Held),
            StepState::Omitted | StepState::Timedout | StepState::Unsettled => found.is_none(),
        },
    };
    if !fits {
        let state = known.map_or("waiting", |it| it.state.as_str());
        let found = found
            .map_or("there is no row".to_owned(), |found| format!("the row is {}", found.as_str()));
        return Some(format!("the log says {state}, and {found}"));
    }
    known.zip(own).and_then(|(known, row)| other_content(known, row))
}

/// What is wrong with the row of a service's mirror, in words; `None`: record and row agree.
/// `is_settled` as for [`contradiction`].
pub fn mirror_contradiction(
    record: &Record,
    row: Option<&Row>,
    is_settled: bool,
) -> Option<String> {
    let Some(row) = row else {
        let is_due = is_settled && (record.status.is_end() || record.status == Status::Stuck);
        return is_due.then(|| format!("the ending {} is not mirrored", record.status));
    };
    if row.request != record.request {
        return None;
    }
    let mirrored = row.n.unwrap_or(0);
    if row.state != State::Done || mirrored > record.n {
        let (state, n) = (row.state.as_str(), record.n);
        return Some(format!(
            "the row of {SAGA} is {state} at event {mirrored}, and the log ends with event {n}"
        ));
    }
    (is_settled && record.status.is_end() && mirrored < record.n).then(|| {
        format!("event {} is not mirrored, only what came up to event {mirrored}", record.n)
    })
}

/// Whether every row goes with it: nobody knows what came of the step, or its undo is under way.
fn is_being_settled(it: &StepRecord, is_forward: bool) -> bool {
    match it.state {
        StepState::Timedout | StepState::Unsettled => true,
        StepState::Skipped => !is_forward,
        StepState::Undofailed => it.by == Some(Author::Coordinator),
        _ => false,
    }
}

/// Whether the record says something of the step that only its own row can have led to.
fn claims_own_row(it: &StepRecord) -> bool {
    match it.state {
        StepState::Done => true,
        StepState::Failed => it.reason.as_ref().is_none_or(|reason| reason.code != "id_reused"),
        StepState::Undofailed => it.by != Some(Author::Coordinator),
        _ => false,
    }
}

/// States agree; what the step put out, or why it was refused, may still differ.
fn other_content(known: &StepRecord, row: &Row) -> Option<String> {
    let keeps_output = matches!(row.state, State::Done | State::Undoing | State::Held);
    if known.state == StepState::Done
        && keeps_output
        && known.output.as_deref() != row.output.as_ref()
    {
        return Some("the row has another output than the log".to_owned());
    }
    if known.state == StepState::Failed && known.reason != row.reason {
        return Some("the row has another reason than the log".to_owned());
    }
    None
}

fn is_of(found: Option<State>, of: &[State]) -> bool {
    found.is_some_and(|found| of.contains(&found))
}

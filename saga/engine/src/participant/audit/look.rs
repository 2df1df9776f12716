//! One saga and its rows: what contradicts the log, and what handlers are asked.

use saga_core::barrier::{Key, Row, State, contradiction, mirror_contradiction};
use saga_core::{Author, Json, Plan, Record, Status, StepState, event::SAGA};

use crate::audit::ask::{Asked, Finding, Kind};
use crate::step::{Check, Ending, Expected};

/// How far a stream's messages are acknowledged by this service: every one up to these sequences.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Floors {
    pub(super) backward: u64,
    pub(super) ending: u64,
}

/// One saga that is looked at.
pub(super) struct Look<'a> {
    pub(super) asked: &'a Asked,
    pub(super) plan: &'a Plan,
    floors: Floors,
    /// The steps of this service with their rows.
    pub(super) steps: Vec<(String, Option<Row>)>,
    /// The service takes note of such an ending.
    pub(super) has_mirror: bool,
    /// The row of its mirror.
    pub(super) ending: Option<Row>,
}

impl<'a> Look<'a> {
    /// A saga whose rows are still to be read.
    pub(super) fn new(asked: &'a Asked, plan: &'a Plan, floors: Floors) -> Self {
        Self { asked, plan, floors, steps: Vec::new(), has_mirror: false, ending: None }
    }

    /// Rows that are compared.
    pub(super) fn rows(&self) -> u64 {
        u64::try_from(self.steps.len()).unwrap_or(0) + u64::from(self.has_mirror)
    }

    /// Whether the service has acknowledged everything about this saga.
    pub(super) fn is_settled(&self) -> bool {
        self.asked.sequence <= self.floors.backward && self.asked.sequence <= self.floors.ending
    }

    pub(super) fn contradictions(&self) -> Vec<Finding> {
        let record = &self.asked.record;
        let is_settled = self.asked.sequence <= self.floors.backward;
        let rows = self.steps.iter().filter_map(|(step, row)| {
            let why = contradiction(self.plan, record, step, row.as_ref(), is_settled)?;
            Some(of(record, step, Kind::Row, why))
        });
        let mut found: Vec<Finding> = rows.collect();
        if self.has_mirror {
            let is_settled = self.asked.sequence <= self.floors.ending;
            let why = mirror_contradiction(record, self.ending.as_ref(), is_settled);
            found.extend(why.map(|why| of(record, SAGA, Kind::Row, why)));
        }
        found
    }

    /// What the handler of a step is asked about this saga.
    pub(super) fn check(&self, step: &str) -> Option<(Check<Json, Json>, &Record)> {
        let record = &self.asked.record;
        let (_, row) = self.steps.iter().find(|(own, _)| own == step)?;
        let check = Check {
            saga_type: record.saga_type.clone(),
            saga_id: record.id.clone(),
            step: step.to_owned(),
            effect_id: Key::new(&record.saga_type, &record.id, step).effect_id(),
            input: record.input.clone(),
            expected: expected(record, step, row.as_ref()),
        };
        Some((check, record))
    }

    /// Whether the mirror took note of the ending, or does not have to.
    pub(super) fn is_mirrored(&self) -> bool {
        let record = &self.asked.record;
        let is_own = |row: &Row| row.request == record.request && row.n == Some(record.n);
        let is_noted = !self.has_mirror || self.ending.as_ref().is_some_and(is_own);
        record.status.is_end() && is_noted
    }

    pub(super) fn as_ending(&self) -> Ending<Json> {
        let record = self.asked.record.clone();
        Ending {
            input: record.input.clone(),
            at_ms: self.asked.at_ms,
            effect_id: format!("{}.{}.{}", record.saga_type, record.id, record.status),
            traceparent: None,
            record,
        }
    }
}

/// What there has to be of a step's effect. By the log: a row may be what is wrong.
fn expected(record: &Record, step: &str, row: Option<&Row>) -> Expected<Json> {
    let is_other = row.is_some_and(|row| row.request != record.request);
    if !record.status.is_end() || is_other {
        return Expected::Open;
    }
    let Some(known) = record.steps.get(step) else { return Expected::Nothing };
    match known.state {
        StepState::Done if record.status == Status::Completed => {
            known.output.clone().map_or(Expected::Open, Expected::Held)
        }
        StepState::Failed | StepState::Omitted => Expected::Nothing,
        StepState::Undone if known.by != Some(Author::Operator) => Expected::Nothing,
        // The log does not say whether it had been run; the row does.
        StepState::Skipped => match row.map(|row| (row.state, &row.output)) {
            Some((State::Done, Some(output))) => Expected::Held(output.clone().into()),
            Some((State::Void | State::Failed, _)) => Expected::Nothing,
            _ => Expected::Open,
        },
        _ => Expected::Open,
    }
}

/// A finding about a step of a saga.
pub(super) fn of(record: &Record, step: &str, kind: Kind, detail: String) -> Finding {
    Finding {
        kind,
        saga_type: Some(record.saga_type.clone()),
        id: Some(record.id.clone()),
        step: Some(step.to_owned()),
        detail,
    }
}

/// A finding about no single saga.
pub(super) fn whole(kind: Kind, detail: String) -> Finding {
    Finding { kind, saga_type: None, id: None, step: None, detail }
}

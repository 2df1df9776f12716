//! The one transition function: what an event makes of a record, or why it is refused.

use crate::definition::{Kind, Step};
use crate::event::{Author, Change, Event, EventKind, SAGA};
use crate::json::Json;
use crate::limits::{self, TooMuch};
use crate::plan::{Plan, is_point_of_no_return};
use crate::record::{Cause, EventInfo, Reason, Record, Status, StepRecord, StepState, VERSION};

/// Why an event does not follow from a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The record follows another definition than the one at hand.
    #[error("the saga follows another definition (version {0})")]
    OtherDefinition(u32),
    /// No such step.
    #[error("there is no step {0:?}")]
    UnknownStep(String),
    /// The saga's status does not allow it.
    #[error("{kind} is not possible: the saga is {status}")]
    Status {
        /// The refused event.
        kind: EventKind,
        /// The saga's status.
        status: Status,
    },
    /// The step is not ready: it waits for others, or is over.
    #[error("{kind} is not possible: step {step} is not ready ({state})")]
    NotReady {
        /// The refused event.
        kind: EventKind,
        /// The step.
        step: String,
        /// Its state; `waiting` when it has none.
        state: &'static str,
    },
    /// The step's undo is not due: nothing is owed, or a later step comes first.
    #[error("{kind} is not possible: step {step} owes no undo now ({state})")]
    NotOwed {
        /// The refused event.
        kind: EventKind,
        /// The step.
        step: String,
        /// Its state; `waiting` when it has none.
        state: &'static str,
    },
    /// The way back is closed.
    #[error("{kind} is too late: step {step}, after which nothing is undone, has begun")]
    TooLate {
        /// The refused event.
        kind: EventKind,
        /// The pivot or retriable step that is ready or over.
        step: String,
    },
    /// This kind of step never has such an event.
    #[error("{kind} never happens to step {step}, which is {step_kind:?}")]
    NeverHappens {
        /// The refused event.
        kind: EventKind,
        /// The step.
        step: String,
        /// The step's kind.
        step_kind: Kind,
    },
    /// Somebody else has to write this event.
    #[error("{by} may not write {kind} of step {step}")]
    NotYours {
        /// The refused event.
        kind: EventKind,
        /// The step.
        step: String,
        /// Who tried.
        by: String,
    },
    /// The service may still undo the step itself.
    #[error("step {0} can be settled only after its service gave up the undo, or with force")]
    NotGivenUp(String),
    /// Not a saga id.
    #[error("{0:?} is not a saga id: [A-Za-z0-9_-]{{1,64}}")]
    Id(String),
    /// Input or output does not fit.
    #[error("the value does not fit")]
    TooMuch(#[from] TooMuch),
}

impl Refusal {
    /// The refusal's code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::OtherDefinition(_) => "other_definition",
            Self::UnknownStep(_) => "unknown_step",
            Self::Status { .. } => "wrong_status",
            Self::NotReady { .. } => "step_not_ready",
            Self::NotOwed { .. } => "step_not_owed",
            Self::TooLate { .. } => "too_late",
            Self::NeverHappens { .. } => "never_happens",
            Self::NotYours { .. } => "not_yours",
            Self::NotGivenUp(_) => "not_given_up",
            Self::Id(_) => "invalid_id",
            Self::TooMuch(_) => "too_much",
        }
    }
}

impl Record {
    /// The record of `started`: event 1 of a new saga.
    pub fn start(plan: &Plan, id: &str, input: impl Into<Json>) -> Result<Self, Refusal> {
        let input = input.into();
        if !limits::is_id(id) {
            return Err(Refusal::Id(id.to_owned()));
        }
        limits::check_json(&input, plan.definition().input_max)?;
        let mut record = Self {
            v: VERSION,
            saga_type: plan.name().to_owned(),
            id: id.to_owned(),
            n: 1,
            status: Status::Running,
            event: EventInfo {
                step: SAGA.to_owned(),
                kind: EventKind::Started,
                by: Author::Client,
                attempt: 1,
                actor: None,
                note: None,
            },
            definition: plan.reference(),
            request: crate::digest(&input),
            base: 0,
            input,
            steps: std::collections::BTreeMap::new(),
            cause: None,
            extra: std::collections::BTreeMap::new(),
        };
        go_on(plan, &mut record);
        Ok(record)
    }

    /// The record after `event`; `base` is the stream sequence of this record.
    pub fn next(&self, plan: &Plan, base: u64, event: Event) -> Result<Self, Refusal> {
        self.clone().into_next(plan, base, event)
    }

    /// [`Record::next`] in place of this record.
    pub fn into_next(mut self, plan: &Plan, base: u64, event: Event) -> Result<Self, Refusal> {
        if !plan.serves(&self) {
            return Err(Refusal::OtherDefinition(self.definition.version));
        }
        let info = EventInfo {
            step: event.change.step().to_owned(),
            kind: event.change.kind(),
            by: event.by,
            attempt: event.attempt,
            actor: event.actor,
            note: event.note,
        };
        transition(plan, &mut self, &info, event.change)?;
        self.n += 1;
        self.base = base;
        self.event = info;
        Ok(self)
    }
}

/// Everything that can happen, in one place.
#[expect(
    clippy::too_many_lines,
    reason = "one exhaustive match: what can happen is read in one piece"
)]
fn transition(
    plan: &Plan,
    record: &mut Record,
    info: &EventInfo,
    change: Change,
) -> Result<(), Refusal> {
    let at = At { plan, kind: info.kind, by: &info.by };
    match change {
        Change::Cancelled => {
            at.only(SAGA, &[Author::Client, Author::Operator])?;
            at.recallable(record)?;
            let detail = info.note.clone().unwrap_or_default();
            roll_back(plan, record, cause(SAGA, &Reason::new("cancelled", &detail)));
        }
        Change::Expired => {
            at.only(SAGA, &[Author::Coordinator])?;
            at.recallable(record)?;
            let reason = Reason::new("expired", "the saga's deadline passed");
            roll_back(plan, record, cause(SAGA, &reason));
        }
        Change::Done { step, output } => {
            let definition = at.ready(record, &step)?;
            at.only(&step, &[performer(definition)])?;
            limits::check_json(&output, definition.output_max)?;
            set(record, &step, StepState::Done, |it| it.output = Some(output));
            go_on(plan, record);
        }
        Change::Failed { step, reason } => {
            let definition = at.ready(record, &step)?;
            at.kind_is(definition, &[Kind::Compensable, Kind::Pivot])?;
            at.only(&step, &[performer(definition)])?;
            fail(plan, record, &step, StepState::Failed, reason);
        }
        Change::Timedout { step, reason } => {
            let definition = at.ready(record, &step)?;
            at.kind_is(definition, &[Kind::Compensable, Kind::Signal])?;
            at.only(&step, &[performer(definition), Author::Coordinator])?;
            at.recallable(record)?;
            fail(plan, record, &step, StepState::Timedout, reason);
        }
        Change::Undone { step } => {
            let definition = at.undoable(record, &step)?;
            at.only(&step, &[performer(definition)])?;
            set_by(record, &step, StepState::Undone, info.by.clone());
            record.status = way_back(plan, record);
        }
        Change::Undofailed { step, reason } => {
            let definition = at.undoable(record, &step)?;
            at.only(&step, &[performer(definition), Author::Coordinator])?;
            if info.by == Author::Coordinator && record.state(&step) == Some(StepState::Undofailed)
            {
                return Err(at.not_owed(record, &step));
            }
            set_by(record, &step, StepState::Undofailed, info.by.clone());
            set(record, &step, StepState::Undofailed, |it| it.reason = Some(reason));
            record.status = way_back(plan, record);
        }
        Change::Nudged { step } => {
            at.only(&step, &[Author::Operator])?;
            if record.status == Status::Running {
                at.ready(record, &step)?;
            } else {
                at.undo_failed(record, &step)?;
                set(record, &step, StepState::Timedout, |it| it.by = None);
                record.status = way_back(plan, record);
            }
        }
        Change::Skipped { step, output } => {
            at.only(&step, &[Author::Operator])?;
            let definition = at.ready(record, &step)?;
            limits::check_json(&output, definition.output_max)?;
            set(record, &step, StepState::Skipped, |it| it.output = Some(output));
            go_on(plan, record);
        }
        Change::Settled { step, force } => {
            at.only(&step, &[Author::Operator])?;
            at.undo_failed(record, &step)?;
            if !force && gave_up(record, &step) != Some(true) {
                return Err(Refusal::NotGivenUp(step));
            }
            set_by(record, &step, StepState::Undone, info.by.clone());
            record.status = way_back(plan, record);
        }
    }
    Ok(())
}

/// The checks of one event.
struct At<'a> {
    plan: &'a Plan,
    kind: EventKind,
    by: &'a Author,
}

impl<'a> At<'a> {
    fn step(&self, step: &str) -> Result<(usize, &'a Step), Refusal> {
        let index = self.plan.index_of(step);
        index
            .map(|index| (index, &self.plan.steps()[index]))
            .ok_or_else(|| Refusal::UnknownStep(step.to_owned()))
    }

    fn only(&self, step: &str, allowed: &[Author]) -> Result<(), Refusal> {
        if allowed.contains(self.by) {
            return Ok(());
        }
        let by = self.by.as_str().to_owned();
        Err(Refusal::NotYours { kind: self.kind, step: step.to_owned(), by })
    }

    fn kind_is(&self, step: &Step, allowed: &[Kind]) -> Result<(), Refusal> {
        if allowed.contains(&step.kind) {
            return Ok(());
        }
        let (step, step_kind) = (step.name.clone(), step.kind);
        Err(Refusal::NeverHappens { kind: self.kind, step, step_kind })
    }

    fn ready(&self, record: &Record, step: &str) -> Result<&'a Step, Refusal> {
        let (index, definition) = self.step(step)?;
        if record.status != Status::Running {
            return Err(Refusal::Status { kind: self.kind, status: record.status });
        }
        if is_ready(self.plan, record, index) {
            return Ok(definition);
        }
        let state = state_word(record, step);
        Err(Refusal::NotReady { kind: self.kind, step: step.to_owned(), state })
    }

    /// The saga runs, and nothing irrevocable has begun.
    fn recallable(&self, record: &Record) -> Result<(), Refusal> {
        if record.status != Status::Running {
            return Err(Refusal::Status { kind: self.kind, status: record.status });
        }
        match no_return(self.plan, record) {
            None => Ok(()),
            Some(step) => Err(Refusal::TooLate { kind: self.kind, step: step.to_owned() }),
        }
    }

    fn undoable(&self, record: &Record, step: &str) -> Result<&'a Step, Refusal> {
        let (index, definition) = self.step(step)?;
        self.on_the_way_back(record)?;
        if is_undoable(self.plan, record, index) {
            Ok(definition)
        } else {
            Err(self.not_owed(record, step))
        }
    }

    fn undo_failed(&self, record: &Record, step: &str) -> Result<(), Refusal> {
        self.step(step)?;
        self.on_the_way_back(record)?;
        match record.state(step) {
            Some(StepState::Undofailed) => Ok(()),
            _ => Err(self.not_owed(record, step)),
        }
    }

    fn on_the_way_back(&self, record: &Record) -> Result<(), Refusal> {
        match record.status {
            Status::RollingBack | Status::Stuck => Ok(()),
            status => Err(Refusal::Status { kind: self.kind, status }),
        }
    }

    fn not_owed(&self, record: &Record, step: &str) -> Refusal {
        let state = state_word(record, step);
        Refusal::NotOwed { kind: self.kind, step: step.to_owned(), state }
    }
}

fn state_word(record: &Record, step: &str) -> &'static str {
    record.state(step).map_or("waiting", StepState::as_str)
}

/// Who performs a step and reports on it.
pub(crate) fn performer(step: &Step) -> Author {
    match step.kind {
        Kind::Compensable | Kind::Pivot | Kind::Retriable => Author::service(&step.service),
        Kind::Timer => Author::Coordinator,
        Kind::Signal => Author::Client,
    }
}

/// Whether the saga runs, the step has no state yet, and nothing before it is open.
pub(crate) fn is_ready(plan: &Plan, record: &Record, step: usize) -> bool {
    let is_open = record.state(&plan.steps()[step].name).is_none();
    let is_passed = |&before: &usize| {
        let state = record.state(&plan.steps()[before].name);
        matches!(state, Some(StepState::Done | StepState::Skipped | StepState::Omitted))
    };
    record.status == Status::Running && is_open && plan.predecessors(step).iter().all(is_passed)
}

/// The pivot or retriable step that is ready or has passed.
pub(crate) fn no_return<'a>(plan: &'a Plan, record: &Record) -> Option<&'a str> {
    let begun = |&(index, step): &(usize, &Step)| {
        let has_passed =
            matches!(record.state(&step.name), Some(StepState::Done | StepState::Skipped));
        is_point_of_no_return(step.kind) && (has_passed || is_ready(plan, record, index))
    };
    plan.steps().iter().enumerate().find(begun).map(|(_, step)| step.name.as_str())
}

/// Whether the step's effect may exist and has to go.
pub(crate) fn is_owed(plan: &Plan, record: &Record, step: usize) -> bool {
    let step = &plan.steps()[step];
    let may_exist = matches!(
        record.state(&step.name),
        Some(StepState::Done | StepState::Timedout | StepState::Unsettled | StepState::Skipped)
    );
    step.kind == Kind::Compensable && may_exist
}

/// `Some(true)` when the service itself gave the undo up, `Some(false)` when it is only late.
pub(crate) fn gave_up(record: &Record, step: &str) -> Option<bool> {
    let it = record.steps.get(step)?;
    (it.state == StepState::Undofailed).then_some(matches!(it.by, Some(Author::Service(_))))
}

/// Whether the step's service is to undo it now: it is owed (or its undo is late), and no step
/// after it is owed or has a failed undo.
pub(crate) fn is_undoable(plan: &Plan, record: &Record, step: usize) -> bool {
    let name = &plan.steps()[step].name;
    let is_blocked_by = |later: usize| {
        plan.is_after(later, step)
            && (is_owed(plan, record, later)
                || record.state(&plan.steps()[later].name) == Some(StepState::Undofailed))
    };
    matches!(record.status, Status::RollingBack | Status::Stuck)
        && (is_owed(plan, record, step) || gave_up(record, name) == Some(false))
        && !(0..plan.steps().len()).any(is_blocked_by)
}

/// After a step passed: omits what is not wanted, and ends the saga when nothing is left.
fn go_on(plan: &Plan, record: &mut Record) {
    for &step in plan.order() {
        let unwanted = plan.steps()[step].when.as_ref().is_some_and(|when| !when.holds(record));
        if unwanted && is_ready(plan, record, step) {
            let omitted = StepRecord::new(StepState::Omitted);
            record.steps.insert(plan.steps()[step].name.clone(), omitted);
        }
    }
    if record.steps.len() == plan.steps().len() {
        record.status = Status::Completed;
    }
}

fn fail(plan: &Plan, record: &mut Record, step: &str, state: StepState, reason: Reason) {
    let cause = cause(step, &reason);
    // What else is ready is found before this step's state changes the picture.
    let others = ready_effects(plan, record).into_iter().filter(|&other| other != step);
    let others: Vec<String> = others.map(str::to_owned).collect();
    set(record, step, state, |it| it.reason = Some(reason));
    begin_rollback(plan, record, &others, cause);
}

fn roll_back(plan: &Plan, record: &mut Record, cause: Cause) {
    let others: Vec<String> = ready_effects(plan, record).into_iter().map(str::to_owned).collect();
    begin_rollback(plan, record, &others, cause);
}

fn begin_rollback(plan: &Plan, record: &mut Record, ready: &[String], cause: Cause) {
    for step in ready {
        record.steps.insert(step.clone(), StepRecord::new(StepState::Unsettled));
    }
    record.cause = Some(cause);
    record.status = way_back(plan, record);
}

fn ready_effects<'a>(plan: &'a Plan, record: &Record) -> Vec<&'a str> {
    let steps = plan.steps().iter().enumerate();
    steps
        .filter(|&(index, step)| step.kind.has_effect() && is_ready(plan, record, index))
        .map(|(_, step)| step.name.as_str())
        .collect()
}

/// The status while nothing goes forward any more.
fn way_back(plan: &Plan, record: &Record) -> Status {
    let is_stuck = record.steps.values().any(|step| step.state == StepState::Undofailed);
    if is_stuck {
        Status::Stuck
    } else if (0..plan.steps().len()).any(|step| is_owed(plan, record, step)) {
        Status::RollingBack
    } else {
        Status::RolledBack
    }
}

fn cause(step: &str, reason: &Reason) -> Cause {
    Cause { step: step.to_owned(), code: reason.code.clone(), detail: reason.detail.clone() }
}

fn set(record: &mut Record, step: &str, state: StepState, more: impl FnOnce(&mut StepRecord)) {
    let it = record.steps.entry(step.to_owned()).or_insert_with(|| StepRecord::new(state));
    it.state = state;
    more(it);
}

fn set_by(record: &mut Record, step: &str, state: StepState, by: Author) {
    set(record, step, state, |it| it.by = Some(by));
}

//! Events, small enough to stand in a state.

use saga_core::{Author, Change, Event, Kind, Plan};
use serde_json::json;

use crate::book::StepId;

/// An event that somebody writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Move {
    /// The step's service: done.
    Done(StepId),
    /// The step's service: refused.
    Failed(StepId),
    /// The step's service: nobody knows.
    Unknown(StepId),
    /// The step's service: undone.
    Undone(StepId),
    /// The step's service: the undo was given up.
    GaveUp(StepId),
    /// A coordinator: the step is late.
    Late(StepId),
    /// A coordinator: the undo is late.
    UndoLate(StepId),
    /// A coordinator: the saga's deadline passed.
    Expired,
    /// A coordinator: a timer's delay passed.
    Due(StepId),
    /// A client: a signal.
    Signal(StepId),
    /// A client: called off.
    Cancelled,
    /// An operator: try again.
    Nudged(StepId),
    /// An operator: an output in the step's place.
    Skipped(StepId),
    /// An operator: undone by hand, after the service gave up.
    Settled(StepId),
}

impl Move {
    /// Whether a person is needed for it.
    pub fn is_wish(self) -> bool {
        matches!(self, Self::Cancelled | Self::Nudged(_) | Self::Skipped(_) | Self::Settled(_))
    }

    /// Whether a coordinator writes it because somebody did not answer in time.
    pub fn is_late(self) -> bool {
        matches!(self, Self::Late(_) | Self::UndoLate(_) | Self::Expired)
    }

    pub(crate) fn to_event(self, plan: &Plan) -> Event {
        let step = |step: StepId| &plan.steps()[usize::from(step)];
        let name = |id: StepId| step(id).name.as_str();
        let service = |id: StepId| Author::service(&step(id).service);
        let (by, change) = match self {
            Self::Done(id) => (service(id), Change::done(name(id), json!({"big": true}))),
            Self::Failed(id) => (service(id), Change::failed(name(id), "no", "")),
            Self::Unknown(id) => (service(id), Change::timedout(name(id), "unknown", "")),
            Self::Undone(id) => (service(id), Change::undone(name(id))),
            Self::GaveUp(id) => (service(id), Change::undofailed(name(id), "gave_up", "")),
            // One code for both, so that they lead to one state.
            Self::Late(id) => (Author::Coordinator, Change::timedout(name(id), "unknown", "")),
            Self::UndoLate(id) => {
                (Author::Coordinator, Change::undofailed(name(id), "gave_up", ""))
            }
            Self::Expired => (Author::Coordinator, Change::Expired),
            Self::Due(id) => (Author::Coordinator, Change::done(name(id), json!({}))),
            Self::Signal(id) => (Author::Client, Change::done(name(id), json!({}))),
            Self::Cancelled => (Author::Client, Change::Cancelled),
            Self::Nudged(id) => (Author::Operator, Change::nudged(name(id))),
            Self::Skipped(id) => {
                (Author::Operator, Change::skipped(name(id), json!({"big": false})))
            }
            Self::Settled(id) => (Author::Operator, Change::settled(name(id), false)),
        };
        Event::new(by, change)
    }

    /// Everything that a person may wish of a saga.
    pub(crate) fn wishes(plan: &Plan) -> Vec<Self> {
        let mut all = vec![Self::Cancelled];
        for (index, step) in plan.steps().iter().enumerate() {
            let Ok(id) = StepId::try_from(index) else { break };
            if step.kind == Kind::Signal {
                all.push(Self::Signal(id));
            }
            all.extend([Self::Nudged(id), Self::Skipped(id), Self::Settled(id)]);
        }
        all
    }
}

//! Everything that can go wrong around one service's steps, as a list.

use std::fmt;

use saga_core::{Author, Change, Kind, Plan, Status};

use super::play::{Stage, Trap, What};
use crate::barrier::Barrier;
use crate::testing::fault::Point;

/// One thing to play.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scenario {
    /// Nothing goes wrong.
    Completes,
    /// The process dies at a point of a step, which is delivered again.
    Dies { step: String, point: Point },
    /// A step of somebody else fails.
    OtherFails { step: String },
    /// It dies at a point of an own step's run, and later a step of somebody else fails.
    DiesThenFails { step: String, point: Point, fails: String },
    /// It dies at a point of an own step's undo.
    DiesUndoing { step: String, point: Point },
    /// The step is timed out before its message arrives.
    LateStart { step: String },
    /// The undo is delivered before the step's own message.
    UndoFirst { step: String },
    /// The step is timed out between its effect and its event.
    LateEvent { step: String },
    /// The saga is called off while the step is ready.
    Cancelled { step: String },
    /// An own step refuses the input.
    Refused,
}

impl Scenario {
    /// Everything for the steps of `service`.
    pub(super) fn all(plan: &Plan, service: &str) -> Vec<Self> {
        let own = || {
            let steps = plan.steps().iter();
            steps.filter(|step| step.kind.has_effect() && step.service == service)
        };
        let others: Vec<String> = plan
            .steps()
            .iter()
            .filter(|step| step.service != service && step.when.is_none() && can_fail(step))
            .map(|step| step.name.clone())
            .collect();
        let mut all = vec![Self::Completes];
        for step in own() {
            let name = || step.name.clone();
            all.extend(Point::ALL.map(|point| Self::Dies { step: name(), point }));
        }
        all.extend(others.iter().cloned().map(|step| Self::OtherFails { step }));
        for step in own().filter(|step| step.kind == Kind::Compensable) {
            let name = || step.name.clone();
            all.extend([
                Self::LateStart { step: name() },
                Self::UndoFirst { step: name() },
                Self::LateEvent { step: name() },
                Self::Cancelled { step: name() },
            ]);
            for point in Point::ALL {
                all.push(Self::DiesUndoing { step: name(), point });
                for fails in others.iter().cloned() {
                    all.push(Self::DiesThenFails { step: name(), point, fails });
                }
            }
        }
        all
    }

    /// Whether the saga rolls back, so that nothing of it remains.
    pub(super) fn is_undone(&self) -> bool {
        !matches!(self, Self::Completes | Self::Dies { .. })
    }

    pub(super) async fn play<B: Barrier<Work: Default>>(
        &self,
        stage: &Stage<B>,
        id: &str,
    ) -> Result<(), String> {
        let die =
            |step: &str, point| stage.set(Trap { point, step: step.to_owned(), what: What::Die });
        let status = match self {
            Self::Completes | Self::Refused => stage.play(id, None).await?,
            Self::Dies { step, point } => {
                stage.play_until_ready(id, step).await?;
                die(step, *point);
                stage.play(id, None).await?
            }
            Self::OtherFails { step } => stage.play(id, Some(step)).await?,
            Self::DiesThenFails { step, point, fails } => {
                die(step, *point);
                stage.play(id, Some(fails)).await?
            }
            Self::DiesUndoing { step, point } => {
                stage.play_until_ready(id, step).await?;
                let what = What::TimeOut;
                stage.set(Trap { point: Point::AfterEffect, step: step.clone(), what });
                stage.deliver_forward(id).await?;
                die(step, *point);
                stage.play(id, None).await?
            }
            Self::LateStart { step } => {
                stage.play_until_ready(id, step).await?;
                stage.append(id, Author::Coordinator, late(step)).await?;
                stage.play(id, None).await?
            }
            Self::UndoFirst { step } => {
                stage.play_until_ready(id, step).await?;
                stage.append(id, Author::Coordinator, late(step)).await?;
                stage.repeat_everything(id).await?;
                stage.play(id, None).await?
            }
            Self::LateEvent { step } => {
                stage.play_until_ready(id, step).await?;
                let what = What::TimeOut;
                stage.set(Trap { point: Point::AfterEffect, step: step.clone(), what });
                stage.play(id, None).await?
            }
            Self::Cancelled { step } => {
                stage.play_until_ready(id, step).await?;
                stage.append(id, Author::Client, Change::Cancelled).await?;
                stage.play(id, None).await?
            }
        };
        let expected = if self.is_undone() { Status::RolledBack } else { Status::Completed };
        if status == expected {
            return Ok(());
        }
        let cause = stage.last(id).await?.stored.record.cause;
        Err(format!("the saga is {status}, not {expected} ({cause:?})"))
    }
}

fn late(step: &str) -> Change {
    Change::timedout(step, "late", "the kit's coordinator")
}

fn can_fail(step: &saga_core::Step) -> bool {
    match step.kind {
        Kind::Compensable | Kind::Pivot => true,
        Kind::Signal => step.timeout_ms.is_some(),
        Kind::Retriable | Kind::Timer => false,
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => write!(out, "a step refuses"),
            Self::Completes => write!(out, "everything works"),
            Self::Dies { step, point } => write!(out, "{step} dies at {point:?}"),
            Self::OtherFails { step } => write!(out, "{step} fails"),
            Self::DiesThenFails { step, point, fails } => {
                write!(out, "{step} dies at {point:?}, then {fails} fails")
            }
            Self::DiesUndoing { step, point } => {
                write!(out, "the undo of {step} dies at {point:?}")
            }
            Self::LateStart { step } => write!(out, "{step} starts after its time-out"),
            Self::UndoFirst { step } => write!(out, "the undo of {step} overtakes it"),
            Self::LateEvent { step } => write!(out, "{step} is timed out after its effect"),
            Self::Cancelled { step } => write!(out, "the saga is cancelled while {step} is ready"),
        }
    }
}

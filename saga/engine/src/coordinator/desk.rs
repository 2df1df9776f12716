//! Grants wishes: each one append, refused with its reason, and answered alike when repeated.

use std::sync::Arc;

use saga_core::{Author, Change, Event, EventKind, Plan, Record, Refusal, StepState};
use serde_json::Value;

use super::office::Office;
use crate::client::{Sagas, StartError};
use crate::engine::DefinitionError;
use crate::log::advance::{AdvanceError, Advanced, advance};
use crate::log::{NEWEST, ReadError, Tail, Trace};
use crate::wishes::{Cancel, Moved, Nudge, Settle, Signal, Skip, Start};

mod look;

/// How often a wish that met somebody else's event is tried on the record found.
const TRIES: u32 = 8;
/// The same nudge again within this is a repeat; later it is another nudge.
const NUDGE_REPEAT_MS: i64 = 60_000;

/// Why a wish is not granted.
#[derive(Debug, thiserror::Error)]
pub(super) enum No {
    /// The protocol forbids it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The request itself is wrong.
    #[error("{0}")]
    Malformed(String),
    /// No such type.
    #[error("there is no saga type {0:?}")]
    UnknownType(String),
    /// No such saga, or not any more.
    #[error("there is no saga {id:?} of type {saga_type}")]
    UnknownSaga { saga_type: String, id: String },
    /// No such version, or the saga's definition is not known.
    #[error("{0}")]
    UnknownDefinition(String),
    /// The id belongs to a saga of another request.
    #[error("the saga {0} exists and was started by another request")]
    IdTaken(String),
    /// Not now.
    #[error("{0}")]
    Unavailable(String),
}

impl No {
    /// For programs.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.code(),
            Self::Malformed(_) => "malformed",
            Self::UnknownType(_) => "unknown_type",
            Self::UnknownSaga { .. } => "unknown_saga",
            Self::UnknownDefinition(_) => "unknown_definition",
            Self::IdTaken(_) => "id_taken",
            Self::Unavailable(_) => "unavailable",
        }
    }

    /// As HTTP uses them.
    pub(super) fn status(&self) -> usize {
        match self {
            Self::Refused(Refusal::UnknownStep(_))
            | Self::UnknownType(_)
            | Self::UnknownSaga { .. }
            | Self::UnknownDefinition(_) => 404,
            Self::Refused(Refusal::Id(_) | Refusal::TooMuch(_)) => 422,
            Self::Malformed(_) => 400,
            Self::Refused(_) | Self::IdTaken(_) => 409,
            Self::Unavailable(_) => 503,
        }
    }
}

impl From<ReadError> for No {
    fn from(error: ReadError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<AdvanceError> for No {
    fn from(error: AdvanceError) -> Self {
        match error {
            AdvanceError::Impossible(refusal) => Self::Refused(refusal),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

impl From<DefinitionError> for No {
    fn from(error: DefinitionError) -> Self {
        match error {
            DefinitionError::Unavailable { .. } => Self::Unavailable(error.to_string()),
            other => Self::UnknownDefinition(other.to_string()),
        }
    }
}

/// One operator's event, and how to tell that it was granted before.
struct Request<'a> {
    saga_type: &'a str,
    id: &'a str,
    by: Author,
    change: Change,
    actor: &'a str,
    reason: &'a str,
}

impl Office {
    pub(super) async fn start(&self, wish: &Start, trace: Trace) -> Result<Moved, No> {
        let plan = match wish.version {
            None => self.any_plan(&wish.saga_type)?,
            Some(version) => self.engine.plan(&wish.saga_type, version).await?,
        };
        let random = || uuid::Uuid::new_v4().simple().to_string();
        let id = wish.id.clone().unwrap_or_else(random);
        let sagas = Sagas::new(self.engine.clone(), plan);
        match sagas.start(&id, wish.input.clone(), trace).await {
            Ok(started) => Ok(moved(&started.stored.into(), started.replayed)),
            Err(StartError::OtherRequest(id)) => Err(No::IdTaken(id)),
            Err(StartError::Refused(refusal)) => Err(refusal.into()),
            Err(StartError::Log(error)) => Err(error.into()),
        }
    }

    pub(super) async fn cancel(&self, wish: &Cancel) -> Result<Moved, No> {
        let Cancel { saga_type, id, actor, reason } = wish;
        self.grant(Request {
            saga_type,
            id,
            by: Author::Client,
            change: Change::Cancelled,
            actor,
            reason,
        })
        .await
    }

    pub(super) async fn nudge(&self, wish: &Nudge) -> Result<Moved, No> {
        let Nudge { saga_type, id, step, actor, reason } = wish;
        let change = Change::nudged(step);
        self.grant(Request { saga_type, id, by: Author::Operator, change, actor, reason }).await
    }

    pub(super) async fn skip(&self, wish: &Skip) -> Result<Moved, No> {
        let Skip { saga_type, id, step, output, actor, reason } = wish;
        let change = Change::skipped(step, output.clone());
        self.grant(Request { saga_type, id, by: Author::Operator, change, actor, reason }).await
    }

    pub(super) async fn settle(&self, wish: &Settle) -> Result<Moved, No> {
        let Settle { saga_type, id, step, force, actor, reason } = wish;
        let change = Change::settled(step, *force);
        self.grant(Request { saga_type, id, by: Author::Operator, change, actor, reason }).await
    }

    pub(super) async fn signal(&self, wish: &Signal) -> Result<Moved, No> {
        let Signal { saga_type, id, step, output, actor, reason } = wish;
        let change = Change::done(step, output.clone());
        self.grant(Request { saga_type, id, by: Author::Client, change, actor, reason }).await
    }

    async fn grant(&self, request: Request<'_>) -> Result<Moved, No> {
        wished(request.actor, request.reason)?;
        let mut tail = self.tail(request.saga_type, request.id).await?;
        for _ in 0..TRIES {
            let plan = self.engine.plan_of(&tail.stored.record).await?;
            if self.is_repeated(&plan, &tail, &request) {
                return Ok(moved(&tail, true));
            }
            let event = Event::new(request.by.clone(), request.change.clone())
                .wished(request.actor, request.reason);
            let log = self.engine.log().as_ref();
            match advance(log, &plan, &tail, event).await? {
                Advanced::Appended(tail) => return Ok(moved(&tail, false)),
                Advanced::Moved(found) => tail = found,
                Advanced::Gone => return Err(unknown(request.saga_type, request.id)),
            }
        }
        Err(No::Unavailable("the saga moves too fast at this moment".to_owned()))
    }

    /// Whether the saga is already as the wish would make it.
    fn is_repeated(&self, plan: &Plan, tail: &Tail, request: &Request<'_>) -> bool {
        let record = &tail.stored.record;
        match &request.change {
            Change::Cancelled => record.cause.as_ref().is_some_and(|cause| {
                cause.step == saga_core::event::SAGA && cause.code == EventKind::Cancelled.as_str()
            }),
            Change::Skipped { step, output } => stands(record, step, StepState::Skipped, output),
            Change::Done { step, output } => {
                let is_signal =
                    plan.step(step).is_some_and(|it| it.kind == saga_core::Kind::Signal);
                is_signal && stands(record, step, StepState::Done, output)
            }
            Change::Settled { step, .. } => record
                .steps
                .get(step)
                .is_some_and(|it| it.state == StepState::Undone && it.by == Some(Author::Operator)),
            Change::Nudged { step } => {
                let event = &record.event;
                let is_same = event.kind == EventKind::Nudged
                    && event.step == *step
                    && event.actor.as_deref() == Some(request.actor)
                    && event.note.as_deref() == Some(request.reason);
                let now_ms = self.now_or(i64::MAX);
                is_same && now_ms.saturating_sub(tail.stored.at_ms) < NUDGE_REPEAT_MS
            }
            _ => false,
        }
    }

    /// Where a saga stands.
    async fn tail(&self, saga_type: &str, id: &str) -> Result<Tail, No> {
        let plan = self.any_plan(saga_type)?;
        if !saga_core::limits::is_id(id) {
            return Err(Refusal::Id(id.to_owned()).into());
        }
        // Whoever wishes something may know more of the saga than a replica that lags behind: it is
        // neither unknown nor is the wish too early because of that.
        let tail = self.engine.log().last(&plan, id, NEWEST).await?;
        tail.ok_or_else(|| unknown(saga_type, id))
    }

    /// Some definition of a type: enough to find its stream.
    fn any_plan(&self, saga_type: &str) -> Result<Arc<Plan>, No> {
        self.engine.newest(saga_type).ok_or_else(|| No::UnknownType(saga_type.to_owned()))
    }
}

fn stands(record: &Record, step: &str, state: StepState, output: &Value) -> bool {
    record.state(step) == Some(state) && record.output(step) == Some(output)
}

fn unknown(saga_type: &str, id: &str) -> No {
    No::UnknownSaga { saga_type: saga_type.to_owned(), id: id.to_owned() }
}

/// Every wish says who wishes it and why.
fn wished(actor: &str, reason: &str) -> Result<(), No> {
    for (name, text, most) in [("actor", actor, 256), ("reason", reason, 1024)] {
        if text.trim().is_empty() {
            return Err(No::Malformed(format!("the {name} must not be empty")));
        }
        if text.len() > most {
            return Err(No::Malformed(format!("the {name} has more than {most} bytes")));
        }
    }
    Ok(())
}

fn moved(tail: &Tail, repeated: bool) -> Moved {
    let record = &tail.stored.record;
    Moved {
        saga_type: record.saga_type.clone(),
        id: record.id.clone(),
        n: record.n,
        sequence: tail.stored.sequence,
        status: record.status,
        repeated,
    }
}

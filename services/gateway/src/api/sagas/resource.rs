//! What the routes of sagas take and give.

use jetsaga_contracts::http::order::Reason;
use jetsaga_contracts::time::Timestamp;
use poem_openapi::types::Any;
use poem_openapi::{Enum, Object};
use saga_engine::saga_core::Status;
use saga_engine::wishes::{Listed, Moved, Summary};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use service_kit::http::{FieldProblem, Problem};

use crate::view;

/// Where a saga stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum SagaStatus {
    /// On its way forward.
    Running,
    /// On its way back.
    RollingBack,
    /// Every step done, skipped or omitted.
    Completed,
    /// Every effect undone.
    RolledBack,
    /// An undo failed: a person is needed.
    Stuck,
}

impl From<SagaStatus> for Status {
    fn from(status: SagaStatus) -> Self {
        match status {
            SagaStatus::Running => Self::Running,
            SagaStatus::RollingBack => Self::RollingBack,
            SagaStatus::Completed => Self::Completed,
            SagaStatus::RolledBack => Self::RolledBack,
            SagaStatus::Stuck => Self::Stuck,
        }
    }
}

impl From<Status> for SagaStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Running => Self::Running,
            Status::RollingBack => Self::RollingBack,
            Status::Completed => Self::Completed,
            Status::RolledBack => Self::RolledBack,
            Status::Stuck => Self::Stuck,
        }
    }
}

/// A page of sagas.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct Sagas {
    /// Newest start first.
    pub data: Vec<SagaSummary>,
    /// What to send as `cursor` for the next page; absent on the last one.
    pub next_cursor: Option<String>,
    /// Whether another page follows.
    pub has_more: bool,
}

/// One saga in a list.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct SagaSummary {
    /// The saga type.
    #[oai(rename = "type")]
    pub saga_type: String,
    /// The saga's id.
    pub id: String,
    /// Where it stands.
    pub status: SagaStatus,
    /// Number of its last event.
    pub n: u64,
    /// Stream sequence of that event.
    pub sequence: u64,
    /// Why it rolls or rolled back.
    pub cause: Option<Reason>,
    /// When it started.
    pub started_at: Timestamp,
    /// When its last event was stored.
    pub updated_at: Timestamp,
}

impl From<Listed> for Sagas {
    fn from(listed: Listed) -> Self {
        let has_more = listed.cursor.is_some();
        let data = listed.sagas.into_iter().map(SagaSummary::from).collect();
        Self { data, next_cursor: listed.cursor, has_more }
    }
}

impl From<Summary> for SagaSummary {
    fn from(summary: Summary) -> Self {
        let cause = summary.cause.map(|cause| Reason {
            code: cause.code,
            detail: Some(cause.detail).filter(|detail| !detail.is_empty()),
            step: Some(cause.step),
        });
        Self {
            saga_type: summary.saga_type,
            id: summary.id,
            status: summary.status.into(),
            n: summary.n,
            sequence: summary.sequence,
            cause,
            started_at: view::time(summary.started_ms),
            updated_at: view::time(summary.at_ms),
        }
    }
}

/// The last record of a saga.
#[derive(Debug, Clone, Object)]
pub struct SagaRecord {
    /// Its stream sequence.
    pub sequence: u64,
    /// When the server stored it.
    pub at: Timestamp,
    /// The record, in the form of the saga protocol.
    pub record: Any<Value>,
}

/// Where a saga stands after a wish.
#[derive(Debug, Clone, Object)]
pub struct SagaMoved {
    /// The saga type.
    #[oai(rename = "type")]
    pub saga_type: String,
    /// The saga's id.
    pub id: String,
    /// Number of its last event.
    pub n: u64,
    /// Where it stands.
    pub status: SagaStatus,
    /// The wish had been granted before: nothing happened now.
    pub repeated: bool,
}

impl From<Moved> for SagaMoved {
    fn from(moved: Moved) -> Self {
        let Moved { saga_type, id, n, status, repeated, .. } = moved;
        Self { saga_type, id, n, status: status.into(), repeated }
    }
}

/// A definition and its diagram.
#[derive(Debug, Clone, Object)]
pub struct DefinitionView {
    /// The definition, as it is registered.
    pub definition: Any<Value>,
    /// Digest over its canonical JSON.
    pub digest: String,
    /// A flow chart, as Mermaid text.
    pub diagram: String,
}

/// What to try again, who wishes it, and why.
#[derive(Debug, Clone, Deserialize, Object)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
pub struct NudgeRequest {
    /// The step.
    #[oai(validator(pattern = "^[a-z0-9_-]{1,64}$"))]
    pub step: String,
    /// Who wishes it.
    #[oai(validator(min_length = 1, max_length = 256))]
    pub actor: String,
    /// Why.
    #[oai(validator(min_length = 1, max_length = 1000))]
    pub reason: String,
}

/// What to skip, what its successors are to see, who wishes it, and why.
#[derive(Debug, Clone, Deserialize, Object)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
pub struct SkipRequest {
    /// The step.
    #[oai(validator(pattern = "^[a-z0-9_-]{1,64}$"))]
    pub step: String,
    /// The output that its successors will see.
    #[serde(deserialize_with = "any")]
    pub output: Any<Value>,
    /// Who wishes it.
    #[oai(validator(min_length = 1, max_length = 256))]
    pub actor: String,
    /// Why.
    #[oai(validator(min_length = 1, max_length = 1000))]
    pub reason: String,
}

/// What was undone by hand, by whom, and why.
#[derive(Debug, Clone, Deserialize, Object)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
pub struct SettleRequest {
    /// The step.
    #[oai(validator(pattern = "^[a-z0-9_-]{1,64}$"))]
    pub step: String,
    /// Also though the step's service has not given up itself: only for one that never comes back.
    #[serde(default)]
    #[oai(default)]
    pub force: bool,
    /// Who wishes it.
    #[oai(validator(min_length = 1, max_length = 256))]
    pub actor: String,
    /// Why.
    #[oai(validator(min_length = 1, max_length = 1000))]
    pub reason: String,
}

fn any<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Any<Value>, D::Error> {
    Value::deserialize(deserializer).map(Any)
}

/// Longest text of these requests, in characters.
const TEXT_MAX: usize = 1_000;

/// Refuses texts that are empty or too long.
pub(super) fn check(fields: &[(&str, &str)]) -> Result<(), Problem> {
    let is_bad = |text: &str| text.trim().is_empty() || text.chars().count() > TEXT_MAX;
    let errors: Vec<FieldProblem> = fields
        .iter()
        .filter(|(_, text)| is_bad(text))
        .map(|(pointer, _)| FieldProblem {
            pointer: (*pointer).to_owned(),
            code: "out_of_range".to_owned(),
            detail: format!("must have 1 to {TEXT_MAX} characters"),
        })
        .collect();
    if errors.is_empty() {
        return Ok(());
    }
    Err(Problem::unprocessable("invalid_wish", "who wishes it, what, and why must be said", errors))
}

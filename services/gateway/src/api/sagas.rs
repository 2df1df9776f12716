//! Sagas as operators see them.

use poem::http::StatusCode;
use poem_openapi::OpenApi;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::types::Any;
use saga_engine::saga_core::{Status, mermaid};
use saga_engine::wishes::{Get, History, List, Nudge, Settle, Skip, Wish, WishError};
use serde_json::Value;
use service_kit::http::{JsonBody, Problem, Result};

use super::Group;
use crate::Shared;

mod resource;

pub use resource::{
    DefinitionView, NudgeRequest, SagaMoved, SagaRecord, SagaStatus, SagaSummary, Sagas,
    SettleRequest, SkipRequest,
};

/// The codes with which coordinators refuse wishes: each becomes that of a problem.
pub const WISH_CODES: &[&str] = &[
    "unknown_saga",
    "unknown_definition",
    "unknown_step",
    "malformed",
    "wrong_status",
    "step_not_ready",
    "step_not_owed",
    "too_late",
    "never_happens",
    "not_yours",
    "not_given_up",
    "other_definition",
    "invalid_id",
    "too_much",
    "id_taken",
];

/// Sagas.
#[derive(Debug, Clone)]
pub struct SagaApi(pub(super) Option<Shared>);

#[OpenApi]
impl SagaApi {
    /// Sagas
    ///
    /// All open ones and the last 10,000 that ended, newest start first.
    #[oai(path = "/v1/sagas", method = "get", operation_id = "listSagas", tag = "Group::Sagas")]
    async fn list(
        &self,
        /// Only this type.
        #[oai(name = "type", validator(pattern = "^[a-z0-9_-]{1,64}$"))]
        saga_type: Query<Option<String>>,
        /// Only this status.
        status: Query<Option<SagaStatus>>,
        /// Most sagas of this page: 1 to 100, 20 when absent.
        #[oai(validator(minimum(value = "1"), maximum(value = "100")))]
        limit: Query<Option<u32>>,
        /// Where to go on: `next_cursor` of the page before.
        #[oai(validator(pattern = "^[ -~]{1,512}$"))]
        cursor: Query<Option<String>>,
    ) -> Result<Json<Sagas>> {
        let wish = List {
            saga_type: saga_type.0,
            status: status.0.map(Status::from).into_iter().collect(),
            limit: Some(service_kit::http::page_limit(limit.0)?),
            cursor: cursor.0,
        };
        Ok(Json(self.ask(&wish).await?.into()))
    }

    /// One saga
    ///
    /// Its record: the complete state after its last event.
    #[oai(
        path = "/v1/sagas/:type/:id",
        method = "get",
        operation_id = "getSaga",
        tag = "Group::Sagas"
    )]
    async fn get(
        &self,
        /// The saga type.
        #[oai(name = "type", validator(pattern = "^[a-z0-9_-]{1,64}$"))]
        saga_type: Path<String>,
        /// The saga's id.
        #[oai(validator(pattern = "^[A-Za-z0-9_-]{1,64}$"))]
        id: Path<String>,
    ) -> Result<Json<SagaRecord>> {
        let found = self.ask(&Get { saga_type: saga_type.0, id: id.0 }).await?;
        let record =
            serde_json::to_value(&found.record).map_err(|error| Problem::internal(&error))?;
        let (sequence, at) = (found.sequence, crate::view::time(found.at_ms));
        Ok(Json(SagaRecord { sequence, at, record: Any(record) }))
    }

    /// A saga's history
    ///
    /// Every event with its time, and what comes next and when.
    #[oai(
        path = "/v1/sagas/:type/:id/history",
        method = "get",
        operation_id = "getSagaHistory",
        tag = "Group::Sagas"
    )]
    async fn history(
        &self,
        /// The saga type.
        #[oai(name = "type", validator(pattern = "^[a-z0-9_-]{1,64}$"))]
        saga_type: Path<String>,
        /// The saga's id.
        #[oai(validator(pattern = "^[A-Za-z0-9_-]{1,64}$"))]
        id: Path<String>,
    ) -> Result<Json<Any<Value>>> {
        let story = self.ask(&History { saga_type: saga_type.0, id: id.0 }).await?;
        let story = serde_json::to_value(story).map_err(|error| Problem::internal(&error))?;
        Ok(Json(Any(story)))
    }

    /// Try again
    ///
    /// A step that is ready, whose time-out then starts again, or an undo that failed.
    #[oai(
        path = "/v1/sagas/:type/:id/nudge",
        method = "post",
        operation_id = "nudgeSaga",
        tag = "Group::Sagas"
    )]
    async fn nudge(
        &self,
        /// The saga type.
        #[oai(name = "type", validator(pattern = "^[a-z0-9_-]{1,64}$"))]
        saga_type: Path<String>,
        /// The saga's id.
        #[oai(validator(pattern = "^[A-Za-z0-9_-]{1,64}$"))]
        id: Path<String>,
        body: JsonBody<NudgeRequest>,
    ) -> Result<Json<SagaMoved>> {
        let NudgeRequest { step, actor, reason } = body.0;
        resource::check(&[("/actor", &actor), ("/reason", &reason), ("/step", &step)])?;
        let wish = Nudge { saga_type: saga_type.0, id: id.0, step, actor, reason };
        Ok(Json(self.ask(&wish).await?.into()))
    }

    /// Skip a step
    ///
    /// Puts an output in the place of a step that is ready. At a rollback the step is undone like
    /// any other.
    #[oai(
        path = "/v1/sagas/:type/:id/skip",
        method = "post",
        operation_id = "skipStep",
        tag = "Group::Sagas"
    )]
    async fn skip(
        &self,
        /// The saga type.
        #[oai(name = "type", validator(pattern = "^[a-z0-9_-]{1,64}$"))]
        saga_type: Path<String>,
        /// The saga's id.
        #[oai(validator(pattern = "^[A-Za-z0-9_-]{1,64}$"))]
        id: Path<String>,
        body: JsonBody<SkipRequest>,
    ) -> Result<Json<SagaMoved>> {
        let SkipRequest { step, output: Any(output), actor, reason } = body.0;
        resource::check(&[("/actor", &actor), ("/reason", &reason), ("/step", &step)])?;
        let wish = Skip { saga_type: saga_type.0, id: id.0, step, output, actor, reason };
        Ok(Json(self.ask(&wish).await?.into()))
    }

    /// Settle a step by hand
    ///
    /// States that a person undid the step, after its service gave the undo up.
    #[oai(
        path = "/v1/sagas/:type/:id/settle",
        method = "post",
        operation_id = "settleStep",
        tag = "Group::Sagas"
    )]
    async fn settle(
        &self,
        /// The saga type.
        #[oai(name = "type", validator(pattern = "^[a-z0-9_-]{1,64}$"))]
        saga_type: Path<String>,
        /// The saga's id.
        #[oai(validator(pattern = "^[A-Za-z0-9_-]{1,64}$"))]
        id: Path<String>,
        body: JsonBody<SettleRequest>,
    ) -> Result<Json<SagaMoved>> {
        let SettleRequest { step, force, actor, reason } = body.0;
        resource::check(&[("/actor", &actor), ("/reason", &reason), ("/step", &step)])?;
        let wish = Settle { saga_type: saga_type.0, id: id.0, step, force, actor, reason };
        Ok(Json(self.ask(&wish).await?.into()))
    }

    /// A saga's definition
    ///
    /// With its diagram as Mermaid text.
    #[oai(
        path = "/v1/definitions/:type",
        method = "get",
        operation_id = "getDefinition",
        tag = "Group::Sagas"
    )]
    #[expect(clippy::unused_async, reason = "poem-openapi wants every operation to be async")]
    async fn definition(
        &self,
        /// The saga type.
        #[oai(name = "type", validator(pattern = "^[a-z0-9_-]{1,64}$"))]
        saga_type: Path<String>,
    ) -> Result<Json<DefinitionView>> {
        let shared = self.0.as_ref().ok_or_else(super::orders::not_running)?;
        let plan = shared.context.engine.newest(&saga_type.0).ok_or_else(|| {
            Problem::not_found("unknown_type", "no saga of this type is defined here")
        })?;
        let definition = serde_json::to_value(plan.definition());
        let definition = definition.map_err(|error| Problem::internal(&error))?;
        Ok(Json(DefinitionView {
            definition: Any(definition),
            digest: plan.digest().to_owned(),
            diagram: mermaid(&plan),
        }))
    }
}

impl SagaApi {
    async fn ask<W: Wish>(&self, wish: &W) -> Result<W::Answer> {
        let shared = self.0.as_ref().ok_or_else(super::orders::not_running)?;
        Ok(shared.wishes.ask(wish).await.map_err(refused)?)
    }
}

/// What a refused wish says over HTTP.
pub(super) fn refused(error: WishError) -> Problem {
    match error {
        WishError::Refused { code, status, message } => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::CONFLICT);
            Problem::new(status, &code, message)
        }
        WishError::Unavailable(why) => {
            tracing::warn!(why, "no coordinator answered");
            let detail = "no coordinator answers now; it may have happened, and may be repeated";
            Problem::unavailable("coordinator_unavailable", detail, 1)
        }
        error @ WishError::Unreadable(_) => Problem::internal(&error),
    }
}

//! Placing orders and seeing them through.

use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use jetsaga_contracts::http::order::{AcceptedStatus, Order, OrderAccepted, OrderLinks};
use jetsaga_contracts::http::page::Page;
use jetsaga_contracts::ids::OrderId;
use jetsaga_contracts::order_saga::OrderInput;
use poem::http::StatusCode;
use poem::web::sse::Event;
use poem_openapi::param::{Header, Path, Query};
use poem_openapi::payload::{EventStream, Json};
use poem_openapi::{ApiResponse, OpenApi};
use saga_engine::saga_core::Status;
use saga_engine::wishes::Cancel;
use saga_engine::{StartError, Started, Stored, Trace};
use service_kit::http::{Call, CallError, FieldProblem, JsonBody, Problem, Result};

use super::Group;
use crate::events::{Progress, progress};
use crate::{Shared, view};

mod key;
mod prefer;

/// How long the order service may take in all.
const PATIENCE: Duration = Duration::from_secs(5);
/// Pause between comments that keep a silent event stream alive.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Who places orders, as long as nobody has to log in.
const CALLER: &str = "public";

/// Orders.
#[derive(Debug, Clone)]
pub struct Orders(pub(super) Option<Shared>);

/// What becomes of an order that was placed.
#[derive(ApiResponse)]
enum Placed {
    /// It is confirmed. Only with `Prefer: wait`.
    #[oai(status = 201)]
    Confirmed(
        Json<Order>,
        /// Where the order is.
        #[oai(header = "Location")]
        String,
        /// `true` when the same key and order came before.
        #[oai(header = "Idempotency-Replayed")]
        Option<String>,
        /// The wait that was granted.
        #[oai(header = "Preference-Applied")]
        Option<String>,
    ),
    /// It is in the log, and will be seen through to its end.
    #[oai(status = 202)]
    Accepted(
        Json<OrderAccepted>,
        /// Where the order is.
        #[oai(header = "Location")]
        String,
        /// `true` when the same key and order came before.
        #[oai(header = "Idempotency-Replayed")]
        Option<String>,
        /// The wait that was granted.
        #[oai(header = "Preference-Applied")]
        Option<String>,
    ),
}

/// What becomes of a wish to cancel.
#[derive(ApiResponse)]
enum Cancelling {
    /// The order is being rolled back, or is already.
    #[oai(status = 202)]
    Accepted(Json<OrderAccepted>),
}

#[OpenApi]
impl Orders {
    /// Place an order
    ///
    /// Answers as soon as the start of its saga is in the log. The same `Idempotency-Key` with the
    /// same order is answered the same, with another order it is refused.
    #[oai(path = "/v1/orders", method = "post", operation_id = "placeOrder", tag = "Group::Orders")]
    async fn place(
        &self,
        request: &poem::Request,
        body: JsonBody<OrderInput>,
        /// A text of your own for this order, at most 255 characters, with or without quotation
        /// marks. Kept as long as the saga's last message.
        #[oai(
            name = "Idempotency-Key",
            validator(max_length = 255, pattern = "^[!-~]([ -~]*[!-~])?$")
        )]
        key: Header<Option<String>>,
        /// `wait=N`: answer when the order ended, or after N seconds (30 at most).
        #[oai(name = "Prefer", validator(max_length = 255))]
        prefer: Header<Option<String>>,
    ) -> Result<Placed> {
        let shared = self.shared()?;
        let id = key::order_id(CALLER, key.0.as_deref())?;
        check(&body.0)?;
        let input = serde_json::to_value(&body.0).map_err(|error| Problem::internal(&error))?;
        let trace = trace(request);
        let ticket = shared.admission.admit(id.as_str()).ok_or_else(too_many)?;
        let replayed = |started: &Started| started.replayed.then(|| "true".to_owned());
        let Some(limit) = prefer.0.as_deref().and_then(prefer::wait) else {
            let started = shared.orders.start(id.as_str(), input, trace).await;
            let started = started.map_err(not_started)?;
            ticket.started(shared.orders.plan(), &started);
            let replayed = replayed(&started);
            return Ok(Placed::Accepted(Json(accepted(&id)), location(&id), replayed, None));
        };
        let started = shared.orders.start_and_follow(id.as_str(), input, trace).await;
        let (started, mut follower) = started.map_err(not_started)?;
        ticket.started(shared.orders.plan(), &started);
        let replayed = replayed(&started);
        if let Some(end) = follower.end(limit).await.map_err(|error| unavailable(&error))? {
            let began_ms = follower.began_ms();
            return self.ended(&id, &end, began_ms, replayed, limit).await;
        }
        let applied = Some(prefer::applied(limit));
        Ok(Placed::Accepted(Json(accepted(&id)), location(&id), replayed, applied))
    }

    /// All orders
    ///
    /// Newest first. An order is listed once its first step ran.
    #[oai(path = "/v1/orders", method = "get", operation_id = "listOrders", tag = "Group::Orders")]
    async fn list(
        &self,
        /// Most orders of this page: 1 to 100, 20 when absent.
        #[oai(validator(minimum(value = "1"), maximum(value = "100")))]
        limit: Query<Option<u32>>,
        /// Where to go on: `next_cursor` of the page before.
        #[oai(validator(pattern = "^[A-Za-z0-9_-]{1,512}$"))]
        cursor: Query<Option<String>>,
    ) -> Result<Json<Page<Order>>> {
        let mut call = Call::get("order", "/v1/orders", PATIENCE);
        if let Some(limit) = limit.0 {
            call = call.query("limit", limit);
        }
        if let Some(cursor) = cursor.0 {
            call = call.query("cursor", cursor);
        }
        Ok(Json(self.shared()?.context.client.call(&call).await.map_err(Problem::from)?))
    }

    /// One order
    ///
    /// As the log shows it, from the moment it was accepted; after retention, as the order service
    /// keeps it.
    #[oai(
        path = "/v1/orders/:id",
        method = "get",
        operation_id = "getOrder",
        tag = "Group::Orders"
    )]
    async fn get(
        &self,
        /// Its id.
        id: Path<OrderId>,
    ) -> Result<Json<Order>> {
        Ok(Json(self.order(&id.0).await?))
    }

    /// Cancel an order
    ///
    /// Possible until its confirmation is due; everything that was done is undone.
    #[oai(
        path = "/v1/orders/:id/cancel",
        method = "post",
        operation_id = "cancelOrder",
        tag = "Group::Orders"
    )]
    async fn cancel(
        &self,
        /// Its id.
        id: Path<OrderId>,
    ) -> Result<Cancelling> {
        let shared = self.shared()?;
        let wish = Cancel {
            saga_type: shared.orders.plan().name().to_owned(),
            id: id.0.to_string(),
            actor: "customer".to_owned(),
            reason: "the customer cancelled the order".to_owned(),
        };
        shared.wishes.ask(&wish).await.map_err(super::sagas::refused)?;
        Ok(Cancelling::Accepted(Json(accepted(&id.0))))
    }

    /// Follow an order
    ///
    /// Each step as it happens, as server-sent events, until the saga's end.
    #[oai(
        path = "/v1/orders/:id/events",
        method = "get",
        operation_id = "followOrder",
        tag = "Group::Orders"
    )]
    async fn events(
        &self,
        /// Its id.
        id: Path<OrderId>,
        /// Go on after this event.
        #[oai(name = "Last-Event-ID")]
        last: Header<Option<u64>>,
    ) -> Result<EventStream<BoxStream<'static, Progress>>> {
        let shared = self.shared()?;
        let id = id.0.as_str();
        let known = shared.orders.get(id).await.map_err(|error| unavailable(&error))?;
        if known.is_none() {
            return Err(unknown().into());
        }
        let follower = shared.orders.follow(id, last.0.unwrap_or(0)).await;
        let follower = follower.map_err(|error| unavailable(&error))?;
        let events = progress(follower, shared.context.stop.clone()).boxed();
        let event = |progress: Progress| {
            let id = progress.sequence.to_string();
            let data = serde_json::to_string(&progress).unwrap_or_default();
            Event::message(data).id(id).event_type("progress")
        };
        Ok(EventStream::new(events).keep_alive(HEARTBEAT).to_event(event))
    }
}

impl Orders {
    fn shared(&self) -> Result<&Shared> {
        self.0.as_ref().ok_or_else(|| not_running().into())
    }

    async fn order(&self, id: &OrderId) -> Result<Order> {
        let shared = self.shared()?;
        let history = shared.orders.history(id.as_str()).await;
        let history = history.map_err(|error| unavailable(&error))?;
        match history.as_slice() {
            [first, .., last] | [first @ last] if first.record.n == 1 => {
                Ok(view::order(last, first.at_ms).map_err(|error| Problem::internal(&error))?)
            }
            // Retention took the beginning: the order service has kept it.
            _ => {
                let path = format!("/v1/orders/{id}");
                let call = Call::get("order", &path, PATIENCE);
                let found = shared.context.client.call(&call).await;
                Ok(found.map_err(|error| match error {
                    CallError::Refused { problem, .. } if problem.status == 404 => unknown(),
                    other => other.into(),
                })?)
            }
        }
    }

    /// The answer to whoever waited for the end.
    async fn ended(
        &self,
        id: &OrderId,
        end: &Stored,
        began_ms: Option<i64>,
        replayed: Option<String>,
        limit: Duration,
    ) -> Result<Placed> {
        if end.record.status != Status::Completed {
            let cause = end.record.cause.clone();
            let code = cause.as_ref().map_or("cancelled", |cause| cause.code.as_str()).to_owned();
            let detail = cause.map(|cause| cause.detail).filter(|detail| !detail.is_empty());
            let field = FieldProblem {
                pointer: format!("/v1/orders/{id}"),
                detail: detail.clone().unwrap_or_else(|| code.clone()),
                code: code.clone(),
            };
            let detail = format!("the order was rolled back ({code}); nothing of it remains");
            let problem = Problem::conflict("order_cancelled", detail);
            return Err(Problem { errors: vec![field], ..problem }.into());
        }
        let order = match began_ms {
            Some(began_ms) => {
                view::order(end, began_ms).map_err(|error| Problem::internal(&error))?
            }
            // Somebody repeats the order after retention took the beginning.
            None => self.order(id).await?,
        };
        let applied = Some(prefer::applied(limit));
        Ok(Placed::Confirmed(Json(order), location(id), replayed, applied))
    }
}

fn accepted(id: &OrderId) -> OrderAccepted {
    let links = OrderLinks::of(id);
    OrderAccepted { id: id.clone(), status: AcceptedStatus::Accepted, links }
}

fn location(id: &OrderId) -> String {
    format!("/v1/orders/{id}")
}

/// What is wrong with an order that can be told without asking anybody.
fn check(order: &OrderInput) -> Result<()> {
    let violations = order.violations().into_iter();
    let errors: Vec<FieldProblem> = violations
        .map(|it| FieldProblem { pointer: it.pointer, code: it.code, detail: it.detail })
        .collect();
    if errors.is_empty() {
        return Ok(());
    }
    let detail = "the order breaks rules; each is named";
    Err(Problem::unprocessable("invalid_order", detail, errors).into())
}

fn trace(request: &poem::Request) -> Trace {
    let text = |name: &str| request.header(name).map(str::to_owned);
    Trace { parent: text("traceparent"), state: text("tracestate") }
}

fn not_started(error: StartError) -> Problem {
    match error {
        StartError::OtherRequest(_) => Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency_key_reused",
            "this Idempotency-Key was used for another order; take a new one",
        ),
        StartError::Refused(refusal) => {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_order", refusal.to_string())
        }
        StartError::Log(error) => unavailable(&error),
    }
}

fn too_many() -> Problem {
    let detail = "more orders are in work than can be carried out soon; come again with this one";
    Problem::unavailable("overloaded", detail, 2)
}

fn unavailable(error: &(dyn std::error::Error + 'static)) -> Problem {
    tracing::warn!(%error, "the log did not serve a request");
    let detail = "the log does not answer now; repeat the same request with the same key";
    Problem::unavailable("unavailable", detail, 1)
}

fn unknown() -> Problem {
    Problem::not_found("order_not_found", "there is no such order")
}

/// The routes exist for the document only.
pub(super) fn not_running() -> Problem {
    Problem::unavailable("unavailable", "the gateway is not running", 1)
}

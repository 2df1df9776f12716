//! The simulator's routes.

use std::{io, sync::Arc, time::Duration};

use poem::{
    Endpoint, EndpointExt as _, IntoResponse as _, Request, Response, Route, get, handler,
    http::{StatusCode, header},
    middleware::AddData,
    post, put,
    web::{Data, Json, Path},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    Fault, Mode, Teller,
    teller::{OnCharge, Refusal},
};
use crate::provider::wire::{
    ChargeObject, ChargeRequest, ChargeStatus, ErrorBody, ErrorObject, IDEMPOTENCY_KEY,
    RefundRequest, UNKNOWN_KEY,
};

/// Every key of the simulator starts so.
const KEY_PREFIX: &str = "Bearer sk_test_";

pub(super) fn routes(teller: Arc<Teller>) -> impl Endpoint {
    let v1 = Route::new()
        .at("/charges", post(make_charge))
        .at("/charges/by-key/:key", get(show_charge))
        .at("/charges/by-key/:key/cancel", post(cancel_charge))
        .at("/refunds", post(make_refund))
        .around(authorized);
    Route::new()
        .nest("/v1", v1)
        .at("/admin/faults", get(list_faults))
        .at("/admin/faults/:name", put(switch_fault))
        .at("/admin/arrivals", post(arrive_now))
        .at("/admin/summary", get(show_summary))
        .with(AddData::new(teller))
}

async fn authorized<E: Endpoint>(next: Arc<E>, request: Request) -> poem::Result<Response> {
    let is_key = |value: &str| value.starts_with(KEY_PREFIX);
    if request.header(header::AUTHORIZATION).is_some_and(is_key) {
        return Ok(next.call(request).await?.into_response());
    }
    let message = "a key that starts with sk_test_ is needed";
    Ok(error(StatusCode::UNAUTHORIZED, "authentication_error", "invalid_key", message))
}

#[handler]
async fn make_charge(
    request: &Request,
    Data(teller): Data<&Arc<Teller>>,
    Json(body): Json<ChargeRequest>,
) -> Response {
    let Some(key) = request.header(IDEMPOTENCY_KEY).map(str::to_owned) else {
        return no_key();
    };
    match teller.charge(&key, body) {
        Err(broken) => failed(&broken),
        Ok(OnCharge::Answer(made)) => answered(&made),
        Ok(OnCharge::AnswerSlowly(made)) => {
            pause(teller, teller.settings.slow_for).await;
            answered(&made)
        }
        Ok(OnCharge::Silence) => silence(teller).await,
        Ok(OnCharge::Break) => refused(Refusal::Broken),
        Ok(OnCharge::OnItsWay(is_new)) => {
            if is_new {
                arrive_later(Arc::clone(teller), key);
            }
            silence(teller).await
        }
        Ok(OnCharge::Refuse(refusal)) => refused(refusal),
    }
}

/// The charge arrives on its own, long after its caller has gone.
fn arrive_later(teller: Arc<Teller>, key: String) {
    tokio::spawn(async move {
        let late_after = teller.settings.late_after;
        tokio::select! {
            () = tokio::time::sleep(late_after) => {}
            () = teller.arrivals.notified() => {}
            () = teller.stop.cancelled() => return,
        }
        if let Err(broken) = teller.arrive(&key) {
            tracing::warn!(error = %broken, "the simulator cannot write its journal");
        }
    });
}

/// The answer that is never given: the caller is gone before the pause is over.
async fn silence(teller: &Teller) -> Response {
    pause(teller, teller.settings.hold_for).await;
    error(StatusCode::GATEWAY_TIMEOUT, "api_error", "timeout", "no answer in time")
}

async fn pause(teller: &Teller, pause: Duration) {
    tokio::select! {
        () = tokio::time::sleep(pause) => {}
        () = teller.stop.cancelled() => {}
    }
}

#[handler]
fn show_charge(Data(teller): Data<&Arc<Teller>>, Path(key): Path<String>) -> Response {
    match teller.status(&key) {
        Ok(charge) => Json(charge).into_response(),
        Err(refusal) => refused(refusal),
    }
}

#[handler]
fn cancel_charge(Data(teller): Data<&Arc<Teller>>, Path(key): Path<String>) -> Response {
    match teller.cancel(&key) {
        Err(broken) => failed(&broken),
        Ok(Ok(charge)) => Json(charge).into_response(),
        Ok(Err(refusal)) => refused(refusal),
    }
}

#[handler]
fn make_refund(
    request: &Request,
    Data(teller): Data<&Arc<Teller>>,
    Json(body): Json<RefundRequest>,
) -> Response {
    let Some(key) = request.header(IDEMPOTENCY_KEY) else { return no_key() };
    match teller.refund(key, &body) {
        Err(broken) => failed(&broken),
        Ok(Ok(made)) => Json(made).into_response(),
        Ok(Err(refusal)) => refused(refusal),
    }
}

#[derive(Debug, Serialize)]
struct FaultView {
    name: &'static str,
    mode: Mode,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SwitchRequest {
    mode: Mode,
}

#[handler]
fn list_faults(Data(teller): Data<&Arc<Teller>>) -> Response {
    let view = |fault: Fault| FaultView { name: fault.name(), mode: teller.mode(fault) };
    Json(json!({ "data": Fault::ALL.map(view) })).into_response()
}

#[handler]
fn switch_fault(
    Data(teller): Data<&Arc<Teller>>,
    Path(name): Path<String>,
    Json(body): Json<SwitchRequest>,
) -> Response {
    let Some(fault) = Fault::named(&name) else {
        let message = "no such fault; GET /admin/faults lists them";
        return error(StatusCode::NOT_FOUND, "invalid_request_error", "unknown_fault", message);
    };
    match teller.switch(fault, body.mode) {
        Err(broken) => failed(&broken),
        Ok(()) => Json(FaultView { name: fault.name(), mode: body.mode }).into_response(),
    }
}

#[handler]
fn arrive_now(Data(teller): Data<&Arc<Teller>>) -> Response {
    match teller.let_arrive() {
        Err(broken) => failed(&broken),
        Ok(arrived) => Json(json!({ "arrived": arrived })).into_response(),
    }
}

#[handler]
fn show_summary(Data(teller): Data<&Arc<Teller>>) -> Response {
    Json(teller.summary()).into_response()
}

fn answered(charge: &ChargeObject) -> Response {
    if charge.status == ChargeStatus::Failed {
        let error = ErrorObject {
            kind: "card_error".to_owned(),
            code: "card_declined".to_owned(),
            decline_code: charge.decline_code.clone(),
            message: "The card was declined.".to_owned(),
        };
        return Json(ErrorBody { error }).with_status(StatusCode::PAYMENT_REQUIRED).into_response();
    }
    Json(charge).into_response()
}

fn refused(refusal: Refusal) -> Response {
    const INVALID: &str = "invalid_request_error";
    const API: &str = "api_error";
    let (status, kind, code, message) = match refusal {
        Refusal::Down => (503, API, "unavailable", "The provider is down."),
        Refusal::RefundFailed => (503, API, "refund_failed", "The refund failed, try again."),
        Refusal::Broken => (500, API, "internal", "Something broke."),
        Refusal::UnknownToken => (400, INVALID, "unknown_payment_method", "No such token."),
        Refusal::NotPositive => (400, INVALID, "amount_too_small", "The amount must be positive."),
        Refusal::KeyReused => {
            (409, "idempotency_error", "key_reused", "The key was used for another request.")
        }
        Refusal::KeyCancelled => (409, INVALID, "charge_canceled", "The charge was called off."),
        Refusal::UnknownKey => (404, INVALID, UNKNOWN_KEY, "Nothing is known of this key."),
        Refusal::UnknownCharge => (404, INVALID, "unknown_charge", "No such charge."),
        Refusal::NotRefundable => (400, INVALID, "not_refundable", "It cannot be given back."),
        Refusal::RefundRefused => {
            (400, INVALID, "refund_refused", "The customer's account takes no refunds.")
        }
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    error(status, kind, code, message)
}

fn no_key() -> Response {
    let message = "the header Idempotency-Key is needed";
    error(StatusCode::BAD_REQUEST, "invalid_request_error", "missing_key", message)
}

fn failed(broken: &io::Error) -> Response {
    tracing::warn!(error = %broken, "the simulator cannot write its journal");
    refused(Refusal::Broken)
}

fn error(status: StatusCode, kind: &str, code: &str, message: &str) -> Response {
    let error = ErrorObject {
        kind: kind.to_owned(),
        code: code.to_owned(),
        decline_code: None,
        message: message.to_owned(),
    };
    Json(ErrorBody { error }).with_status(status).into_response()
}

//! What lies around every route: limits, ids, problems, metrics.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use poem::http::{HeaderValue, Method, StatusCode, header};
use poem::{Body, Endpoint, EndpointExt as _, IntoResponse as _, Request, Response, Route};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::Semaphore;
use tracing::Instrument as _;

use super::Problem;

mod framework;
mod paths;
mod trace;

pub use paths::Paths;

/// Most bytes of a body that is too large which are read all the same.
const DISCARDED: u64 = 8 * 1024 * 1024;

/// Limits of a service's HTTP side.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Largest body, in bytes.
    pub body: usize,
    /// How long a request may take until its answer begins.
    pub time: Duration,
    /// Requests worked on at the same time; more are told to come back.
    pub at_once: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { body: 256 * 1024, time: Duration::from_secs(40), at_once: 1024 }
    }
}

/// The id of a request, to be had by `req.data::<RequestId>()`.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

/// Puts the limits, request ids, problem documents, and metrics around routes. `paths` says which
/// methods a path has, and names it in metrics.
pub fn endpoint(
    route: Route,
    paths: Paths,
    limits: Limits,
) -> impl Endpoint<Output = Response> + 'static {
    let places = Semaphore::new(limits.at_once);
    let shared = Arc::new(Shared { route: route.map_to_response(), paths, limits, places });
    poem::endpoint::make(move |request: Request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, poem::Error>(answer(&shared, request).await) }
    })
}

struct Shared<E> {
    route: E,
    paths: Paths,
    limits: Limits,
    places: Semaphore,
}

/// Answers one request; nothing but a response comes out.
async fn answer<E>(shared: &Shared<E>, mut request: Request) -> Response
where
    E: Endpoint<Output = Response>,
{
    let begun = Instant::now();
    let id = request_id(&request);
    let path = request.uri().path().to_owned();
    let method = request.method().clone();
    request.set_data(RequestId(id.clone()));
    let parent = trace::begin(&mut request);
    let trace_id = trace::id(&parent);
    let span = tracing::info_span!("request", %method, path, request_id = id, trace_id);
    let result = pass(shared, request).instrument(span.clone()).await;
    let _inside = span.enter();
    let mut response = match result {
        Ok(response) => response,
        Err(error) => problem_response(&shared.paths, error, &method, &path, &id),
    };
    for (name, value) in [("x-request-id", &id), ("traceparent", &parent)] {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    }
    let headers = response.headers_mut();
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    let (status, elapsed) = (response.status(), begun.elapsed());
    tracing::info!(status = status.as_u16(), ms = elapsed.as_millis(), "answered");
    count(&shared.paths, &method, &path, status, elapsed);
    response
}

async fn pass<E>(shared: &Shared<E>, request: Request) -> poem::Result<Response>
where
    E: Endpoint<Output = Response>,
{
    let Ok(_place) = shared.places.try_acquire() else { return Err(overloaded().into()) };
    // Reading the body counts too: one that trickles in must not hold a place for ever.
    let inner = async { shared.route.call(limited(request, shared.limits.body).await?).await };
    let inner = AssertUnwindSafe(inner).catch_unwind();
    match tokio::time::timeout(shared.limits.time, inner).await {
        Ok(Ok(result)) => result,
        Ok(Err(_panic)) => Err(panicked().into()),
        Err(_elapsed) => Err(too_slow(shared.limits.time).into()),
    }
}

fn problem_response(
    paths: &Paths,
    error: poem::Error,
    method: &Method,
    path: &str,
    id: &str,
) -> Response {
    let mut problem = framework::problem(error);
    if problem.status == StatusCode::METHOD_NOT_ALLOWED.as_u16() {
        let allow = paths.allow(path);
        if *method == Method::OPTIONS && !allow.is_empty() {
            return StatusCode::NO_CONTENT.with_header(header::ALLOW, allow).into_response();
        }
        problem.allow = Some(allow);
    }
    problem.instance = Some(path.to_owned());
    problem.request_id = Some(id.to_owned());
    problem.into_response()
}

/// The caller's id when it is a plain short one, else a new one.
fn request_id(request: &Request) -> String {
    let is_plain = |id: &&str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        !id.is_empty() && id.len() <= 64 && id.bytes().all(allowed)
    };
    let given = request.header("x-request-id").filter(is_plain).map(str::to_owned);
    given.unwrap_or_else(|| uuid::Uuid::now_v7().simple().to_string())
}

/// The request with its body read, if that is not larger than allowed.
async fn limited(mut request: Request, limit: usize) -> poem::Result<Request> {
    let announced = request.header(header::CONTENT_LENGTH).and_then(|text| text.parse().ok());
    let body = request.take_body();
    if announced.is_some_and(|bytes: usize| bytes > limit) {
        discard(body.into_async_read()).await;
        return Err(too_large(limit).into());
    }
    if !body.is_empty() {
        let mut body = body.into_async_read();
        let mut bytes = Vec::with_capacity(announced.unwrap_or_default());
        let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
        let read = (&mut body).take(most).read_to_end(&mut bytes).await;
        read.map_err(poem::error::ReadBodyError::Io)?;
        if bytes.len() > limit {
            discard(body).await;
            return Err(too_large(limit).into());
        }
        request.set_body(Body::from_vec(bytes));
    }
    Ok(request)
}

/// Reads what nobody wants, up to a bound: whoever is still writing when the connection is closed
/// sees it break, and not the answer.
async fn discard(body: impl AsyncRead + Unpin) {
    // An error says that nobody waits for the answer any more.
    drop(tokio::io::copy(&mut body.take(DISCARDED), &mut tokio::io::sink()).await);
}

fn too_large(limit: usize) -> Problem {
    let detail = format!("the body may have at most {limit} bytes");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", detail)
}

fn overloaded() -> Problem {
    Problem::unavailable("overloaded", "too many requests at the same time; try again", 1)
}

fn too_slow(limit: Duration) -> Problem {
    let detail = format!("no answer within {} s; it may still happen", limit.as_secs());
    Problem { retry_after: Some(1), ..Problem::new(StatusCode::GATEWAY_TIMEOUT, "timeout", detail) }
}

fn panicked() -> Problem {
    let detail = "something went wrong on our side; the request id finds it in the log";
    tracing::error!("a handler panicked");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
}

fn count(paths: &Paths, method: &Method, path: &str, status: StatusCode, elapsed: Duration) {
    let labels = [
        ("service", paths.service().to_owned()),
        ("method", known(method).to_owned()),
        ("route", paths.template(path).to_owned()),
        ("status", status.as_u16().to_string()),
    ];
    metrics::counter!("http_requests_total", &labels).increment(1);
    metrics::histogram!("http_request_duration_seconds", &labels).record(elapsed.as_secs_f64());
}

/// The method as a label: whatever a client invents must not become a label of its own.
fn known(method: &Method) -> &str {
    match *method {
        Method::GET
        | Method::HEAD
        | Method::POST
        | Method::PUT
        | Method::PATCH
        | Method::DELETE
        | Method::OPTIONS => method.as_str(),
        _ => "other",
    }
}

#[cfg(test)]
mod tests;

//! Health: `live` says that the process runs, `ready` that it can do its work.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use poem::http::{StatusCode, header};
use poem::{Response, Route, get, handler, web::Data};
use serde_json::{Value, json};

/// A check's answer is kept for this long.
const FRESH: Duration = Duration::from_secs(1);
/// A check that takes longer fails.
const LIMIT: Duration = Duration::from_secs(2);

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// All is well.
    Pass,
    /// It works, and somebody should look.
    Warn(String),
    /// It does not work.
    Fail(String),
}

type Probe = Arc<dyn Fn() -> BoxFuture<'static, Check> + Send + Sync>;

/// Checks of everything in a process.
#[derive(Clone, Default)]
pub struct Health {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    probes: Mutex<BTreeMap<String, Probe>>,
    last: tokio::sync::Mutex<Option<(Instant, BTreeMap<String, Check>)>>,
}

impl Health {
    /// Adds a check, or replaces the one of that name.
    pub fn add(
        &self,
        name: &str,
        probe: impl Fn() -> BoxFuture<'static, Check> + Send + Sync + 'static,
    ) {
        let mut probes = self.inner.probes.lock().unwrap_or_else(PoisonError::into_inner);
        probes.insert(name.to_owned(), Arc::new(probe));
    }

    /// What the checks say; at most a second old.
    pub async fn check(&self) -> BTreeMap<String, Check> {
        let mut last = self.inner.last.lock().await;
        if let Some((at, found)) = last.as_ref()
            && at.elapsed() < FRESH
        {
            return found.clone();
        }
        let probes = self.inner.probes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let checks = probes.into_iter().map(|(name, probe)| async move {
            let slow = || Check::Fail(format!("no answer within {} s", LIMIT.as_secs()));
            let check = tokio::time::timeout(LIMIT, probe()).await.unwrap_or_else(|_| slow());
            (name, check)
        });
        let found: BTreeMap<_, _> = futures::future::join_all(checks).await.into_iter().collect();
        *last = Some((Instant::now(), found.clone()));
        found
    }
}

impl std::fmt::Debug for Health {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Health").finish_non_exhaustive()
    }
}

/// `/health/live`, `/health/ready` and `/health/startup`.
pub(super) fn routes(health: Health) -> Route {
    use poem::EndpointExt as _;
    Route::new()
        .at("/live", get(live))
        .at("/ready", get(ready.data(health.clone())))
        .at("/startup", get(ready.data(health)))
}

#[handler]
fn live() -> Response {
    answer(StatusCode::OK, &json!({ "status": "pass" }))
}

#[handler]
async fn ready(Data(health): Data<&Health>) -> Response {
    let found = health.check().await;
    let is_any = |is: fn(&Check) -> bool| found.values().any(is);
    let (status, word) = if is_any(|check| matches!(check, Check::Fail(_))) {
        (StatusCode::SERVICE_UNAVAILABLE, "fail")
    } else if is_any(|check| matches!(check, Check::Warn(_))) {
        (StatusCode::OK, "warn")
    } else {
        (StatusCode::OK, "pass")
    };
    let checks: serde_json::Map<String, Value> = found
        .iter()
        .map(|(name, check)| {
            let check = match check {
                Check::Pass => json!({ "status": "pass" }),
                Check::Warn(why) => json!({ "status": "warn", "output": why }),
                Check::Fail(why) => json!({ "status": "fail", "output": why }),
            };
            (name.clone(), json!([check]))
        })
        .collect();
    answer(status, &json!({ "status": word, "checks": checks }))
}

fn answer(status: StatusCode, body: &Value) -> Response {
    Response::builder()
        .status(status)
        .content_type("application/health+json")
        .header(header::CACHE_CONTROL, "no-store")
        .body(body.to_string())
}

#[cfg(test)]
mod tests;

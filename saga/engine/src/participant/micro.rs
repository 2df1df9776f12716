//! A participant on the NATS service protocol: `nats micro ls`, `info`, `stats`.

use std::collections::HashMap;
use std::sync::Arc;

use async_nats::service::{Service, ServiceExt as _};
use futures::StreamExt as _;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::valve::Valve;
use super::worker::{Role, Worker};
use super::{Barrier, Engine, audit, consumers};

/// Registers `saga-<service>` with the endpoints `saga-<service>.health`,
/// `saga-<service>.describe` and `saga-<service>.audit`.
pub(crate) async fn start<B: Barrier<Work: Default>>(
    engine: &Engine,
    worker: &Arc<Worker<B>>,
    valve: &Valve,
    stop: &CancellationToken,
) -> Result<Service, String> {
    let name = format!("saga-{}", worker.service);
    let meter = Arc::clone(&worker.meter);
    let counts = move |_endpoint, _stats| json!(meter.stats());
    let metadata = metadata(worker);
    let service = engine
        .client()
        .service_builder()
        .description(format!("{}: its part in sagas", worker.service))
        .metadata(metadata.clone())
        .stats_handler(counts)
        .start(&name, env!("CARGO_PKG_VERSION"))
        .await
        .map_err(|error| error.to_string())?;
    let (meter, valve) = (Arc::clone(&worker.meter), valve.clone());
    let health = move || {
        let counts = meter.stats();
        let status = if counts.foreign > 0 || !valve.is_open() { "warn" } else { "ok" };
        json!({ "status": status, "takes_up_steps": valve.is_open(), "counts": counts })
    };
    serve(&service, &name, "health", stop, health).await?;
    let description = json!(metadata);
    serve(&service, &name, "describe", stop, move || description.clone()).await?;
    audit::serve(&service, &name, stop, Arc::clone(worker)).await?;
    Ok(service)
}

async fn serve(
    service: &Service,
    name: &str,
    endpoint: &str,
    stop: &CancellationToken,
    answer: impl Fn() -> Value + Send + Sync + 'static,
) -> Result<(), String> {
    let builder = service.endpoint_builder().name(endpoint);
    let added = builder.add(format!("{name}.{endpoint}")).await;
    let mut requests = added.map_err(|error| error.to_string())?;
    let stop = stop.clone();
    tokio::spawn(async move {
        let serving = async {
            while let Some(request) = requests.next().await {
                if let Err(error) = request.respond(Ok(answer().to_string().into())).await {
                    tracing::debug!(%error, "an answer was not sent");
                }
            }
        };
        stop.run_until_cancelled(serving).await.unwrap_or_default();
    });
    Ok(())
}

/// Steps, versions and consumers.
fn metadata<B: Barrier<Work: Default>>(worker: &Worker<B>) -> HashMap<String, String> {
    let steps: Vec<&str> = worker.bench.steps.keys().map(String::as_str).collect();
    let version = |plan: &Arc<saga_core::Plan>| format!("{}.{}", plan.name(), plan.version());
    let versions: Vec<String> = worker.plans.iter().map(version).collect();
    let mut roles = Vec::new();
    if !steps.is_empty() {
        roles.extend([Role::Forward, Role::Backward]);
    }
    if worker.bench.mirror.is_some() {
        roles.push(Role::Ending);
    }
    let consumers: Vec<String> = roles
        .into_iter()
        .flat_map(|role| consumers(role, &worker.service, worker.plans.iter()))
        .collect();
    HashMap::from([
        ("steps".to_owned(), steps.join(",")),
        ("definitions".to_owned(), versions.join(",")),
        ("consumers".to_owned(), consumers.join(",")),
    ])
}

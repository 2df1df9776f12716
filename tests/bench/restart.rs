//! Figure g: a coordinator that starts with many open sagas, and many time-outs in one minute.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use jetsaga_nats::topology;
use saga_core::{Definition, Plan, Status, Step};
use saga_engine::coordinator::{Coordinator, CoordinatorHandle};
use saga_engine::{Engine, Sagas, Topology, Trace};
use serde_json::json;

use super::engine::{Engines, R1};
use super::figure::Failure;
use super::report::Report;

/// Sagas that are being started at the same time.
const STARTING: usize = 256;
/// Sagas of another type that run meanwhile.
const IN_FLIGHT: usize = 16;
/// All sagas are started before the first of them times out.
const TIMEOUT: Duration = Duration::from_mins(2);
/// Longest wait for a coordinator, and for the last time-out after it was due.
const PATIENCE: Duration = Duration::from_mins(10);

/// `many` sagas that wait for a person who does not come.
pub(crate) async fn figures(
    report: &mut Report,
    duration: Duration,
    many: usize,
) -> Result<(), Failure> {
    let directory = tempfile::tempdir()?;
    let server = super::server(directory.path()).await?;
    let timeout_ms = u64::try_from(TIMEOUT.as_millis())?;
    let definition = Definition::new("waiting", 1)
        .deadline_ms(timeout_ms * 10)
        .step(Step::signal("approval").timeout_ms(timeout_ms));
    let plan = Arc::new(Plan::new(definition)?);
    let engine = Engine::new(jetsaga_nats::connect_as(server.url(), "bench").await?);
    topology::apply(engine.jetstream(), &Topology::of(&[&plan], &[], 1)).await?;
    engine.register(Arc::clone(&plan)).await?;
    let sagas = Sagas::new(engine, Arc::clone(&plan));

    let first = Instant::now();
    stream::iter(0..many)
        .map(Ok)
        .try_for_each_concurrent(STARTING, |n| {
            let sagas = sagas.clone();
            async move {
                sagas.start(&format!("w{n}"), json!({}), Trace::default()).await.map(drop)
            }
        })
        .await?;
    let last = Instant::now();
    if last - first > TIMEOUT {
        return Err("not all sagas could be started before the first timed out".into());
    }
    let coordinator = restart(report, server.url(), &plan, many, "without a checkpoint").await?;
    coordinator.shutdown().await;
    let coordinator = restart(report, server.url(), &plan, many, "with a checkpoint").await?;

    let engines = Engines::start(server.url(), 1, Status::Completed).await?;
    let what = format!("sagas of 3 no-op steps, {IN_FLIGHT} in flight, while {many} others wait");
    report.row("g", &what, &engines.measure(IN_FLIGHT, duration).await, R1, "");
    tokio::time::sleep_until((first + TIMEOUT).into()).await;
    let during = engines.measure(IN_FLIGHT, last - first).await;
    report.row("g", "the same while these time out", &during, R1, "");
    let waited = until(PATIENCE, || coordinator.health().open == 0).await?;
    let note = format!(
        "due within {:.0} s; the last is appended {:.1} s after it was due",
        (last - first).as_secs_f64(),
        waited.saturating_duration_since(last + TIMEOUT).as_secs_f64(),
    );
    report.fact("g", &format!("{many} time-outs"), R1, &note);
    engines.stop().await;
    coordinator.shutdown().await;
    server.stop().await;
    Ok(())
}

/// Starts a coordinator and says how long it takes until it knows every open saga.
async fn restart(
    report: &mut Report,
    url: &str,
    plan: &Arc<Plan>,
    many: usize,
    how: &str,
) -> Result<CoordinatorHandle, Failure> {
    let engine = Engine::new(jetsaga_nats::connect_as(url, "coordinator").await?);
    let begun = Instant::now();
    let coordinator = Coordinator::new(engine).saga(Arc::clone(plan)).start().await?;
    let known = until(PATIENCE, || {
        let health = coordinator.health();
        health.is_caught_up && health.open == many
    });
    let milliseconds = (known.await? - begun).as_millis();
    let what = format!("a coordinator starts over {many} open sagas, {how}");
    let read = coordinator.health().replayed;
    report.fact("g", &what, R1, &format!("{milliseconds} ms; {read} messages read"));
    Ok(coordinator)
}

/// When something was first seen to be so.
async fn until(limit: Duration, is_so: impl Fn() -> bool) -> Result<Instant, Failure> {
    let end = Instant::now() + limit;
    while !is_so() {
        if Instant::now() > end {
            return Err("the coordinator does not come that far".into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(Instant::now())
}

//! Logs and metrics.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

/// The database's libraries speak of their own end when the program stops: everything that they
/// acknowledged is on disk by then, and errors of queries come back to whoever asked.
macro_rules! without_database {
    ($level:literal) => {
        concat!(
            $level,
            ",surrealkv=error,surrealdb=off,surrealdb_core=off,surrealdb_datastore=off,",
            "surrealdb_engine_local=off,surrealdb_kvs=off,surrealdb_engine_api=off"
        )
    };
}

/// What is logged when `RUST_LOG` says nothing: the shop's warnings.
const QUIET: &str = without_database!("warn");
/// The same for programs that read the log.
const FULL: &str = without_database!("info");

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogForm {
    /// For people, on standard error.
    Text,
    /// One JSON object per line, on standard error, from level `info`.
    Json,
}

/// Begins to log. Called once; a second call changes nothing.
pub fn log(form: LogForm) {
    let usual = if form == LogForm::Json { FULL } else { QUIET };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(usual));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let set = match form {
        LogForm::Text => builder.with_target(false).try_init(),
        LogForm::Json => builder.json().flatten_event(true).try_init(),
    };
    if set.is_err() {
        tracing::debug!("the log was set up before");
    }
}

/// The metrics of this process, as Prometheus reads them.
pub fn metrics() -> &'static PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(|| {
        let recorder = PrometheusBuilder::new()
            .set_buckets(&BUCKETS)
            .unwrap_or_else(|_| PrometheusBuilder::new())
            .build_recorder();
        let handle = recorder.handle();
        if ::metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("another recorder of metrics was set before");
        }
        handle
    })
}

/// Bounds of the histograms of durations, in seconds.
const BUCKETS: [f64; 12] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

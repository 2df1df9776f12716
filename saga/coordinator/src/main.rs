//! The coordinator, alone in its process.

use std::{process::ExitCode, sync::Arc};

use clap::Parser as _;
use saga_coordinator::CoordinatorOptions;
use saga_engine::saga_core::Plan;
use service_kit::host::{self, HostOptions, Program};

/// Time, wishes, retention and alarms of sagas
#[derive(Debug, clap::Parser)]
#[command(version)]
struct Options {
    #[command(flatten)]
    host: HostOptions,
    #[command(flatten)]
    coordinator: CoordinatorOptions,
}

fn main() -> ExitCode {
    let Options { host, coordinator } = Options::parse();
    let program = || {
        let plans = saga_workflows::all().into_iter().map(|it| Plan::new(it).map(Arc::new));
        let plans: Vec<Arc<Plan>> = plans.collect::<Result<_, _>>()?;
        let service = saga_coordinator::service(plans.clone(), coordinator.try_into()?);
        Ok(Program { services: vec![Arc::new(service)], plans })
    };
    host::run(program, &host, |_running| {})
}

//! The order service, alone in its process.

use std::{process::ExitCode, sync::Arc};

use clap::Parser as _;
use saga_core::Plan;
use service_kit::host::{self, HostOptions, Program};

/// Prices and keeps orders
#[derive(Debug, clap::Parser)]
#[command(version)]
struct Options {
    #[command(flatten)]
    host: HostOptions,
    #[command(flatten)]
    order: order::config::OrderOptions,
}

fn main() -> ExitCode {
    let Options { host, order } = Options::parse();
    let program = || {
        let plans = saga_workflows::all().into_iter().map(|it| Plan::new(it).map(Arc::new));
        let service = order::service(order.try_into()?);
        Ok(Program { services: vec![Arc::new(service)], plans: plans.collect::<Result<_, _>>()? })
    };
    host::run(program, &host, |_running| {})
}

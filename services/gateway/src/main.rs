//! The gateway, alone in its process.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser as _;
use service_kit::host::{self, HostOptions, Program};

/// The public REST API of the shop
#[derive(Debug, clap::Parser)]
#[command(version)]
struct Options {
    #[command(flatten)]
    host: HostOptions,
}

fn main() -> ExitCode {
    let Options { host } = Options::parse();
    let program = || {
        let plans = saga_workflows::plans()?;
        Ok(Program { services: vec![Arc::new(gateway::service())], plans })
    };
    host::run(program, &host, |_running| {})
}

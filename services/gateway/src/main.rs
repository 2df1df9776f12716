//! The gateway, alone in its process.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser as _;
use gateway::config::GatewayOptions;
use service_kit::host::{self, HostOptions, Program};

/// The public REST API of the shop
#[derive(Debug, clap::Parser)]
#[command(version)]
struct Options {
    #[command(flatten)]
    host: HostOptions,
    #[command(flatten)]
    gateway: GatewayOptions,
}

fn main() -> ExitCode {
    let Options { host, gateway } = Options::parse();
    let program = move || {
        let plans = saga_workflows::plans()?;
        Ok(Program { services: vec![Arc::new(gateway::service(gateway))], plans })
    };
    host::run(program, &host, |_running| {})
}

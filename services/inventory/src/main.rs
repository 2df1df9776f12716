//! The inventory service, alone in its process.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser as _;
use service_kit::host::{self, HostOptions, Program};

/// Keeps the stock
#[derive(Debug, clap::Parser)]
#[command(version)]
struct Options {
    #[command(flatten)]
    host: HostOptions,
    #[command(flatten)]
    inventory: inventory::config::InventoryOptions,
}

fn main() -> ExitCode {
    let Options { host, inventory } = Options::parse();
    let program = || {
        let service = inventory::service(inventory.into());
        Ok(Program { services: vec![Arc::new(service)], plans: saga_workflows::plans()? })
    };
    host::run(program, &host, |_running| {})
}

//! The product service, alone in its process.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser as _;
use service_kit::host::{self, HostOptions, Program};

/// Keeps the catalogue
#[derive(Debug, clap::Parser)]
#[command(version)]
struct Options {
    #[command(flatten)]
    host: HostOptions,
    #[command(flatten)]
    product: product::config::ProductOptions,
}

fn main() -> ExitCode {
    let Options { host, product } = Options::parse();
    let program = || {
        let service = product::service(product.into());
        Ok(Program { services: vec![Arc::new(service)], plans: saga_workflows::plans()? })
    };
    host::run(program, &host, |_running| {})
}

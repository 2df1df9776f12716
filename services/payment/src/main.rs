//! The payment service, on its own.

use std::{process::ExitCode, sync::Arc};

use clap::Parser;
use payment::PaymentOptions;
use service_kit::host::{self, HostOptions, Program};

/// Charges and refunds through a payment provider, and keeps the ledger.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    #[command(flatten)]
    host: HostOptions,
    #[command(flatten)]
    payment: PaymentOptions,
}

fn main() -> ExitCode {
    let Options { host, payment } = Options::parse();
    let program = move || {
        let service = Arc::new(payment::service(payment)?);
        Ok(Program { services: vec![service], plans: saga_workflows::plans()? })
    };
    host::run(program, &host, |_| ())
}

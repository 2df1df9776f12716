//! The coordinator, alone in its process; and the audit.

use std::{process::ExitCode, sync::Arc};

use clap::Parser as _;
use saga_coordinator::{CoordinatorOptions, audit};
use service_kit::host::{self, HostOptions, Program};

/// Time, wishes, retention and alarms of sagas
#[derive(Debug, clap::Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Options {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    host: HostOptions,
    #[command(flatten)]
    coordinator: CoordinatorOptions,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Fold every saga again, compare every service with the log, and say what is wrong
    Audit(audit::AuditOptions),
}

fn main() -> ExitCode {
    let Options { command, host, coordinator } = Options::parse();
    if let Some(Command::Audit(options)) = command {
        return audit::run(&options);
    }
    let program = || {
        let plans = saga_workflows::plans()?;
        let service = saga_coordinator::service(plans.clone(), coordinator.try_into()?);
        Ok(Program { services: vec![Arc::new(service)], plans })
    };
    host::run(program, &host, |_running| {})
}

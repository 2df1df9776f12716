//! `jetsaga`: the whole shop in one process.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use jetsaga_shop::{ShopOptions, greeting, program, reset};
use saga_coordinator::audit;
use service_kit::host;

/// An order-processing shop on NATS JetStream: place an order, and see it through to its end, or
/// back to its start
#[derive(Debug, Parser)]
#[command(name = "jetsaga", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    shop: ShopOptions,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Fold every saga again, compare every service with the log, and say what is wrong
    Audit(audit::AuditOptions),
    /// Delete all data of this shop, after asking
    Reset(reset::ResetOptions),
}

fn main() -> ExitCode {
    let Cli { command, shop } = Cli::parse();
    match command {
        Some(Command::Audit(options)) => audit::run(&options),
        Some(Command::Reset(options)) => reset::reset(&options),
        None => {
            host::run(|| program(&shop), &shop.host, |hosted| greeting::print(hosted, &shop.host))
        }
    }
}

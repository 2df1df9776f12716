//! `just bench`: how fast it is, measured in one run on fresh stores, with the durability beside
//! each figure.
//!
//! Everything runs on one machine: servers, services, load. Numbers of two machines cannot be
//! compared; the ratio of sagas to raw publishes can.

#![expect(clippy::float_arithmetic, reason = "rates are fractions; nothing here is money")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use jetsaga_nats::launcher::{Launcher, Options, Server};

mod engine;
mod figure;
mod growth;
mod orders;
mod part;
mod process;
mod report;
mod restart;

use figure::Failure;
use part::{OwnShop, Provider};
use process::Parts;
use report::Report;

/// How fast the engine and the shop are
#[derive(Debug, Parser)]
struct Cli {
    /// Only these figures, with commas between them; a is with b and c
    #[arg(long, value_delimiter = ',', value_parser = ["a", "d", "e", "f", "g"])]
    only: Vec<String>,

    /// Seconds per figure
    #[arg(long, default_value_t = 10)]
    seconds: u64,

    /// Orders that fill the stores in figure f
    #[arg(long, default_value_t = 100_000)]
    fill: usize,

    /// Open sagas in figure g
    #[arg(long, default_value_t = 100_000)]
    open: usize,

    /// The page whose table is replaced
    #[arg(long)]
    write: Option<PathBuf>,

    /// Be the payment provider instead
    #[arg(long, hide = true)]
    be_the_provider: bool,

    /// Be a shop instead, with the payment provider at this URL
    #[arg(long, hide = true)]
    be_a_shop_with: Option<String>,

    /// Seconds for which finished sagas stay in such a shop's log
    #[arg(long, hide = true, default_value_t = 3_600)]
    keep_s: u64,
}

impl Cli {
    fn wants(&self, figure: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|it| it == figure)
    }
}

/// A server of the bench's own, with the settings of the one that `cargo run` starts.
async fn server(directory: &Path) -> Result<Server, Failure> {
    Ok(Launcher::new(Options::new(directory.join("nats"))).start().await?)
}

async fn run(cli: &Cli, parts: &Parts) -> Result<(), Failure> {
    let duration = Duration::from_secs(cli.seconds);
    let (_, version) = Launcher::new(Options::new(PathBuf::new())).program().await?;
    let mut report = Report::new(duration, version, cli.write.clone());
    if cli.wants("a") {
        Box::pin(engine::figures(&mut report, duration)).await?;
        report.write()?;
    }
    if cli.wants("d") {
        Box::pin(engine::replicated(&mut report, duration)).await?;
        report.write()?;
    }
    if cli.wants("e") {
        Box::pin(orders::figures(&mut report, duration)).await?;
        Box::pin(orders::split(&mut report, parts, duration)).await?;
        report.write()?;
    }
    if cli.wants("g") {
        Box::pin(restart::figures(&mut report, duration, cli.open)).await?;
        report.write()?;
    }
    if cli.wants("f") {
        Box::pin(growth::figures(&mut report, duration, cli.fill)).await?;
    }
    Ok(())
}

fn main() -> Result<(), Failure> {
    let cli = Cli::parse();
    if cli.be_the_provider {
        return runtime("provider")?.block_on(Provider::be());
    }
    if let Some(provider) = cli.be_a_shop_with {
        return runtime("shop")?.block_on(OwnShop::be(provider, Duration::from_secs(cli.keep_s)));
    }
    let (gateway, services) = (runtime(Parts::GATEWAY)?, runtime(Parts::SERVICES)?);
    let databases = runtime(Parts::DATABASES)?;
    let parts = Parts {
        gateway: gateway.handle().clone(),
        services: services.handle().clone(),
        databases: databases.handle().clone(),
    };
    runtime("load")?.block_on(run(&cli, &parts))
}

fn runtime(name: &str) -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name(name)
        .thread_stack_size(16 * 1024 * 1024)
        .build()
}

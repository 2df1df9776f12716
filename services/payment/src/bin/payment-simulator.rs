//! The payment provider's simulator, on its own.

use std::{io, path::PathBuf};

use clap::Parser;
use payment::simulator::{Simulator, SimulatorSettings};

/// A payment provider to play with, on a loopback port.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// Loopback port to listen on; 0 takes a free one.
    #[arg(long, default_value_t = 8090)]
    port: u16,
    /// File in which it remembers its charges; without one it forgets them when it ends.
    #[arg(long)]
    journal: Option<PathBuf>,
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the address is what this program has to say")]
async fn main() -> io::Result<()> {
    let Options { port, journal } = Options::parse();
    let settings = SimulatorSettings { port, journal, ..SimulatorSettings::default() };
    let simulator = Simulator::start(settings).await?;
    println!("payment provider (simulator) on {}", simulator.url());
    tokio::select! {
        ended = tokio::signal::ctrl_c() => ended,
        ended = simulator.serve() => ended,
    }
}

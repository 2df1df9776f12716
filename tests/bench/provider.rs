//! The payment provider's simulator in a process of its own. It forgets no charge, as a provider
//! must not: within the shop's process its memory would look like the shop's. This program is started
//! once more for it, so that nothing else has to be built.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use payment::simulator::{Simulator, SimulatorSettings};

use super::figure::Failure;

/// The option that makes this program be the provider.
const OPTION: &str = "--be-the-provider";

/// A provider; it ends with this.
pub(crate) struct Provider {
    process: Child,
    pub(crate) url: String,
}

impl Provider {
    /// Starts this program once more, and reads where it listens.
    pub(crate) fn start() -> Result<Self, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut process = command.arg(OPTION).stdout(Stdio::piped()).spawn()?;
        let output = process.stdout.take().ok_or("the provider has no output")?;
        let url = BufReader::new(output).lines().next();
        let url = url.ok_or("the provider said nothing")??;
        Ok(Self { process, url })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        // It ended by itself, if it cannot be ended.
        self.process.kill().unwrap_or_default();
        self.process.wait().map(drop).unwrap_or_default();
    }
}

/// Is the provider, until it is ended.
#[expect(clippy::print_stdout, reason = "the address is what it has to say")]
pub(crate) async fn be() -> Result<(), Failure> {
    let simulator = Simulator::start(SimulatorSettings::default()).await?;
    println!("{}", simulator.url());
    Ok(simulator.serve().await?)
}

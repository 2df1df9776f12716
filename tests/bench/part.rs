//! Parts of a measurement that get processes of their own, so that what they use is theirs alone: a
//! payment provider, which forgets no charge, as a provider must not, and a shop. They are this
//! program, started once more, so that nothing else has to be built.

use std::io::{BufRead as _, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use jetsaga_tests::harness::{Setup, Shop};
use payment::simulator::{Simulator, SimulatorSettings};

use super::figure::Failure;
use super::orders::stock;

/// A part, which ends with this.
struct Part {
    process: Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Part {
    /// Starts this program once more.
    fn start(arguments: &[&str]) -> Result<Self, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn()?;
        let output = process.stdout.take().ok_or("a part has no output")?;
        Ok(Self { process, said: BufReader::new(output).lines() })
    }

    /// The next line that it prints.
    fn says(&mut self) -> Result<String, Failure> {
        Ok(self.said.next().ok_or("a part ended before it could be used")??)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // To wait closes its input, which tells it to end.
        self.process.wait().map(drop).unwrap_or_default();
    }
}

/// Until whoever started this part has no more use for it, or is gone.
async fn left() -> Result<(), Failure> {
    let read = || std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    tokio::task::spawn_blocking(read).await??;
    Ok(())
}

/// A payment provider.
pub(crate) struct Provider {
    part: Part,
    url: String,
}

impl Provider {
    pub(crate) const OPTION: &str = "--be-the-provider";

    fn start() -> Result<Self, Failure> {
        let mut part = Part::start(&[Self::OPTION])?;
        let url = part.says()?;
        Ok(Self { part, url })
    }

    /// Is the provider, until it is left.
    #[expect(clippy::print_stdout, reason = "the address is what it has to say")]
    pub(crate) async fn be() -> Result<(), Failure> {
        let simulator = Simulator::start(SimulatorSettings::default()).await?;
        println!("{}", simulator.url());
        tokio::select! {
            served = simulator.serve() => Ok(served?),
            left = left() => left,
        }
    }
}

/// A shop with all its services, databases and its NATS server, and with a provider beside it.
pub(crate) struct OwnShop {
    // It goes before its provider.
    part: Part,
    provider: Provider,
    /// Of its gateway.
    pub(crate) url: String,
    data: PathBuf,
}

impl OwnShop {
    pub(crate) const OPTION: &str = "--be-a-shop-with";
    pub(crate) const KEEP: &str = "--keep-s";

    /// Starts one whose finished sagas stay in the log so long.
    pub(crate) fn start(keep: Duration) -> Result<Self, Failure> {
        let provider = Provider::start()?;
        let keep = keep.as_secs().to_string();
        let mut part = Part::start(&[Self::OPTION, &provider.url, Self::KEEP, &keep])?;
        let (url, data) = (part.says()?, part.says()?.into());
        Ok(Self { part, provider, url, data })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.part.process.id()
    }

    pub(crate) fn provider_pid(&self) -> u32 {
        self.provider.part.process.id()
    }

    /// The directory of everything that it keeps.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// Is the shop, until it is left.
    #[expect(clippy::print_stdout, reason = "where it is, is what it has to say")]
    pub(crate) async fn be(provider: String, keep: Duration) -> Result<(), Failure> {
        let setup = Setup { provider: Some(provider), keep, ..Setup::default() };
        let shop = Box::pin(Shop::over_with(tempfile::tempdir()?, setup)).await;
        stock(&shop.service("inventory")).await?;
        println!("{}\n{}", shop.url, shop.data().display());
        left().await?;
        shop.stop().await;
        Ok(())
    }
}

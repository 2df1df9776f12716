//! `audit`: everything that a server and its services keep, against the log.

use std::fmt::{self, Write as _};
use std::process::ExitCode;

use saga_engine::audit::{self, Found, Report};
use saga_engine::engine::DefinitionError;
use saga_engine::log::ReadError;
use service_kit::host::{self, HostError};

#[cfg(test)]
mod tests;

/// Options of the audit.
#[derive(Debug, Clone, clap::Args)]
pub struct AuditOptions {
    /// The NATS server with the sagas: nats://host:port
    #[arg(long, env = "NATS_URL")]
    pub nats_url: String,

    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

/// The exit code when something is wrong.
const FOUND: u8 = 1;
/// The exit code when it could not be looked at.
const UNREADABLE: u8 = 2;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] HostError),
    /// The definitions cannot be read.
    #[error(transparent)]
    Definitions(#[from] DefinitionError),
    /// Nothing ever registered a definition there.
    #[error("no definition is registered on this server: it has never seen a saga")]
    Nothing,
    /// A stream cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Audits all sagas of every definition that is registered on a server.
///
/// # Errors
/// [`AuditError`]; a service that does not answer is a finding.
pub async fn report(nats_url: &str) -> Result<Report, AuditError> {
    let engine = host::connect(nats_url).await?;
    let plans = engine.registered().await?;
    if plans.is_empty() {
        return Err(AuditError::Nothing);
    }
    Ok(audit::world(&engine, &plans).await?)
}

/// Runs the command: prints the report, and exits with 0 when nothing is wrong, 1 when something
/// is, 2 when it could not be looked at.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a command answers whoever typed it")]
pub fn run(options: &AuditOptions) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("audit: {error}");
            return ExitCode::from(UNREADABLE);
        }
    };
    match runtime.block_on(report(&options.nats_url)) {
        Err(error) => {
            eprintln!("audit: {}", service_kit::http::chain(&error));
            ExitCode::from(UNREADABLE)
        }
        Ok(report) => {
            if options.json {
                // String keys and integers: it always is JSON.
                println!("{}", serde_json::to_string_pretty(&report).unwrap_or_default());
            } else {
                print!("{}", Readable(&report));
            }
            if report.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FOUND) }
        }
    }
}

/// A report for people.
#[derive(Debug)]
pub struct Readable<'a>(pub &'a Report);

impl fmt::Display for Readable<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { events, sagas, open, stuck, services, findings } = self.0;
        writeln!(out, "{events} events of {sagas} sagas were folded again; {open} are open")?;
        let longest = services.keys().map(String::len).max().unwrap_or(0);
        for (name, service) in services {
            write!(out, "  {name:longest$}  {} rows were compared", service.rows)?;
            if service.behind > 0 {
                write!(out, "; {} sagas have messages left for it", service.behind)?;
            }
            writeln!(out)?;
        }
        for saga in stuck {
            writeln!(out, "stuck, and waits for a person: {saga}")?;
        }
        if findings.is_empty() {
            return writeln!(out, "Everything agrees with the log.");
        }
        writeln!(out, "{} findings:", findings.len())?;
        findings.iter().try_for_each(|found| writeln!(out, "  {}", line(found)))
    }
}

/// One finding in one line.
fn line(found: &Found) -> String {
    let Found { kind, saga_type, about, service, step, detail } = found;
    let mut line = kind.as_str().to_owned();
    let parts = [("", saga_type), ("", about), ("step ", step), ("service ", service)];
    for (what, part) in parts {
        if let Some(part) = part {
            // Writing to a string cannot fail.
            write!(line, ", {what}{part}").unwrap_or_default();
        }
    }
    format!("{line}: {detail}")
}

//! The one server of a test binary.

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::OnceCell;

use super::accounts::{ACCOUNTS, Account, Accounts};
use super::container::{self, Container};
use super::reaper::Reaper;
use crate::launcher::{Config, Launcher, Options, Server};

/// Says where the server is to run: `container` or `process`; anything else leaves it open.
const WISH: &str = "JETSAGA_TEST_NATS";

/// Waits for the server to end, then removes its directory.
const REMOVE_STORE: &str = "while kill -0 \"$1\"; do sleep 0.1; done; rm -rf \"$2\"";

/// A running server with accounts for many tests.
#[derive(Debug)]
pub struct Broker {
    accounts: Accounts,
    taken: AtomicUsize,
    home: Home,
}

/// What the server runs in; it is bound to no runtime, for the first test's ends with that test.
#[derive(Debug)]
enum Home {
    Container(Box<Container>),
    Process { server: Server, _reaper: Reaper },
}

impl Broker {
    /// An account that nobody else has.
    ///
    /// # Panics
    /// When there are none left: one test binary has 300.
    pub fn account(&self) -> Account {
        let number = self.taken.fetch_add(1, Ordering::Relaxed);
        assert!(number < ACCOUNTS, "the test server has {ACCOUNTS} accounts, and all are taken");
        self.accounts.account(number, self.address())
    }

    /// Whether it runs in a container; else it is a process.
    pub fn is_container(&self) -> bool {
        matches!(self.home, Home::Container(_))
    }

    /// `host:port`.
    fn address(&self) -> &str {
        match &self.home {
            Home::Container(container) => &container.address,
            Home::Process { server, .. } => server.url().trim_start_matches("nats://"),
        }
    }
}

/// The server of this test binary, started by whoever asks first.
///
/// # Panics
/// When no server can be started, or one in a container is insisted on and there is none.
pub async fn broker() -> &'static Broker {
    static BROKER: OnceCell<Result<Broker, String>> = OnceCell::const_new();
    let variable = |name| std::env::var(name).unwrap_or_default();
    let wish = Wish::of(&variable(WISH), &variable("CI"));
    match BROKER.get_or_init(|| Box::pin(start(wish))).await {
        Ok(broker) => broker,
        #[expect(clippy::panic, reason = "a test without its server can only fail")]
        Err(reason) => panic!("there is no NATS server for the tests: {reason}"),
    }
}

/// Where the server may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Container,
    Process,
    ContainerIfPossible,
}

impl Wish {
    /// Of the two environment variables, empty where they are not set.
    fn of(wish: &str, ci: &str) -> Self {
        match (wish, ci) {
            ("process", _) => Self::Process,
            ("container", _) | (_, "true" | "1") => Self::Container,
            _ => Self::ContainerIfPossible,
        }
    }
}

async fn start(wish: Wish) -> Result<Broker, String> {
    let accounts = Accounts::new();
    let home = match wish {
        Wish::Process => process(&accounts).await?,
        Wish::Container | Wish::ContainerIfPossible => match container::start(&accounts).await {
            Ok(container) => Home::Container(Box::new(container)),
            Err(why) if wish == Wish::Container => return Err(insisted(&why)),
            Err(why) => {
                say(&format!("{why}: the tests use a nats-server process (see {WISH})"));
                process(&accounts).await?
            }
        },
    };
    Ok(Broker { accounts, taken: AtomicUsize::new(0), home })
}

fn insisted(why: &container::Error) -> String {
    format!(
        "{why}; a container is insisted on (CI=true or {WISH}=container). Start the container \
         engine, or set {WISH}=process to run the tests on a nats-server process"
    )
}

async fn process(accounts: &Accounts) -> Result<Home, String> {
    let store = tempfile::Builder::new().prefix("jetsaga-test-nats-").tempdir();
    let store = store.map_err(|why| why.to_string())?;
    let config = Config::with_extra(accounts.config());
    let options = Options { config, ..Options::new(store.path()) };
    let server = Launcher::new(options).announce(say).start().await;
    let server = server.map_err(|why| why.to_string())?;
    let pid = server.pid().unwrap_or_default().to_string();
    let path = store.path().to_string_lossy().into_owned();
    let reaper = Reaper::at_end(REMOVE_STORE, &[&pid, &path]).map_err(|why| why.to_string())?;
    // From here on the directory is the reaper's.
    let _path = store.keep();
    Ok(Home::Process { server, _reaper: reaper })
}

/// Writes to stderr itself: what a test prints is shown only when it fails.
pub(super) fn say(text: &str) {
    if let Err(error) = writeln!(io::stderr(), "tests: {text}") {
        tracing::debug!(%error, text, "stderr is closed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn under_ci_a_container_is_insisted_on_unless_a_process_is_asked_for() {
        assert_eq!(Wish::of("", ""), Wish::ContainerIfPossible);
        assert_eq!(Wish::of("", "false"), Wish::ContainerIfPossible);
        assert_eq!(Wish::of("", "true"), Wish::Container);
        assert_eq!(Wish::of("process", "true"), Wish::Process);
        assert_eq!(Wish::of("container", ""), Wish::Container);
    }
}

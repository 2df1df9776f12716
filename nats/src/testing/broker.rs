//! The one server of a test binary.

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::accounts::{ACCOUNTS, Account, Accounts};
use super::cluster::{self, Containers, Routes};
use super::container::{self, Container};
use super::reaper::Reaper;
use crate::launcher::{Config, Launcher, Options, Server};

/// Says where the server is to run: `container` or `process`, or `cluster` for three servers that
/// are one, or `lagging` for three whose replicas are behind; anything else leaves it open.
const WISH: &str = "JETSAGA_TEST_NATS";

/// How long what the servers of a `lagging` cluster tell each other of their streams takes.
const LAG: Duration = Duration::from_millis(10);

/// Removes a directory once the servers whose stores are in it have ended.
const REMOVE_STORE: &str = "store=$1; shift
    for server; do while kill -0 \"$server\"; do sleep 0.1; done; done; rm -rf \"$store\"";

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
    /// Three that are a cluster.
    Containers(Box<Containers>),
    /// One, or three that are a cluster.
    Processes {
        servers: Vec<Server>,
        /// What is between them, if they are to lag.
        _routes: Option<Routes>,
        _reaper: Reaper,
    },
}

impl Broker {
    /// An account that nobody else has.
    ///
    /// # Panics
    /// When there are none left: one test binary has 300.
    pub fn account(&self) -> Account {
        let number = self.taken.fetch_add(1, Ordering::Relaxed);
        assert!(number < ACCOUNTS, "the test server has {ACCOUNTS} accounts, and all are taken");
        self.accounts.account(number, &self.addresses())
    }

    /// Whether it runs in a container; else it is a process.
    pub fn is_container(&self) -> bool {
        matches!(self.home, Home::Container(_) | Home::Containers(_))
    }

    /// `host:port` of each server.
    fn addresses(&self) -> Vec<&str> {
        match &self.home {
            Home::Container(container) => vec![&container.address],
            Home::Containers(containers) => {
                containers.addresses().iter().map(String::as_str).collect()
            }
            Home::Processes { servers, .. } => {
                servers.iter().map(|server| server.url().trim_start_matches("nats://")).collect()
            }
        }
    }
}

/// The server of this test binary, started by whoever asks first.
///
/// # Panics
/// When no server can be started, or one in a container is insisted on and there is none.
pub async fn broker() -> &'static Broker {
    static BROKER: OnceCell<Result<Broker, String>> = OnceCell::const_new();
    let wish = Wish::from_environment();
    match BROKER.get_or_init(|| Box::pin(start(wish))).await {
        Ok(broker) => broker,
        #[expect(clippy::panic, reason = "a test without its server can only fail")]
        Err(reason) => panic!("there is no NATS server for the tests: {reason}"),
    }
}

/// Where the server may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    Container,
    Process,
    Cluster,
    Lagging,
    ContainerIfPossible,
}

impl Wish {
    pub(super) fn from_environment() -> Self {
        let variable = |name| std::env::var(name).unwrap_or_default();
        Self::of(&variable(WISH), &variable("CI"))
    }

    /// Of the two environment variables, empty where they are not set.
    fn of(wish: &str, ci: &str) -> Self {
        match (wish, ci) {
            ("process", _) => Self::Process,
            ("cluster", _) => Self::Cluster,
            ("lagging", _) => Self::Lagging,
            ("container", _) | (_, "true" | "1") => Self::Container,
            _ => Self::ContainerIfPossible,
        }
    }
}

async fn start(wish: Wish) -> Result<Broker, String> {
    let accounts = Accounts::new();
    let home = match wish {
        Wish::Process => process(&accounts).await?,
        Wish::Cluster => cluster(&accounts).await?,
        Wish::Lagging => lagging(&accounts).await?,
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
    let store = store()?;
    let config = Config::with_extra(accounts.config());
    let options = Options { config, ..Options::new(store.path()) };
    let server = Launcher::new(options).announce(say).start().await;
    processes(vec![server.map_err(|why| why.to_string())?], store, None)
}

async fn cluster(accounts: &Accounts) -> Result<Home, String> {
    match Containers::start(&accounts.config()).await {
        Ok(containers) => Ok(Home::Containers(Box::new(containers))),
        Err(why) => {
            say(&format!("{why}: the servers of the cluster are processes"));
            let store = store()?;
            let (servers, _files) = cluster::started_in(store.path(), &accounts.config()).await;
            processes(servers.into(), store, None)
        }
    }
}

/// Processes in any case: what is between them is this one's.
async fn lagging(accounts: &Accounts) -> Result<Home, String> {
    let store = store()?;
    let ((servers, _files), routes) =
        cluster::started_with_routes_in(store.path(), &accounts.config()).await;
    routes.delay(LAG);
    processes(servers.into(), store, Some(routes))
}

fn store() -> Result<TempDir, String> {
    let store = tempfile::Builder::new().prefix("jetsaga-test-nats-").tempdir();
    store.map_err(|why| why.to_string())
}

/// Sees to it that nothing is left of these servers and their store.
fn processes(servers: Vec<Server>, store: TempDir, routes: Option<Routes>) -> Result<Home, String> {
    let pid = |server: &Server| server.pid().unwrap_or_default().to_string();
    let mut arguments = vec![store.path().to_string_lossy().into_owned()];
    arguments.extend(servers.iter().map(pid));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let reaper = Reaper::at_end(REMOVE_STORE, &arguments).map_err(|why| why.to_string())?;
    // From here on the directory is the reaper's.
    let _path = store.keep();
    Ok(Home::Processes { servers, _routes: routes, _reaper: reaper })
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
        assert_eq!(Wish::of("cluster", "true"), Wish::Cluster);
        assert_eq!(Wish::of("lagging", "true"), Wish::Lagging);
        assert_eq!(Wish::of("container", ""), Wish::Container);
    }
}

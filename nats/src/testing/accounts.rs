//! Accounts: what keeps tests on one server apart.

use std::fmt::Write as _;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use async_nats::ConnectOptions;
use async_nats::jetstream;

use super::lease::{Janitor, Lease};

/// How many tests of one binary can have an account. One costs the server little: 300 were tried.
pub(super) const ACCOUNTS: usize = 300;

/// The accounts that a server declares, and their password.
#[derive(Debug)]
pub(super) struct Accounts {
    password: String,
    janitor: Janitor,
}

impl Accounts {
    /// Accounts with a password that no other server has.
    pub(super) fn new() -> Self {
        let random = RandomState::new().hash_one(std::process::id());
        Self { password: format!("{random:016x}"), janitor: Janitor::start() }
    }

    /// The server's configuration: [`ACCOUNTS`] accounts, each with JetStream and one user.
    pub(super) fn config(&self) -> String {
        let mut config = String::from("accounts: {\n");
        for number in 0..ACCOUNTS {
            let (name, password) = (name(number), &self.password);
            let user = format!("{{user: {name}, password: \"{password}\"}}");
            writeln!(config, "  {name}: {{jetstream: enabled, users: [{user}]}}")
                .expect("a string takes any text");
        }
        config.push('}');
        config
    }

    /// The account of that number on the servers at `addresses` (`host:port`).
    pub(super) fn account(&self, number: usize, addresses: &[&str]) -> Account {
        let user = name(number);
        let url = |address: &&str| format!("nats://{user}:{}@{address}", self.password);
        let url = addresses.iter().map(url).collect::<Vec<_>>().join(",");
        let lease = Arc::new(self.janitor.lease(&url));
        Account { name: user, url, lease }
    }
}

fn name(number: usize) -> String {
    format!("test{number:03}")
}

/// An account that is one test's alone: JetStream without limits, and nothing in it. Its streams
/// are deleted once this, its clones and all that came of [`Account::client`] are gone: whoever
/// connects to its URL in another way has to hold it as long.
#[derive(Debug, Clone)]
pub struct Account {
    name: String,
    url: String,
    lease: Arc<Lease>,
}

impl Account {
    /// The account's name on the server, which is its user's name too.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The server's URL, or those of three with commas, with the credentials of this account, for [`crate::connect`].
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A new connection.
    ///
    /// # Panics
    /// When the server does not answer.
    pub async fn client(&self) -> async_nats::Client {
        let lease = Arc::clone(&self.lease);
        // What the connection tells nobody asks for: it holds the lease as long as it is there.
        let options = ConnectOptions::new().event_callback(move |_event| {
            let _held = &lease;
            async {}
        });
        let client = crate::connect(self.url(), options).await;
        client.expect("the test server answers, or it has ended, which its log tells")
    }

    /// JetStream on a new connection.
    ///
    /// # Panics
    /// When the server does not answer.
    pub async fn jetstream(&self) -> jetstream::Context {
        jetstream::new(self.client().await)
    }
}

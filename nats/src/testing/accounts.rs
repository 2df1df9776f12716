//! Accounts: what keeps tests on one server apart.

use std::fmt::Write as _;
use std::hash::{BuildHasher as _, RandomState};

use async_nats::jetstream;

/// How many tests of one binary can have an account. One costs the server little: 300 were tried.
pub(super) const ACCOUNTS: usize = 300;

/// The accounts that a server declares, and their password.
#[derive(Debug)]
pub(super) struct Accounts {
    password: String,
}

impl Accounts {
    /// Accounts with a password that no other server has.
    pub(super) fn new() -> Self {
        let random = RandomState::new().hash_one(std::process::id());
        Self { password: format!("{random:016x}") }
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
        Account { name: user, url }
    }
}

fn name(number: usize) -> String {
    format!("test{number:03}")
}

/// An account that is one test's alone: JetStream without limits, and nothing in it.
#[derive(Debug, Clone)]
pub struct Account {
    name: String,
    url: String,
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
        let client = crate::connect(self.url(), async_nats::ConnectOptions::new()).await;
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

//! Connecting with the credentials that stand in a URL.

use std::io;
use std::time::Duration;

use async_nats::{Client, ConnectOptions, ServerAddr};
use data_encoding::HEXUPPER_PERMISSIVE;

/// A server that answers none of three pings is left for another one. The library's own minute
/// would leave whoever is connected to a server that hangs without an answer for three of them, and
/// that is longer than most steps may take.
const PING_EVERY: Duration = Duration::from_secs(3);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The text is no URL of a NATS server.
    #[error("not the URL of a NATS server: {0}")]
    Url(#[from] io::Error),
    /// The server is not there or lets nobody in.
    #[error("no connection to the NATS server: {0}")]
    Connect(#[from] async_nats::ConnectError),
}

/// Connects to `url`: `nats://host:port`, `nats://user:password@host:port` or
/// `nats://token@host:port`, with commas between several servers of one cluster.
///
/// async-nats does not read credentials out of a URL; a URL without any leaves `options` as they
/// are. What is special in a password (`@ : / %`) is written as in any URL: `%40`.
///
/// # Errors
/// When the URL is malformed, or the first attempt to connect fails.
pub async fn connect(url: &str, options: ConnectOptions) -> Result<Client, ConnectError> {
    let servers = servers(url)?;
    let options = match servers.iter().find_map(Credentials::of) {
        None => options,
        Some(Credentials::Token(token)) => options.token(token),
        Some(Credentials::User(user, password)) => options.user_and_password(user, password),
    };
    Ok(options.connect(servers).await?)
}

/// Connects to `url` under a name that operators see in the server's list of connections. A server
/// that does not answer any more, though its connection stands, is left within some ten seconds.
///
/// # Errors
/// As [`connect`].
pub async fn connect_as(url: &str, name: &str) -> Result<Client, ConnectError> {
    connect(url, ConnectOptions::new().name(name).ping_interval(PING_EVERY)).await
}

/// The servers of a list with commas.
pub(crate) fn servers(url: &str) -> io::Result<Vec<ServerAddr>> {
    url.split(',').map(|server| server.trim().parse()).collect()
}

#[derive(Debug, PartialEq, Eq)]
enum Credentials {
    Token(String),
    User(String, String),
}

impl Credentials {
    fn of(server: &ServerAddr) -> Option<Self> {
        let user = decoded(server.username()?);
        Some(match server.password() {
            None => Self::Token(user),
            Some(password) => Self::User(user, decoded(password)),
        })
    }
}

/// Undoes percent-encoding; what is not encoded stays as it is.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let code = (first == b'%').then(|| after.get(..2)).flatten();
        if let Some(decoded) = code.and_then(|code| HEXUPPER_PERMISSIVE.decode(code).ok()) {
            bytes.extend(decoded);
            rest = &after[2..];
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(url: &str) -> Option<Credentials> {
        servers(url).unwrap().iter().find_map(Credentials::of)
    }

    #[test]
    fn credentials_are_read_out_of_the_url() {
        let user = |user: &str, password: &str| {
            Some(Credentials::User(user.to_owned(), password.to_owned()))
        };
        assert_eq!(credentials("nats://localhost:4222,localhost:4223"), None);
        assert_eq!(credentials("nats://me:secret@localhost"), user("me", "secret"));
        assert_eq!(credentials("nats://me:a%40b%2fc%zz@one,two"), user("me", "a@b/c%zz"));
        let token = Some(Credentials::Token("t0ken".to_owned()));
        assert_eq!(credentials("one, nats://t0ken@two"), token);
        assert!(servers("nats://host:port").is_err());
    }
}

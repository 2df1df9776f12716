//! Asking a server who it is, without logging in.

use std::io;
use std::time::Duration;

use async_nats::ServerAddr;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::net::TcpStream;

use super::version::Version;

/// How long a server may take to say who it is.
const PATIENCE: Duration = Duration::from_secs(3);
/// More than any server's greeting, in bytes.
const GREETING_MAX: u64 = 64 * 1024;

/// What a server says of itself in its greeting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Greeting {
    pub(super) version: Version,
    pub(super) has_jetstream: bool,
}

/// Reads the greeting (`INFO {…}`) that every server sends to who connects, before TLS and login.
///
/// # Errors
/// When nobody answers in time, or not like a NATS server.
pub(super) async fn greeting(address: &str) -> io::Result<Greeting> {
    let late = |_elapsed| io::Error::new(io::ErrorKind::TimedOut, "no greeting in 3 s");
    let line = tokio::time::timeout(PATIENCE, first_line(address)).await.map_err(late)??;
    parse(&line).ok_or_else(|| {
        let start: String = line.chars().take(40).collect();
        io::Error::new(io::ErrorKind::InvalidData, format!("it does not speak NATS: {start:?}"))
    })
}

async fn first_line(address: &str) -> io::Result<String> {
    let stream = TcpStream::connect(address).await?;
    let mut line = String::new();
    BufReader::new(stream.take(GREETING_MAX)).read_line(&mut line).await?;
    Ok(line)
}

fn parse(line: &str) -> Option<Greeting> {
    #[derive(Deserialize)]
    struct Info {
        version: String,
        #[serde(default)]
        jetstream: bool,
    }
    let info: Info = serde_json::from_str(line.strip_prefix("INFO ")?).ok()?;
    Some(Greeting { version: info.version.parse().ok()?, has_jetstream: info.jetstream })
}

/// The addresses (`host:port`) of a URL, which may be a list with commas.
///
/// # Errors
/// When a part of it is no URL of a NATS server.
pub(super) fn addresses(url: &str) -> io::Result<Vec<String>> {
    let address = |server: &ServerAddr| {
        let host = server.host();
        // An IPv6 address loses its brackets in `host`.
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        format!("{host}:{}", server.port())
    };
    Ok(crate::connection::servers(url)?.iter().map(address).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_may_name_several_servers() {
        let url = "nats://user:secret@localhost, tls://nats.example:5222,[::1]:4333";
        let expected = ["localhost:4222", "nats.example:5222", "[::1]:4333"];
        assert_eq!(addresses(url).unwrap(), expected);
        assert!(addresses("nats://host:port").is_err());
    }

    #[test]
    fn a_greeting_is_told_from_anything_else() {
        let greeting = parse("INFO {\"version\":\"2.15.1\",\"jetstream\":true,\"port\":4222}\r\n");
        let expected = Greeting { version: Version::PINNED, has_jetstream: true };
        assert_eq!(greeting, Some(expected));
        assert!(!parse("INFO {\"version\":\"2.9.10\"}").unwrap().has_jetstream);
        for line in ["", "HTTP/1.1 400 Bad Request", "INFO {}", "INFO {\"version\":\"x\"}"] {
            assert_eq!(parse(line), None, "{line}");
        }
    }
}

//! The configurations of a cluster's servers: the examples, on ports that are free.

use std::io;
use std::net::TcpListener;
use std::path::Path;

use super::SERVERS;

/// What each server is configured with, and the port on 127.0.0.1 that it is to take clients on.
#[derive(Debug)]
pub(crate) struct Configuration {
    pub(crate) text: String,
    pub(crate) port: u16,
}

/// The examples `nats/server/cluster-*.conf` with ports that are free (others may take them
/// meanwhile, but hardly the same) and their stores in `store` with the server's number. What is
/// `extra` is added to each.
pub(crate) fn configurations(
    store: impl Fn(usize) -> String,
    extra: &str,
) -> io::Result<[Configuration; SERVERS]> {
    let mut listeners = Vec::new();
    for _ in 0..3 * SERVERS {
        listeners.push(TcpListener::bind("127.0.0.1:0")?);
    }
    let mut ports = Vec::new();
    for listener in &listeners {
        ports.push(listener.local_addr()?.port());
    }
    let configuration = |number: usize| -> io::Result<Configuration> {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("server");
        let mut text = std::fs::read_to_string(examples.join(format!("cluster-{number}.conf")))?;
        for (server, own) in (1..).zip(ports.chunks(3)) {
            for (kind, port) in ["422", "622", "822"].into_iter().zip(own) {
                text = text.replace(&format!(":{kind}{server}"), &format!(":{port}"));
            }
        }
        text = text.replace(&format!("data/nats-{number}"), &store(number));
        Ok(Configuration { text: format!("{text}\n{extra}\n"), port: ports[3 * (number - 1)] })
    };
    Ok([configuration(1)?, configuration(2)?, configuration(3)?])
}

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
    /// The port on 127.0.0.1 that it is to take routes on.
    pub(crate) route: u16,
}

impl Configuration {
    /// Lets this server reach the others, and be reached by them, through other ports: of each pair
    /// the first is a server's own port for routes, the second the one to go through.
    pub(crate) fn go_through(&mut self, ports: &[(u16, u16)]) {
        for (route, through) in ports {
            let url = |port: &u16| format!("nats-route://127.0.0.1:{port}\"");
            self.text = self.text.replace(&url(route), &url(through));
            if *route == self.route {
                let listen = format!("listen: 127.0.0.1:{route}");
                let advertise = format!("{listen}\n    advertise: 127.0.0.1:{through}");
                self.text = self.text.replace(&listen, &advertise);
            }
        }
    }
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
        let own = 3 * (number - 1);
        let text = format!("{text}\n{extra}\n");
        Ok(Configuration { text, port: ports[own], route: ports[own + 1] })
    };
    Ok([configuration(1)?, configuration(2)?, configuration(3)?])
}

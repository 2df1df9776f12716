//! The example configurations: accepted as they are, and three servers that make a cluster.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use async_nats::jetstream;
use jetsaga_nats::launcher::{Config, Launcher, Options, Server};
use jetsaga_nats::topology;
use saga_core::{Definition, Plan, Step, subject};
use saga_engine::Topology;

fn configurations() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("server");
    let mut files: Vec<_> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[tokio::test]
async fn the_server_accepts_every_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let launcher = Launcher::new(Options::new(directory.path()));
    let (program, _version) = launcher.program().await.unwrap();
    let files = configurations();
    assert_eq!(files.len(), 4);
    for file in files {
        let mut command = Command::new(&program);
        let output = command.arg("-t").arg("--config").arg(&file).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {text}", file.display());
    }
}

/// Free ports; others may take them meanwhile, but hardly the same.
fn free_ports(count: usize) -> Vec<u16> {
    let listeners: Vec<_> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    listeners.iter().map(|it| it.local_addr().unwrap().port()).collect()
}

/// Starts the three servers of the example with other ports.
async fn cluster(directory: &Path) -> Vec<Server> {
    let ports = free_ports(6);
    let mut servers = Vec::new();
    for number in 1..=3_usize {
        let file = configurations()[number - 1].clone();
        assert!(file.ends_with(format!("cluster-{number}.conf")));
        let mut text = std::fs::read_to_string(file).unwrap();
        for other in 1..=3 {
            text = text.replace(&format!(":622{other}"), &format!(":{}", ports[other - 1]));
            text = text.replace(&format!(":822{other}"), &format!(":{}", ports[other + 2]));
        }
        let store = directory.join(format!("store-{number}"));
        text = text.replace(&format!("data/nats-{number}"), &store.join("js").to_string_lossy());
        let config = directory.join(format!("{number}.conf"));
        std::fs::write(&config, text).unwrap();
        let options = Options { config: Config::File(config), ..Options::new(store) };
        servers.push(Launcher::new(options).start().await.unwrap());
    }
    servers
}

#[tokio::test]
async fn three_servers_hold_the_topology_and_go_on_with_two() {
    let directory = tempfile::tempdir().unwrap();
    let servers = cluster(directory.path()).await;
    let trip = Definition::new("trip", 1)
        .step(Step::compensable("flight", "airline").timeout_ms(5_000))
        .step(Step::compensable("hotel", "hotels").timeout_ms(5_000));
    let wanted = Topology::of(&[&Plan::new(trip).unwrap()], &[], 3);
    let urls: Vec<_> = servers.iter().map(Server::url).collect();
    let options = async_nats::ConnectOptions::new();
    let client = jetsaga_nats::connect(&urls.join(","), options).await.unwrap();
    let jetstream = jetstream::new(client);
    // The servers have only just met: applying waits until they have chosen a leader.
    topology::apply(&jetstream, &wanted).await.unwrap();
    topology::check(&jetstream, &wanted).await.unwrap();

    let stream = jetstream.get_stream(subject::stream("trip", None)).await.unwrap();
    let cluster = stream.get_info().await.unwrap().cluster.unwrap();
    assert_eq!(cluster.replicas.len(), 2, "two follow the leader: {cluster:?}");

    servers[0].kill().await;
    let event = subject::filter("trip", "one").replace('>', "001.saga.started.running");
    wait_until_stored(&jetstream, &event).await;
    for server in &servers[1..] {
        server.stop().await;
    }
}

/// Two of three store it as soon as they have a leader.
async fn wait_until_stored(jetstream: &jetstream::Context, subject: &str) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_mins(1);
    loop {
        let stored = match jetstream.publish(subject.to_owned(), "{}".into()).await {
            Ok(ack) => ack.await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        let Err(why) = stored else { return };
        assert!(std::time::Instant::now() < deadline, "not stored after 60 s: {why}");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

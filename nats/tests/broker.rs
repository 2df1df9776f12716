//! The broker harness: accounts keep tests apart, and nothing is left behind.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use async_nats::ConnectOptions;
use async_nats::jetstream::{self, stream};
use jetsaga_nats::testing::{broker, own_server};

/// The stream `SAME` with the subject `same`, as every test here has it.
async fn same_stream(jetstream: &jetstream::Context) -> stream::Stream {
    let config = stream::Config {
        name: "SAME".to_owned(),
        subjects: vec!["same".to_owned()],
        ..Default::default()
    };
    jetstream.create_stream(config).await.unwrap()
}

/// Three tests as one, for their order must not matter: each in a runtime of its own.
fn the_same_names_in_an_account_of_its_own() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let jetstream = broker().await.account().jetstream().await;
        let stream = same_stream(&jetstream).await;
        jetstream.publish("same", "x".into()).await.unwrap().await.unwrap();
        assert_eq!(stream.get_info().await.unwrap().state.messages, 1);
    });
}

#[test]
fn tests_with_the_same_names_do_not_meet() {
    for _ in 0..3 {
        the_same_names_in_an_account_of_its_own();
    }
    let tests: Vec<_> =
        (0..4).map(|_| std::thread::spawn(the_same_names_in_an_account_of_its_own)).collect();
    for test in tests {
        test.join().unwrap();
    }
}

#[tokio::test]
async fn a_server_of_ones_own_survives_a_crash_on_the_same_port() {
    let mut server = own_server().await;
    let (url, pid) = (server.url().to_owned(), server.pid());
    let jetstream = jetstream::new(async_nats::connect(&url).await.unwrap());
    same_stream(&jetstream).await;
    jetstream.publish("same", "x".into()).await.unwrap().await.unwrap();
    server.kill().await;
    server.restart().await;
    assert_eq!(server.url(), url);
    assert_ne!(server.pid(), pid);
    let jetstream = jetstream::new(async_nats::connect(&url).await.unwrap());
    let mut stream = jetstream.get_stream("SAME").await.unwrap();
    assert_eq!(stream.info().await.unwrap().state.messages, 1);
}

/// Not a promise of its own: the other half of the next tests, in a process that can be killed.
#[tokio::test]
#[ignore = "run by the tests that kill it"]
async fn a_process_that_uses_the_broker() {
    let broker = broker().await;
    let account = broker.account();
    account.client().await.flush().await.unwrap();
    println!("using {} {}", broker.is_container(), account.url());
    std::future::pending().await
}

/// Kills a process that uses the broker; whether it was a container, and the server's URL.
fn use_and_kill(wish: &str) -> (bool, String) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "a_process_that_uses_the_broker", "--ignored", "--nocapture"]);
    command.env("JETSAGA_TEST_NATS", wish).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.map_while(Result::ok).find(|line| line.contains("using ")).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let (_, found) = line.split_once("using ").unwrap();
    let (is_container, url) = found.split_once(' ').unwrap();
    (is_container == "true", url.to_owned())
}

async fn wait_until_gone(url: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while jetsaga_nats::connect(url, ConnectOptions::new()).await.is_ok() {
        assert!(Instant::now() < deadline, "{url} still answers after 20 s");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn the_process_of_a_killed_test_is_not_left_behind() {
    let (is_container, url) = use_and_kill("process");
    assert!(!is_container);
    wait_until_gone(&url).await;
}

#[tokio::test]
async fn the_container_of_a_killed_test_is_not_left_behind() {
    if !broker().await.is_container() {
        eprintln!("skipped: no container engine answers (apt-get install docker.io)");
        return;
    }
    let (is_container, url) = use_and_kill("container");
    assert!(is_container);
    wait_until_gone(&url).await;
}

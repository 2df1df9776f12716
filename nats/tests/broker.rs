//! The broker harness: accounts keep tests apart, and nothing is left behind.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use async_nats::ConnectOptions;
use async_nats::jetstream::{self, stream};
use jetsaga_nats::testing::{broker, own_cluster, own_server};

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
async fn what_a_test_leaves_is_deleted_when_the_last_of_its_connections_is_gone() {
    let account = broker().await.account();
    let url = account.url().to_owned();
    let jetstream = account.jetstream().await;
    let stream = same_stream(&jetstream).await;
    drop(account);
    // A second look of somebody who holds nothing of it.
    let client = jetsaga_nats::connect(&url, ConnectOptions::new()).await.unwrap();
    let stranger = jetstream::new(client);
    assert!(stranger.get_stream("SAME").await.is_ok(), "the first connection is still there");
    jetstream.publish("same", "x".into()).await.unwrap().await.unwrap();
    drop((jetstream, stream));
    eventually(async || match stranger.get_stream("SAME").await {
        Ok(_) => Err("it is still there"),
        Err(_) => Ok(()),
    })
    .await;
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

#[tokio::test]
async fn a_cluster_of_ones_own_is_in_containers_where_the_server_of_all_tests_is() {
    let mut cluster = own_cluster().await;
    assert_eq!(cluster.is_in_containers(), broker().await.is_container());
    let client = jetsaga_nats::connect_as(&cluster.url(), "test").await.unwrap();
    let jetstream = jetstream::new(client);
    let config = stream::Config {
        name: "SAME".to_owned(),
        subjects: vec!["same".to_owned()],
        num_replicas: 3,
        ..Default::default()
    };
    eventually(async || jetstream.create_stream(config.clone()).await).await;
    eventually(async || jetstream.publish("same", "x".into()).await?.await).await;
    for number in 1..=3 {
        cluster.kill(number).await;
    }
    for number in 1..=3 {
        cluster.restart(number).await;
    }
    let stream = eventually(async || jetstream.get_stream("SAME").await).await;
    assert_eq!(stream.cached_info().state.messages, 1, "what was stored is there again");
}

/// Asks until it works; a cluster has no leader for a while.
async fn eventually<T, E: std::fmt::Debug>(mut ask: impl AsyncFnMut() -> Result<T, E>) -> T {
    let end = Instant::now() + Duration::from_mins(1);
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(error) => assert!(Instant::now() < end, "{error:?}"),
        }
    }
}

/// Not a promise of its own: the other half of the next tests, in a process that can be killed.
#[tokio::test]
#[ignore = "run by the tests that kill it"]
async fn a_process_that_uses_the_broker() {
    let broker = broker().await;
    let account = broker.account();
    account.client().await.flush().await.unwrap();
    println!("using {} {}", broker.is_container(), account.url());
    std::future::pending::<()>().await;
}

/// [`a_process_that_uses_the_broker`], to be started.
fn user_of_the_broker(wish: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "a_process_that_uses_the_broker", "--ignored", "--nocapture"]);
    command.env("JETSAGA_TEST_NATS", wish).env_remove("CI");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Waits until it uses the broker: whether that is a container, and its URL.
fn wait_for_use(child: &mut Child) -> (bool, String) {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.map_while(Result::ok).find(|line| line.contains("using ")).unwrap();
    let (_, found) = line.split_once("using ").unwrap();
    let (is_container, url) = found.split_once(' ').unwrap();
    (is_container == "true", url.to_owned())
}

/// Kills a process that uses the broker; whether that was a container, its URL, and stderr.
fn use_and_kill(mut command: Command) -> (bool, String, String) {
    let mut child = command.spawn().unwrap();
    let (is_container, url) = wait_for_use(&mut child);
    child.kill().unwrap();
    let output = child.wait_with_output().unwrap();
    (is_container, url, String::from_utf8(output.stderr).unwrap())
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
    let (is_container, url, _) = use_and_kill(user_of_the_broker("process"));
    assert!(!is_container);
    wait_until_gone(&url).await;
}

#[tokio::test]
async fn the_container_of_a_killed_test_is_not_left_behind() {
    if !broker().await.is_container() {
        eprintln!("skipped: no container engine answers (apt-get install docker.io)");
        return;
    }
    let (is_container, url, _) = use_and_kill(user_of_the_broker("container"));
    assert!(is_container);
    wait_until_gone(&url).await;
}

#[tokio::test]
async fn without_a_container_engine_a_process_is_used_and_said_so() {
    let mut command = user_of_the_broker("");
    command.env("DOCKER_HOST", "unix:///nowhere/docker.sock");
    let (is_container, url, said) = use_and_kill(command);
    assert!(!is_container);
    assert_eq!(said.matches("no container engine answers").count(), 1, "{said}");
    wait_until_gone(&url).await;
}

#[test]
fn without_a_container_engine_ci_fails_and_says_what_to_do() {
    let mut command = user_of_the_broker("");
    command.env("DOCKER_HOST", "unix:///nowhere/docker.sock").env("CI", "true");
    let output = command.output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("set JETSAGA_TEST_NATS=process"), "{said}");
}

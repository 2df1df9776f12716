use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::thread;

use super::*;

/// A listener that greets everybody with `greeting`.
fn greeter(greeting: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            stream.unwrap().write_all(greeting.as_bytes()).unwrap();
        }
    });
    address
}

async fn use_url(url: String) -> Result<Server, Error> {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { url: Some(url), ..Options::new(directory.path().join("store")) };
    let result = Launcher::new(options).start().await;
    assert!(!directory.path().join("store").exists(), "nothing of ours is started for a URL");
    result
}

#[tokio::test]
async fn a_url_to_a_good_server_is_used_as_it_is() {
    let address = greeter("INFO {\"version\":\"2.14.5\",\"jetstream\":true}\r\n");
    let server = use_url(format!("nats://me:secret@{address}")).await.unwrap();
    assert_eq!(server.url(), format!("nats://me:secret@{address}"));
    assert_eq!((server.version(), server.pid()), (Version::OLDEST_2_14, None));
    server.stop().await;
}

#[tokio::test]
async fn a_url_to_a_server_that_is_too_old_is_refused() {
    let address = greeter("INFO {\"version\":\"2.9.10\",\"jetstream\":true}\r\n");
    let message = use_url(format!("nats://me:secret@{address}")).await.unwrap_err().to_string();
    assert!(message.contains("2.9.10, which is too old"), "{message}");
    assert!(message.contains("three ways") && !message.contains("secret"), "{message}");
}

#[tokio::test]
async fn a_url_to_a_server_without_jetstream_is_refused() {
    let address = greeter("INFO {\"version\":\"2.15.1\"}\r\n");
    let error = use_url(address.to_string()).await.unwrap_err();
    assert!(matches!(error, Error::NoJetStream { .. }), "{error}");
}

#[tokio::test]
async fn a_url_where_nobody_or_somebody_else_answers_is_refused() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let other = greeter("SSH-2.0-OpenSSH_9.2\r\n");
    let message = use_url(format!("{closed},{other}")).await.unwrap_err().to_string();
    assert!(message.contains(&format!("{closed}: ")), "{message}");
    assert!(message.contains("does not speak NATS: \"SSH-2.0"), "{message}");
}

#[test]
fn credentials_are_not_shown() {
    let url = "nats://me:se@cret@one:4222,two:4222,token@three";
    assert_eq!(without_credentials(url), "nats://one:4222,two:4222,three");
}

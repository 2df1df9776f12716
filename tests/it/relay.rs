//! A mail relay: a real SMTP port that keeps what it is given.

use std::sync::Arc;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

/// A port that nobody listens on yet.
pub(crate) struct Reserved {
    port: u16,
}

/// A relay that takes every mail.
pub(crate) struct Relay {
    mails: Arc<Mutex<Vec<String>>>,
}

impl Relay {
    /// Finds a free port and leaves it closed: the relay is down.
    pub(crate) async fn reserve() -> Reserved {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Reserved { port: listener.local_addr().unwrap().port() }
    }

    /// The mails that were taken.
    pub(crate) async fn mails(&self) -> Vec<String> {
        self.mails.lock().await.clone()
    }
}

impl Reserved {
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The relay comes up.
    pub(crate) async fn open(self) -> Relay {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await.unwrap();
        let mails = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&mails);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(talk(stream, Arc::clone(&kept)));
            }
        });
        Relay { mails }
    }
}

async fn talk(stream: TcpStream, mails: Arc<Mutex<Vec<String>>>) {
    let mut stream = BufReader::new(stream);
    if say(&mut stream, "220 relay").await.is_none() {
        return;
    }
    let mut mail: Option<String> = None;
    let mut line = String::new();
    while stream.read_line(&mut line).await.is_ok_and(|bytes| bytes > 0) {
        let answer = match &mut mail {
            Some(text) if line.trim_end() == "." => {
                mails.lock().await.push(std::mem::take(text));
                mail = None;
                Some("250 taken")
            }
            Some(text) => {
                text.push_str(&line);
                None
            }
            None if line.starts_with("DATA") => {
                mail = Some(String::new());
                Some("354 go on")
            }
            None if line.starts_with("QUIT") => Some("221 bye"),
            None => Some("250 well"),
        };
        if let Some(answer) = answer
            && say(&mut stream, answer).await.is_none()
        {
            return;
        }
        line.clear();
    }
}

async fn say(stream: &mut BufReader<TcpStream>, answer: &str) -> Option<()> {
    stream.write_all(format!("{answer}\r\n").as_bytes()).await.ok()
}

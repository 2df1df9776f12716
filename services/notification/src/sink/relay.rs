//! A real SMTP relay on a loopback port, for tests: the third party, with named faults.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::JoinHandle,
};

/// What the relay does wrong with the next mails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Answers RCPT with this code, saying the address.
    Rcpt(u16),
    /// Takes the mail, and drops the connection instead of saying so.
    AcceptsThenDrops,
    /// Never answers RCPT.
    Silent,
}

/// A mail that the relay took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) to: Vec<String>,
    pub(crate) data: String,
}

impl Taken {
    pub(crate) fn message_id(&self) -> &str {
        let line = self.data.lines().find_map(|line| line.strip_prefix("Message-ID: "));
        line.expect("every mail has a Message-ID")
    }
}

#[derive(Default)]
struct State {
    faults: Vec<Fault>,
    taken: Vec<Taken>,
    connections: usize,
    at_once: usize,
    peak: usize,
}

/// The relay; it stops listening when it is dropped.
pub(crate) struct Relay {
    pub(crate) port: u16,
    state: Arc<Mutex<State>>,
    accepting: JoinHandle<()>,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Relay {
    /// Listens on a free port.
    pub(crate) async fn start() -> Self {
        Self::start_on(0).await
    }

    /// Listens on `port`, such as that of an earlier relay that is gone.
    pub(crate) async fn start_on(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let accepting = tokio::spawn(async move {
            let mut sessions = tokio::task::JoinSet::new();
            loop {
                let (stream, _peer) = listener.accept().await.unwrap();
                shared.lock().unwrap().connections += 1;
                sessions.spawn(session(stream, Arc::clone(&shared)));
            }
        });
        Self { port, state, accepting }
    }

    /// A port on which nobody listens.
    pub(crate) async fn dead_port() -> u16 {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        listener.local_addr().unwrap().port()
    }

    /// Does these things wrong, one per mail, in their order.
    pub(crate) fn faults(&self, faults: &[Fault]) {
        self.state.lock().unwrap().faults = faults.iter().rev().copied().collect();
    }

    pub(crate) fn taken(&self) -> Vec<Taken> {
        self.state.lock().unwrap().taken.clone()
    }

    /// Most mails that were under way at the same time.
    pub(crate) fn peak(&self) -> usize {
        self.state.lock().unwrap().peak
    }

    pub(crate) fn connections(&self) -> usize {
        self.state.lock().unwrap().connections
    }
}

/// One connection; ends when either side hangs up.
async fn session(stream: TcpStream, state: Arc<Mutex<State>>) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    say(&mut write, "220 relay.test ESMTP").await?;
    let mut to = Vec::new();
    loop {
        let mut line = String::new();
        if read.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let line = line.trim_end();
        match line.split(' ').next().unwrap_or_default() {
            "EHLO" => say(&mut write, "250-relay.test\r\n250 SIZE 1000000").await?,
            "MAIL" => {
                {
                    let mut state = state.lock().unwrap();
                    state.at_once += 1;
                    state.peak = state.peak.max(state.at_once);
                }
                say(&mut write, "250 ok").await?;
            }
            "RCPT" => {
                let fault = next_fault(&state, |fault| fault != Fault::AcceptsThenDrops);
                match fault {
                    Some(Fault::Rcpt(code)) => say(&mut write, &format!("{code} {line}")).await?,
                    Some(_) => std::future::pending().await,
                    None => {
                        to.push(line.to_owned());
                        say(&mut write, "250 ok").await?;
                    }
                }
            }
            "DATA" => {
                say(&mut write, "354 go on").await?;
                let data = data(&mut read).await?;
                let to = std::mem::take(&mut to);
                {
                    let mut state = state.lock().unwrap();
                    state.at_once -= 1;
                    state.taken.push(Taken { to, data });
                }
                if next_fault(&state, |fault| fault == Fault::AcceptsThenDrops).is_some() {
                    return Ok(());
                }
                say(&mut write, "250 taken").await?;
            }
            "QUIT" => return say(&mut write, "221 bye").await,
            _ => say(&mut write, "250 ok").await?,
        }
    }
}

fn next_fault(state: &Mutex<State>, fits: impl Fn(Fault) -> bool) -> Option<Fault> {
    state.lock().unwrap().faults.pop_if(|next| fits(*next))
}

async fn say(write: &mut OwnedWriteHalf, line: &str) -> std::io::Result<()> {
    write.write_all(format!("{line}\r\n").as_bytes()).await
}

async fn data(read: &mut BufReader<OwnedReadHalf>) -> std::io::Result<String> {
    let mut data = String::new();
    loop {
        let mut line = String::new();
        if read.read_line(&mut line).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if line == ".\r\n" {
            return Ok(data);
        }
        data.push_str(&line);
    }
}

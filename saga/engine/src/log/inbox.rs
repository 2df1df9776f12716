//! Where answers of several messages come in.
//!
//! The client has one subscription for all requests that are answered once. For the others it would
//! make one for each request, and the server forgets with every subscription that comes or goes
//! what it knows of who listens to what: reading a saga would make all that is published meanwhile
//! dearer. So there is one for all of these, too, and they are told apart by the subject's last token.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_nats::{Client, Message, SubscribeError, Subscriber};
use futures::StreamExt as _;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

/// The inbox of one connection. Copies share it.
#[derive(Debug, Clone)]
pub(super) struct Inbox {
    client: Client,
    /// Opened by the first request, and again after it was closed: with its connection, or with
    /// the runtime that it ran on.
    open: Arc<tokio::sync::Mutex<Option<Open>>>,
}

#[derive(Debug)]
struct Open {
    prefix: String,
    next: AtomicU64,
    waiting: Arc<Waiting>,
    _sorting: AbortOnDropHandle<()>,
}

/// Who waits for answers, by the token; `None` once nothing comes in any more.
#[derive(Debug)]
struct Waiting(Mutex<Option<HashMap<u64, mpsc::UnboundedSender<Message>>>>);

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, Option<HashMap<u64, mpsc::UnboundedSender<Message>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes the inbox in whatever way its task ends.
struct Closes(Arc<Waiting>);

impl Drop for Closes {
    fn drop(&mut self) {
        *self.0.lock() = None;
    }
}

impl Inbox {
    pub(super) fn new(client: Client) -> Self {
        Self { client, open: Arc::default() }
    }

    /// A place for the answers to one request.
    pub(super) async fn expect(&self) -> Result<Answers, SubscribeError> {
        let mut open = self.open.lock().await;
        if let Some(answers) = open.as_ref().and_then(Open::expect) {
            return Ok(answers);
        }
        let prefix = self.client.new_inbox();
        let messages = self.client.subscribe(format!("{prefix}.*")).await?;
        let now = open.insert(Open::new(prefix, messages));
        // It was opened just now.
        Ok(now.expect().unwrap_or_else(Answers::none))
    }
}

impl Open {
    fn new(prefix: String, messages: Subscriber) -> Self {
        let waiting = Arc::new(Waiting(Mutex::new(Some(HashMap::new()))));
        let closes = Closes(Arc::clone(&waiting));
        let sorting = AbortOnDropHandle::new(tokio::spawn(sort(messages, closes)));
        Self { prefix, next: AtomicU64::new(0), waiting, _sorting: sorting }
    }

    fn expect(&self) -> Option<Answers> {
        let token = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, messages) = mpsc::unbounded_channel();
        self.waiting.lock().as_mut()?.insert(token, sender);
        let subject = format!("{}.{token}", self.prefix);
        let place = Some((token, Arc::clone(&self.waiting)));
        Some(Answers { subject, messages, place })
    }
}

/// Hands each message to whoever waits for it; what nobody waits for any more is dropped.
async fn sort(mut messages: Subscriber, closes: Closes) {
    while let Some(message) = messages.next().await {
        let token = message.subject.rsplit('.').next().and_then(|token| token.parse().ok());
        if let (Some(token), Some(waiting)) = (token, closes.0.lock().as_ref())
            && let Some(sender) = waiting.get::<u64>(&token)
        {
            // Whoever waited has just left.
            sender.send(message).unwrap_or_default();
        }
    }
}

/// The answers to one request.
#[derive(Debug)]
pub(super) struct Answers {
    subject: String,
    messages: mpsc::UnboundedReceiver<Message>,
    place: Option<(u64, Arc<Waiting>)>,
}

impl Answers {
    /// What comes in when nothing can.
    fn none() -> Self {
        let (_, messages) = mpsc::unbounded_channel();
        Self { subject: String::new(), messages, place: None }
    }

    /// The subject that they are to be sent to.
    pub(super) fn subject(&self) -> &str {
        &self.subject
    }

    /// The next one; `None` when the inbox was closed.
    pub(super) async fn next(&mut self) -> Option<Message> {
        self.messages.recv().await
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        if let Some((token, waiting)) = self.place.take()
            && let Some(waiting) = waiting.lock().as_mut()
        {
            waiting.remove(&token);
        }
    }
}

//! The messages of one consumer, asked for ahead of need.
//!
//! The client library has a stream of its own for this, but ending it loses messages: what the
//! server has sent between the last look and the end of the subscription is dropped, and comes
//! again only when the consumer's `ack_wait` has passed, half a minute later. Here requests are
//! short, so that a source can stop asking and still take whatever it asked for.

use std::time::Duration;

use async_nats::jetstream::{self, Context};
use async_nats::{StatusCode, Subscriber};
use futures::StreamExt as _;
use saga_core::subject::header;
use serde_json::json;
use tokio::time::{Instant, timeout_at};

/// Messages asked for at once.
const BATCH: usize = 256;
/// How long the server keeps a request. It bounds how long an end takes, and tells an idle
/// consumer from a server that has forgotten the request.
const EXPIRES: Duration = Duration::from_secs(1);
/// How much later than that the server may say so.
const LATE: Duration = Duration::from_secs(2);

/// Asks one consumer for messages. Dropped, it loses what is on its way.
#[derive(Debug)]
pub(crate) struct Source {
    context: Context,
    client: async_nats::Client,
    messages: Subscriber,
    /// The consumer's subject for requests.
    requests: String,
    inbox: String,
    /// Messages that the server still may send for what it was asked.
    owed: usize,
    /// When something must have been heard if everything is well.
    due: Instant,
}

impl Source {
    /// Opens a source; nothing is asked for yet.
    pub(crate) async fn open(
        client: &async_nats::Client,
        context: &Context,
        stream: &str,
        consumer: &str,
    ) -> Result<Self, String> {
        let inbox = client.new_inbox();
        let messages = client.subscribe(inbox.clone()).await.map_err(|error| error.to_string())?;
        Ok(Self {
            context: context.clone(),
            client: client.clone(),
            messages,
            requests: format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"),
            inbox,
            owed: 0,
            due: Instant::now(),
        })
    }

    /// The next message, asking for more as needed. Nothing is lost when it is not awaited to the
    /// end. An error says that this source is broken: open another one.
    pub(crate) async fn next(&mut self) -> Result<jetstream::Message, String> {
        loop {
            if self.owed <= BATCH / 2 {
                self.ask().await?;
            }
            if let Some(message) = self.heard().await? {
                return Ok(message);
            }
        }
    }

    /// The next of the messages that were asked for already; `None`: there will be none.
    pub(crate) async fn rest(&mut self) -> Option<jetstream::Message> {
        while self.owed > 0 {
            match self.heard().await {
                Ok(Some(message)) => return Some(message),
                Ok(None) => {}
                Err(why) => {
                    tracing::debug!(why, "a source broke while it ended");
                    return None;
                }
            }
        }
        None
    }

    async fn ask(&mut self) -> Result<(), String> {
        // Counted first: a request of which nobody saw whether it was sent counts as sent.
        self.owed += BATCH;
        self.due = Instant::now() + EXPIRES + LATE;
        let request = json!({ "batch": BATCH, "expires": EXPIRES.as_nanos() }).to_string();
        let (subject, inbox) = (self.requests.clone(), self.inbox.clone());
        let asked = self.client.publish_with_reply(subject, inbox, request.into()).await;
        asked.map_err(|error| error.to_string())
    }

    /// What the server says next: a message, or something about the requests.
    async fn heard(&mut self) -> Result<Option<jetstream::Message>, String> {
        let heard = timeout_at(self.due, self.messages.next()).await;
        let message = heard.map_err(|_elapsed| "the server has forgotten the request")?;
        let message = message.ok_or("the subscription ended")?;
        self.due = Instant::now() + EXPIRES + LATE;
        match message.status {
            None | Some(StatusCode::OK) => {
                self.owed = self.owed.saturating_sub(1);
                Ok(Some(jetstream::Message { context: self.context.clone(), message }))
            }
            // The request is over: its time has passed, or it is complete.
            Some(status @ (StatusCode::TIMEOUT | StatusCode::REQUEST_TERMINATED)) => {
                let says = message.headers.as_ref().and_then(|it| it.get(header::PENDING));
                let unsent = says.and_then(|pending| pending.as_str().parse::<usize>().ok());
                let text = message.description.unwrap_or_default();
                self.owed -= self.owed.min(unsent.ok_or_else(|| format!("{status}: {text}"))?);
                Ok(None)
            }
            Some(StatusCode::IDLE_HEARTBEAT) => Ok(None),
            Some(StatusCode::NO_RESPONDERS) => Err("there is no such consumer".to_owned()),
            Some(status) => Err(format!("{status}: {}", message.description.unwrap_or_default())),
        }
    }
}

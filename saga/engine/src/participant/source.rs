//! The messages of one consumer, asked for ahead of need.
//!
//! The client library has a stream of its own for this, but ending it loses messages: what the
//! server has sent between the last look and the end of the subscription is dropped, and comes
//! again only when the consumer's `ack_wait` has passed, half a minute later. Here requests are
//! short, so that a source can stop asking and still take whatever it asked for.
//!
//! A consumer that hears nothing is asked for one message: each request that runs out makes the
//! server look for messages again, from where the consumer stood, and nothing can be appended until
//! it has looked. How it looks depends on filters and subjects:
//!
//! - For a consumer with one filter it reads everything since the last look: little where that was a
//!   moment ago, and all still in memory; seconds where it was ten minutes ago. So such a consumer
//!   is asked often.
//! - For one with several it walks over all subjects of the stream, in each look that has more than
//!   a block of the stream to go through. So such a consumer is asked seldom, and not at the same
//!   time as others. Above a million subjects it is as with one filter.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::jetstream::{self, Context};
use async_nats::{StatusCode, Subscriber};
use futures::StreamExt as _;
use saga_core::subject::header;
use serde_json::json;
use tokio::time::{Instant, timeout_at};

use super::backoff::random;
use super::pull::Lane;
use crate::barrier::Barrier;

/// Messages asked for at once.
const BATCH: usize = 256;
/// How long the server keeps a request. It bounds how long an end takes, and tells an idle
/// consumer from a server that has forgotten the request.
const EXPIRES: Duration = Duration::from_secs(1);
/// The same after a request that ran out without a message, where looking is cheap.
const OFTEN: Duration = Duration::from_secs(5);
/// And at most, where the server walks over all subjects.
const SELDOM: Duration = Duration::from_mins(10);
/// Above so many it does not: nats-server's `highCardinalityThreshold`.
const WALKED: u64 = 1_000_000;
/// How often the server says in a long time that it has the request still, where it may forget it
/// without closing the connection: in a cluster, whose servers fail one by one. It looks each time.
const HEARTBEAT: Duration = Duration::from_secs(20);
/// How much later than it must the server may say something.
const LATE: Duration = Duration::from_secs(2);
/// How often an idle source looks whether the connection is still the one that it asked over.
const LOOK: Duration = Duration::from_secs(1);

/// Asks one consumer for messages. Dropped, it loses what is on its way.
#[derive(Debug)]
pub(crate) struct Source {
    context: Context,
    client: async_nats::Client,
    messages: Subscriber,
    stream: String,
    has_one_filter: bool,
    /// The consumer's subject for requests.
    requests: String,
    inbox: String,
    /// What the last request asked for.
    asked: Asked,
    /// Messages that the server still may send for what it was asked.
    owed: usize,
    /// A message came since the last request.
    is_busy: bool,
    /// Connections made when the last request was sent: the server forgets it with its connection.
    connects: u64,
    /// When something must have been heard if everything is well.
    due: Instant,
}

/// How much is asked for at once, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// All that there is, for a short time.
    Much,
    /// One message, for a long time.
    One {
        /// How long.
        expires: Duration,
        /// How often the server says meanwhile that it still has the request.
        heartbeat: Option<Duration>,
    },
}

/// How long an idle consumer with several filters is asked, in a stream of so many subjects.
fn several_for(subjects: u64, jitter: fn(u64) -> u64) -> Duration {
    if subjects > WALKED {
        return OFTEN;
    }
    // Those of all services began at the same time.
    let half_ms = u64::try_from(SELDOM.as_millis() / 2).unwrap_or(u64::MAX);
    Duration::from_millis(half_ms + jitter(half_ms))
}

impl Asked {
    fn batch(self) -> usize {
        if self == Self::Much { BATCH } else { 1 }
    }

    /// How long nothing may be heard.
    fn silence(self) -> Duration {
        let promised = match self {
            Self::Much => EXPIRES,
            Self::One { expires, heartbeat } => heartbeat.unwrap_or(expires),
        };
        promised + LATE
    }

    fn to_json(self) -> String {
        let (expires, heartbeat) = match self {
            Self::Much => (EXPIRES, None),
            Self::One { expires, heartbeat } => (expires, heartbeat),
        };
        let mut request = json!({ "batch": self.batch(), "expires": expires.as_nanos() });
        if let Some(heartbeat) = heartbeat {
            request["idle_heartbeat"] = json!(heartbeat.as_nanos());
        }
        request.to_string()
    }
}

impl Source {
    /// Opens a source of this lane's messages; nothing is asked for yet.
    pub(crate) async fn open<B: Barrier>(lane: &Lane<B>) -> Result<Self, String> {
        let Lane { client, context, stream, consumer, has_one_filter, .. } = lane;
        let inbox = client.new_inbox();
        let messages = client.subscribe(inbox.clone()).await.map_err(|error| error.to_string())?;
        Ok(Self {
            context: context.clone(),
            client: client.clone(),
            messages,
            stream: stream.to_owned(),
            has_one_filter: *has_one_filter,
            requests: format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"),
            inbox,
            asked: Asked::Much,
            owed: 0,
            is_busy: true,
            connects: 0,
            due: Instant::now(),
        })
    }

    /// The next message, asking for more as needed. Nothing is lost when it is not awaited to the
    /// end. An error says that this source is broken: open another one.
    pub(crate) async fn next(&mut self) -> Result<jetstream::Message, String> {
        loop {
            if self.owed <= self.asked.batch() / 2 {
                self.ask().await?;
            }
            if let Some(message) = self.heard().await? {
                return Ok(message);
            }
        }
    }

    /// Asks for nothing more. From here on there is only the [`rest`](Self::rest).
    pub(crate) async fn end(&mut self) {
        if self.asked == Asked::Much {
            return;
        }
        // A long request would have to be waited for. The server gives no message to a request
        // whose inbox nobody listens to; what it gave already still comes.
        self.due = Instant::now() + LATE;
        if let Err(error) = self.messages.drain().await {
            tracing::debug!(%error, "a source broke while it ended");
            self.owed = 0;
        }
    }

    /// The next of the messages that were asked for already; `None`: there will be none.
    pub(crate) async fn rest(&mut self) -> Option<jetstream::Message> {
        while self.owed > 0 {
            match self.heard().await {
                Ok(Some(message)) => return Some(message),
                Ok(None) => {}
                Err(why) => {
                    tracing::debug!(why, "nothing more comes from this source");
                    return None;
                }
            }
        }
        None
    }

    async fn ask(&mut self) -> Result<(), String> {
        self.asked = if self.is_busy { Asked::Much } else { self.one().await };
        self.is_busy = false;
        self.connects = self.connects();
        // Counted first: a request of which nobody saw whether it was sent counts as sent.
        self.owed += self.asked.batch();
        self.due = Instant::now() + self.asked.silence();
        let (subject, inbox) = (self.requests.clone(), self.inbox.clone());
        let request = self.asked.to_json().into();
        let asked = self.client.publish_with_reply(subject, inbox, request).await;
        asked.map_err(|error| error.to_string())
    }

    /// What a consumer is asked for that hears nothing.
    async fn one(&self) -> Asked {
        if self.has_one_filter {
            return Asked::One { expires: OFTEN, heartbeat: None };
        }
        if self.client.server_info().cluster.is_some() {
            return Asked::One { expires: SELDOM, heartbeat: Some(HEARTBEAT) };
        }
        let subjects = self.subjects().await.unwrap_or_else(|error| {
            tracing::debug!(stream = self.stream, %error, "how many subjects is not known");
            0
        });
        Asked::One { expires: several_for(subjects, random), heartbeat: None }
    }

    /// How many subjects the stream has.
    async fn subjects(&self) -> Result<u64, async_nats::Error> {
        let stream = self.context.get_stream_no_info(&self.stream).await?;
        Ok(stream.get_info().await?.state.subjects_count)
    }

    fn connects(&self) -> u64 {
        self.client.statistics().connects.load(Ordering::Relaxed)
    }

    /// What the server says next: a message, or something about the requests.
    async fn heard(&mut self) -> Result<Option<jetstream::Message>, String> {
        let message = loop {
            let look = self.due.min(Instant::now() + LOOK);
            match timeout_at(look, self.messages.next()).await {
                Ok(message) => break message.ok_or("the subscription ended")?,
                Err(_elapsed) if self.connects() != self.connects => {
                    return Err("the connection it asked over is gone".to_owned());
                }
                Err(_elapsed) if look == self.due => {
                    return Err("the server has forgotten the request".to_owned());
                }
                Err(_elapsed) => {}
            }
        };
        self.due = Instant::now() + self.asked.silence();
        match message.status {
            None | Some(StatusCode::OK) => {
                self.owed = self.owed.saturating_sub(1);
                self.is_busy = true;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consumers_with_several_filters_are_asked_seldom_until_the_server_does_not_walk_any_more() {
        let asked = |subjects, jitter| {
            Asked::One { expires: several_for(subjects, jitter), heartbeat: None }.to_json()
        };
        let minutes_10 = r#"{"batch":1,"expires":600000000000}"#;
        assert_eq!([asked(0, |most| most), asked(1_000_000, |most| most)], [minutes_10; 2]);
        assert_eq!(asked(1_000_000, |_| 1), r#"{"batch":1,"expires":300001000000}"#);
        assert_eq!(asked(1_000_001, |most| most), r#"{"batch":1,"expires":5000000000}"#);
    }
}

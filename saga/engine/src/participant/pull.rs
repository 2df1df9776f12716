//! Pulling messages from one consumer, and what becomes of them.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::{PullConsumer, pull};
use async_nats::jetstream::{self, AckKind, message::Info};
use futures::{FutureExt as _, StreamExt as _};
use saga_core::record::Unreadable;
use saga_core::subject;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::handle::Ends;
use super::valve::Valve;
use super::worker::{Delivery, Role, Verdict, Worker};
use crate::barrier::Barrier;
use crate::dead_letter;
use crate::log::ReadError;
use crate::log::jetstream::delivered;

/// Messages asked for at once.
const PULL: usize = 256;
/// How long one pull stays open. A lost one is noticed by its missing heartbeats.
const EXPIRES: Duration = Duration::from_secs(10);
/// How often an idle server says that it is still there.
const HEARTBEAT: Duration = Duration::from_secs(3);
/// Pause before a pull that broke is made again.
const PAUSE: Duration = Duration::from_millis(200);

const _: () = assert!(HEARTBEAT.as_millis() * 2 <= EXPIRES.as_millis());

/// One consumer of a participant.
pub(crate) struct Lane<B: Barrier> {
    pub(crate) worker: Arc<Worker<B>>,
    pub(crate) context: jetstream::Context,
    pub(crate) stream: String,
    pub(crate) consumer: String,
    /// The type token of the stream's subjects.
    pub(crate) token: String,
    pub(crate) role: Role,
    /// How long a message may be in hand without a sign of life.
    pub(crate) ack_wait: Duration,
    /// Bounds the messages in hand.
    pub(crate) hands: Arc<Semaphore>,
    /// Only on the forward lane.
    pub(crate) valve: Option<Valve>,
    pub(crate) ends: Ends,
    pub(crate) tasks: TaskTracker,
}

impl<B: Barrier<Work: Default>> Lane<B> {
    /// Pulls until it is stopped.
    pub(crate) async fn run(self: Arc<Self>) {
        while !self.ends.stop.is_cancelled() {
            if let Some(valve) = &self.valve {
                tokio::select! {
                    () = valve.until(true) => {}
                    () = self.ends.stop.cancelled() => return,
                }
            }
            if let Err(why) = self.pull().await {
                let (stream, consumer) = (&self.stream, &self.consumer);
                tracing::warn!(stream, consumer, why, "the pull broke: it is made again");
                tokio::select! {
                    () = tokio::time::sleep(PAUSE) => {}
                    () = self.ends.stop.cancelled() => return,
                }
            }
        }
    }

    async fn pull(self: &Arc<Self>) -> Result<(), String> {
        let consumer: PullConsumer = self
            .context
            .get_consumer_from_stream(&self.consumer, &self.stream)
            .await
            .map_err(|error| error.to_string())?;
        let pull = consumer.stream().max_messages_per_batch(PULL).expires(EXPIRES);
        let mut messages =
            pull.heartbeat(HEARTBEAT).messages().await.map_err(|error| error.to_string())?;
        let result = self.take_up(&mut messages).await;
        // What the client holds already is handed back at once, not after `ack_wait`.
        while !self.ends.died.is_cancelled()
            && let Some(Some(Ok(message))) = messages.next().now_or_never()
        {
            self.acknowledge(&message, AckKind::Nak(None)).await;
        }
        result
    }

    async fn take_up(self: &Arc<Self>, messages: &mut pull::Stream) -> Result<(), String> {
        loop {
            let closed = async {
                match &self.valve {
                    Some(valve) => valve.until(false).await,
                    None => std::future::pending().await,
                }
            };
            let next = async {
                // The semaphore is never closed.
                let permit = Arc::clone(&self.hands).acquire_owned().await.ok();
                (permit, messages.next().await)
            };
            let (permit, message) = tokio::select! {
                biased;
                () = self.ends.stop.cancelled() => return Ok(()),
                () = closed => return Ok(()),
                next = next => next,
            };
            match message {
                Some(Ok(message)) => {
                    let lane = Arc::clone(self);
                    self.tasks.spawn(async move { lane.hold(message, permit).await });
                }
                Some(Err(error)) => return Err(error.to_string()),
                None => return Err("the pull ended".to_owned()),
            }
        }
    }

    /// Handles one message, with signs of life while it takes long.
    async fn hold(&self, message: jetstream::Message, _permit: Option<OwnedSemaphorePermit>) {
        self.worker.meter.taken();
        let mut handling = std::pin::pin!(self.handle(&message));
        let verdict = loop {
            tokio::select! {
                verdict = &mut handling => break verdict,
                () = tokio::time::sleep(self.ack_wait / 3) => {
                    self.acknowledge(&message, AckKind::Progress).await;
                }
                () = self.ends.hand_back.cancelled() => break Verdict::Nak(Duration::ZERO),
                () = self.ends.died.cancelled() => break Verdict::Died,
            }
        };
        self.conclude(&message, verdict).await;
        self.worker.meter.put_down();
    }

    async fn handle(&self, message: &jetstream::Message) -> Verdict {
        let stored = match delivered(message) {
            Ok(stored) => stored,
            Err(ReadError::Unreadable { source, .. }) => {
                let code = match source {
                    Unreadable::Shape(_) => dead_letter::UNREADABLE,
                    Unreadable::Version(_) => dead_letter::FUTURE_VERSION,
                };
                return Verdict::Dead(code, with_sources(&source));
            }
            Err(ReadError::Unavailable(why)) => return Verdict::Dead(dead_letter::UNREADABLE, why),
        };
        let record = &stored.record;
        let says = subject::of(&self.token, record);
        if says != message.subject.as_str()
            || record.saga_type != subject::type_of_token(&self.token)
        {
            let why = format!("the record says {says}");
            return Verdict::Dead(dead_letter::OTHER_SUBJECT, why);
        }
        let attempt = message.info().map_or(1, |info| info.delivered);
        let attempt = u32::try_from(attempt).unwrap_or(u32::MAX);
        let traceparent = stored.trace.parent.as_deref();
        let span = tracing::info_span!(
            "saga", service = self.worker.service, role = ?self.role,
            saga_type = record.saga_type, id = record.id, n = record.n, attempt, traceparent,
        );
        let delivery = Delivery { stored, role: self.role, attempt };
        Box::pin(self.worker.handle(delivery)).instrument(span).await
    }

    async fn conclude(&self, message: &jetstream::Message, verdict: Verdict) {
        match verdict {
            Verdict::Ack => self.acknowledge(message, AckKind::Ack).await,
            Verdict::Nak(pause) => {
                let pause = Some(pause).filter(|pause| !pause.is_zero());
                self.acknowledge(message, AckKind::Nak(pause)).await;
            }
            Verdict::Died => {}
            Verdict::Dead(code, cause) => self.bury(message, code, &cause).await,
        }
    }

    async fn bury(&self, message: &jetstream::Message, code: &str, cause: &str) {
        let sequence = message.info().map_or(0, |info: Info<'_>| info.stream_sequence);
        let subject = message.subject.as_str();
        let (stream, consumer) = (self.stream.as_str(), self.consumer.as_str());
        tracing::error!(stream, consumer, sequence, subject, code, cause, "dead letter");
        let origin = dead_letter::Origin { stream, consumer, sequence };
        match dead_letter::put(&self.context, message, &origin, code, cause).await {
            Ok(()) => {
                self.worker.meter.dead();
                self.acknowledge(message, AckKind::Ack).await;
            }
            Err(error) => {
                tracing::error!(stream, sequence, %error, "the message comes again");
                self.acknowledge(message, AckKind::Nak(Some(Duration::from_secs(1)))).await;
            }
        }
    }

    async fn acknowledge(&self, message: &jetstream::Message, kind: AckKind) {
        if let Err(error) = message.ack_with(kind).await {
            // It comes again when `ack_wait` has passed, and everything is done already.
            tracing::debug!(stream = self.stream, %error, "an acknowledgement was not sent");
        }
    }
}

fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

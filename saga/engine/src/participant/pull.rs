//! Pulling messages from one consumer, and what becomes of them.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::{self, AckKind, message::Info};
use saga_core::record::Unreadable;
use saga_core::subject;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::handle::Ends;
use super::source::Source;
use super::valve::Valve;
use super::worker::{Delivery, Role, Verdict, Worker};
use crate::barrier::Barrier;
use crate::dead_letter;
use crate::log::ReadError;
use crate::log::jetstream::delivered;

/// A message that comes while the valve is closed is handed back for this long.
const HAND_BACK: Duration = Duration::from_secs(2);
/// Pause before a pull that broke is made again.
const PAUSE: Duration = Duration::from_millis(200);

/// One consumer of a participant.
pub(crate) struct Lane<B: Barrier> {
    pub(crate) worker: Arc<Worker<B>>,
    pub(crate) client: async_nats::Client,
    pub(crate) context: jetstream::Context,
    pub(crate) stream: String,
    pub(crate) consumer: String,
    /// The type token of the stream's subjects.
    pub(crate) token: String,
    pub(crate) role: Role,
    /// How long a message may be in hand without a sign of life.
    pub(crate) ack_wait: Duration,
    /// It delivers what one filter matches.
    pub(crate) has_one_filter: bool,
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
        let mut source = Source::open(self).await?;
        self.take_up(&mut source).await?;
        source.end().await;
        // What was asked for still comes, and would come again only after `ack_wait`.
        while !self.ends.died.is_cancelled()
            && let Some(message) = source.rest().await
        {
            if self.ends.stop.is_cancelled() {
                let permit = self.permit().await;
                self.take(message, permit);
            } else {
                // Not at once: this source would get it again.
                self.acknowledge(&message, AckKind::Nak(Some(HAND_BACK))).await;
            }
        }
        Ok(())
    }

    /// Takes up messages until it is stopped or the valve closes.
    async fn take_up(self: &Arc<Self>, source: &mut Source) -> Result<(), String> {
        loop {
            let closed = async {
                match &self.valve {
                    Some(valve) => valve.until(false).await,
                    None => std::future::pending().await,
                }
            };
            let next = async { (self.permit().await, source.next().await) };
            let (permit, message) = tokio::select! {
                biased;
                () = self.ends.stop.cancelled() => return Ok(()),
                () = closed => return Ok(()),
                next = next => next,
            };
            self.take(message?, permit);
        }
    }

    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed.
        Arc::clone(&self.hands).acquire_owned().await.ok()
    }

    fn take(self: &Arc<Self>, message: jetstream::Message, permit: Option<OwnedSemaphorePermit>) {
        let lane = Arc::clone(self);
        self.tasks.spawn(async move { lane.hold(message, permit).await });
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

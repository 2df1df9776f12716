//! Following sagas live: one consumer per process and stream, fanned out in memory.
//!
//! Always through the stream: a plain subscriber also receives events that the stream refused.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use std::vec::IntoIter;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use futures::StreamExt as _;
use saga_core::{Plan, subject};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::engine::Engine;
use crate::log::{NEWEST, ReadError, Stored, jetstream};

/// Events that may wait for one follower before it is cut off and starts again from the history.
const WAITING: usize = 256;
/// Pause before a consumer that broke is made again.
const PAUSE: Duration = Duration::from_millis(200);
/// The server forgets a consumer that nobody asks for this long.
const INACTIVE: Duration = Duration::from_secs(30);
/// How long one pull stands.
const EXPIRES: Duration = Duration::from_secs(10);
/// A silence of twice this means that the pull was lost.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// Follows all sagas of one type and hands each event to whoever follows that saga.
#[derive(Debug, Clone)]
pub struct Hub {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    engine: Engine,
    plan: Arc<Plan>,
    followers: Mutex<Followers>,
    observer: OnceLock<Observer>,
    stop: CancellationToken,
    // Ends the consumers when the last clone of the hub goes.
    tasks: Mutex<Vec<AbortOnDropHandle<()>>>,
}

/// Told of every event.
struct Observer(Box<dyn Fn(&Stored) + Send + Sync>);

impl std::fmt::Debug for Observer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Observer")
    }
}

type Followers = HashMap<String, Vec<mpsc::Sender<Arc<Stored>>>>;

impl Hub {
    /// Starts to follow the streams of `plan`'s type; `stop` ends it, and all followers. Once it
    /// returns, no event that happens from then on is missed.
    pub async fn start(
        engine: Engine,
        plan: Arc<Plan>,
        stop: &CancellationToken,
    ) -> Result<Self, ReadError> {
        let inner = Arc::new(Inner {
            engine: engine.clone(),
            plan: Arc::clone(&plan),
            followers: Mutex::default(),
            observer: OnceLock::new(),
            stop: stop.clone(),
            tasks: Mutex::default(),
        });
        for shard in plan.shards() {
            let stream = subject::stream(plan.name(), shard);
            let last = last_sequence(&engine, &stream).await.map_err(|error| {
                ReadError::Unavailable(format!("{stream} cannot be followed: {error}"))
            })?;
            let reader = Reader { stream, engine: engine.clone(), hub: Arc::downgrade(&inner) };
            let reading = Box::pin(stop.clone().run_until_cancelled_owned(reader.run(last)));
            let task = AbortOnDropHandle::new(tokio::spawn(async move {
                reading.await.unwrap_or_default();
            }));
            inner.tasks.lock().unwrap_or_else(PoisonError::into_inner).push(task);
        }
        Ok(Self { inner })
    }

    /// The engine that it reads with.
    pub(crate) fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    /// The definition of the sagas that it follows.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.inner.plan
    }

    /// Tells `observer` of every event of every saga from now on, in the order of the stream. It is
    /// called between two deliveries and must not take long. Only the first observer is told.
    pub fn observe(&self, observer: impl Fn(&Stored) + Send + Sync + 'static) {
        // The second one was documented to hear nothing.
        drop(self.inner.observer.set(Observer(Box::new(observer))));
    }

    /// The events of a saga after sequence `after`: first those that the stream has, then each as
    /// it happens. Ends after the saga's end.
    pub fn follow(&self, id: &str, after: u64) -> Follower {
        self.follower(id, after, None)
    }

    /// The events of a saga that the caller is about to start. The stream is not read for it, so
    /// events of a saga that exists already may never be told.
    pub fn expect(&self, id: &str) -> Follower {
        self.follower(id, 0, Some(Vec::new().into_iter()))
    }

    fn follower(&self, id: &str, after: u64, past: Option<IntoIter<Stored>>) -> Follower {
        let (sender, live) = mpsc::channel(WAITING);
        self.inner.add(id, sender);
        Follower {
            inner: Arc::clone(&self.inner),
            id: id.to_owned(),
            live,
            past,
            last: None,
            began_ms: None,
            after,
            is_over: false,
        }
    }

    /// Waits for the end of a saga; `None` when it has none by `limit`, or there is no such saga.
    pub async fn wait_for_end(
        &self,
        id: &str,
        limit: Duration,
    ) -> Result<Option<Stored>, ReadError> {
        self.follow(id, 0).end(limit).await
    }
}

impl Inner {
    fn add(&self, id: &str, sender: mpsc::Sender<Arc<Stored>>) {
        let mut followers = self.followers.lock().unwrap_or_else(PoisonError::into_inner);
        followers.entry(id.to_owned()).or_default().push(sender);
    }

    fn hand_out(&self, stored: Stored) {
        if let Some(Observer(observer)) = self.observer.get() {
            observer(&stored);
        }
        let mut followers = self.followers.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(senders) = followers.get_mut(&stored.record.id) else { return };
        let stored = Arc::new(stored);
        // A follower that is gone or too slow is let go; a slow one starts again by itself.
        senders.retain(|sender| sender.try_send(Arc::clone(&stored)).is_ok());
        if senders.is_empty() {
            followers.remove(&stored.record.id);
        }
    }

    fn forget_closed(&self, id: &str) {
        let mut followers = self.followers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(senders) = followers.get_mut(id) {
            senders.retain(|sender| !sender.is_closed());
            if senders.is_empty() {
                followers.remove(id);
            }
        }
    }
}

/// One saga, followed.
#[derive(Debug)]
pub struct Follower {
    inner: Arc<Inner>,
    id: String,
    live: mpsc::Receiver<Arc<Stored>>,
    /// Events read from the stream and not handed out yet; `None`: not read yet.
    past: Option<IntoIter<Stored>>,
    /// Sequence and number of the last event that was read from the stream or taken live.
    last: Option<(u64, u64)>,
    began_ms: Option<i64>,
    after: u64,
    is_over: bool,
}

impl Follower {
    /// The next event; `None` after the saga's end, or when the hub stops.
    pub async fn next(&mut self) -> Result<Option<Stored>, ReadError> {
        while !self.is_over {
            if self.past.is_none() {
                // The events that the hub handed out before we came must not be missed because a
                // replica lags behind: they do not come again.
                let log = self.inner.engine.log();
                let history = log.history(&self.inner.plan, &self.id, NEWEST).await?;
                self.past = Some(history.into_iter());
            }
            let next = match self.past.as_mut().and_then(Iterator::next) {
                Some(stored) => stored,
                None => match self.inner.stop.run_until_cancelled(self.live.recv()).await {
                    None => return Ok(None),
                    Some(None) => {
                        self.start_again();
                        continue;
                    }
                    Some(Some(stored)) if self.is_known(&stored) => continue,
                    Some(Some(stored)) if self.follows(&stored) => Arc::unwrap_or_clone(stored),
                    // Something is missing, or slipped past the check: the history tells.
                    Some(Some(_)) => {
                        self.past = None;
                        continue;
                    }
                },
            };
            self.last = Some((next.sequence, next.record.n));
            if next.record.n == 1 {
                self.began_ms = Some(next.at_ms);
            }
            // Whoever asks for what comes after the end asks for nothing.
            self.is_over = next.record.status.is_end();
            if next.sequence > self.after {
                self.after = next.sequence;
                return Ok(Some(next));
            }
        }
        Ok(None)
    }

    /// Waits for the saga's end; `None` when it has none by `limit`, or the hub stops.
    pub async fn end(&mut self, limit: Duration) -> Result<Option<Stored>, ReadError> {
        let end = async {
            while let Some(stored) = self.next().await? {
                if stored.record.status.is_end() {
                    return Ok(Some(stored));
                }
            }
            Ok(None)
        };
        tokio::time::timeout(limit, end).await.unwrap_or(Ok(None))
    }

    /// When the saga's first event was stored, in milliseconds since the epoch by the server's
    /// clock; `None` when it did not pass here (yet).
    pub fn began_ms(&self) -> Option<i64> {
        self.began_ms
    }

    fn is_known(&self, stored: &Stored) -> bool {
        self.last.is_some_and(|(sequence, _)| stored.sequence <= sequence)
    }

    fn follows(&self, stored: &Stored) -> bool {
        let (sequence, n) = self.last.unwrap_or_default();
        stored.record.base == sequence && stored.record.n == n + 1
    }

    /// After being cut off: what was missed is in the stream.
    fn start_again(&mut self) {
        let (sender, live) = mpsc::channel(WAITING);
        self.inner.add(&self.id, sender);
        self.live = live;
        self.past = None;
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.live.close();
        self.inner.forget_closed(&self.id);
    }
}

/// Reads one stream for a hub.
struct Reader {
    stream: String,
    engine: Engine,
    hub: std::sync::Weak<Inner>,
}

impl Reader {
    /// Reads until the hub is gone; a consumer that breaks is made again where it broke.
    async fn run(self, mut last: u64) {
        while self.hub.strong_count() > 0 {
            if let Err(error) = self.read(&mut last).await {
                tracing::warn!(stream = %self.stream, %error, "following again");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn read(&self, last: &mut u64) -> Result<(), async_nats::Error> {
        // A stream that was made anew, or lost its last messages, begins before where we are.
        *last = last_sequence(&self.engine, &self.stream).await?.min(*last);
        let stream = self.engine.jetstream().get_stream_no_info(&self.stream).await?;
        let consumer = stream.create_consumer(config(*last + 1)).await?;
        // Not the client's ordered consumer, which notices a lost server after half a minute.
        let messages = consumer.stream().expires(EXPIRES).heartbeat(HEARTBEAT).messages();
        let mut messages = messages.await?;
        let mut delivered = 0;
        while let Some(message) = messages.next().await {
            let message = message?;
            let info = message.info()?;
            delivered += 1;
            if info.consumer_sequence != delivered {
                return Err(format!("a delivery was lost after sequence {last}").into());
            }
            let Some(hub) = self.hub.upgrade() else { return Ok(()) };
            *last = info.stream_sequence;
            match jetstream::delivered(&message) {
                Ok(stored) if jetstream::is_of(&message.subject, &stored.record) => {
                    hub.hand_out(stored);
                }
                Ok(_) => tracing::warn!(stream = %self.stream, last, "another subject: left out"),
                Err(error) => tracing::warn!(stream = %self.stream, %error, "left out"),
            }
        }
        Ok(())
    }
}

/// Without acknowledgements; its own sequence shows whether a delivery was lost.
fn config(start_sequence: u64) -> pull::Config {
    pull::Config {
        description: Some("a hub follows the stream".to_owned()),
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence },
        ack_policy: AckPolicy::None,
        max_deliver: 1,
        memory_storage: true,
        num_replicas: 1,
        inactive_threshold: INACTIVE,
        ..pull::Config::default()
    }
}

async fn last_sequence(engine: &Engine, stream: &str) -> Result<u64, async_nats::Error> {
    let stream = engine.jetstream().get_stream_no_info(stream).await?;
    Ok(stream.get_info().await?.state.last_sequence)
}

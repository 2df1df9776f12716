//! The coordinator: time, wishes, retention and alarms of sagas.
//!
//! Services move sagas by themselves. The coordinator owns only what no service can see: time-outs,
//! deadlines and timers, operators' wishes, the list of sagas, what leaves the stream, and what a
//! person should look at. It remembers nothing that is not in the stream, and each of its appends
//! passes the same check as everybody's: any number of coordinators may run, and one that is late or
//! wrong does no harm.
//!
//! ```no_run
//! # async fn example(engine: saga_engine::Engine, plan: saga_core::Plan)
//! # -> Result<(), Box<dyn std::error::Error>> {
//! use saga_engine::coordinator::Coordinator;
//!
//! let coordinator = Coordinator::new(engine).saga(plan).start().await?;
//! // …
//! coordinator.shutdown().await;
//! # Ok(())
//! # }
//! ```

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::service::Service;
use saga_core::Plan;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::task::TaskTracker;

use crate::engine::{DefinitionError, Engine};
use crate::wishes::Alarm;

mod alarms;
mod audit;
mod book;
mod checkpoint;
mod clock;
mod desk;
#[cfg(test)]
pub(crate) mod detached;
mod entry;
mod follower;
mod holding;
mod holds;
mod office;
mod retention;
mod service;
mod timer;
mod watch;
mod witness;

pub(crate) use audit::audit;
use office::{Office, Track};

/// How long a shutdown waits for what is in hand.
const IN_HAND: Duration = Duration::from_secs(10);
/// Histories that may wait to be folded again.
const AUDITS: usize = 1_024;

/// A coordinator to be started.
#[derive(Debug)]
pub struct Coordinator {
    engine: Engine,
    plans: Vec<Arc<Plan>>,
    options: Options,
}

/// How a coordinator works. The defaults suit a service in production.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Most appends in flight, however much is due at once. A time-out of an old saga makes the
    /// server load a cold block: mass time-outs are spread.
    pub appends_in_flight: usize,
    /// How often a checkpoint is written.
    pub checkpoint_every: Duration,
    /// How often the server's time is asked for.
    pub clock_every: Duration,
    /// How often the streams' consumers are looked at.
    pub watch_every: Duration,
    /// What leaves the stream when.
    pub retention: Retention,
}

/// When finished sagas leave the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Whether anything leaves at all.
    pub enabled: bool,
    /// How long a finished saga's history stays.
    pub grace: Duration,
    /// How long its last message stays: so long a repeated start is refused, and so long a service
    /// that mirrors endings may be away.
    pub retention: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        let day = Duration::from_hours(24);
        Self { enabled: true, grace: day, retention: 7 * day }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            appends_in_flight: 16,
            checkpoint_every: Duration::from_secs(30),
            clock_every: Duration::from_secs(5),
            watch_every: Duration::from_secs(15),
            retention: Retention::default(),
        }
    }
}

/// Why a coordinator does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is nothing to coordinate.
    #[error("a coordinator needs at least one saga")]
    NoSaga,
    /// Retention would take last messages before histories.
    #[error("the retention time must not be shorter than the grace period")]
    Retention,
    /// A definition cannot be registered.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// A stream cannot be read: has the topology been applied?
    #[error("{0}")]
    Stream(String),
    /// The service that answers wishes cannot be started.
    #[error("the service cannot be started: {0}")]
    Service(String),
}

/// How a coordinator is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// Everything that was in the streams has been read: time-outs run.
    pub is_caught_up: bool,
    /// Open sagas.
    pub open: usize,
    /// Of these, stuck ones.
    pub stuck: usize,
    /// Alarms that are raised now.
    pub alarms: usize,
    /// Messages that were read before it had caught up: few after a restart with a checkpoint.
    pub replayed: u64,
}

impl Coordinator {
    /// A coordinator over an engine, with default options.
    pub fn new(engine: Engine) -> Self {
        Self { engine, plans: Vec::new(), options: Options::default() }
    }

    /// Adds a saga. Several versions of one type may be added; others are looked up when a saga
    /// follows them.
    #[must_use]
    pub fn saga(mut self, plan: impl Into<Arc<Plan>>) -> Self {
        self.plans.push(plan.into());
        self
    }

    /// Sets the options.
    #[must_use]
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Registers the definitions, and starts to follow, to keep time and to answer wishes.
    ///
    /// # Errors
    /// When a stream or a bucket is missing, or a definition is registered with another content.
    pub async fn start(self) -> Result<CoordinatorHandle, StartError> {
        if self.options.retention.retention < self.options.retention.grace {
            return Err(StartError::Retention);
        }
        for plan in &self.plans {
            self.engine.register(Arc::clone(plan)).await?;
        }
        let tracks = tracks(&self.plans);
        let first = tracks.first().map(Arc::clone).ok_or(StartError::NoSaga)?;
        let (audits, to_audit) = mpsc::channel(AUDITS);
        let office = Arc::new(Office::new(self.engine, self.options, tracks, audits));
        for track in &office.tracks {
            let context = office.engine.jetstream();
            clock::ask(context, &track.stream, &office.clock).await.map_err(StartError::Stream)?;
        }
        holding::look(&office).await.map_err(StartError::Stream)?;
        let service = service::serve(&office)
            .await
            .map_err(|error| StartError::Service(error.to_string()))?;
        let tasks = TaskTracker::new();
        let room = Arc::new(Semaphore::new(self.options.appends_in_flight.max(1)));
        let of = || Arc::clone(&office);
        for track in &office.tracks {
            let track = || Arc::clone(track);
            tasks.spawn(follower::follow(of(), track()));
            tasks.spawn(timer::keep_time(of(), track(), Arc::clone(&room)));
            tasks.spawn(until_stopped(of(), retention::retain(of(), track())));
        }
        tasks.spawn(until_stopped(of(), witness::witness(of(), to_audit)));
        tasks.spawn(until_stopped(of(), retention::keep_clock(of(), first)));
        tasks.spawn(until_stopped(of(), holding::watch(of())));
        tasks.spawn(until_stopped(of(), watch::watch(of())));
        tasks.spawn(checkpoint::keep(of()));
        tasks.close();
        Ok(CoordinatorHandle { office, tasks, service: Mutex::new(Some(service)) })
    }
}

/// Nothing of this needs to be finished.
async fn until_stopped(office: Arc<Office>, work: impl Future<Output = ()>) {
    tokio::select! {
        () = office.stop.cancelled() => {}
        () = work => {}
    }
}

/// One per stream: per type, and per shard of a sharded one.
fn tracks(plans: &[Arc<Plan>]) -> Vec<Arc<Track>> {
    let mut tracks: Vec<Arc<Track>> = Vec::new();
    for plan in plans {
        for shard in plan.shards() {
            let track = Track::new(plan, shard);
            if !tracks.iter().any(|known| known.stream == track.stream) {
                tracks.push(Arc::new(track));
            }
        }
    }
    tracks.sort_by(|one, other| one.stream.cmp(&other.stream));
    tracks
}

/// A running coordinator. Dropping it stops the work without finishing what is in hand.
#[must_use = "dropping it stops the coordinator"]
pub struct CoordinatorHandle {
    office: Arc<Office>,
    tasks: TaskTracker,
    service: Mutex<Option<Service>>,
}

impl CoordinatorHandle {
    /// How it is doing.
    pub fn health(&self) -> Health {
        let mut health = Health { is_caught_up: true, ..Health::default() };
        for track in &self.office.tracks {
            let book = track.book();
            let (open, stuck) = book.count();
            health.is_caught_up &= book.is_caught_up;
            health.open += open;
            health.stuck += stuck;
            health.replayed += book.replayed;
        }
        health.alarms = self.office.alarms.count();
        health
    }

    /// The alarms that are raised now, oldest first.
    pub fn alarms(&self) -> Vec<Alarm> {
        self.office.alarms.list(None, usize::MAX).0
    }

    /// Stops: takes nothing new, finishes what is in hand, and writes a last checkpoint.
    pub async fn shutdown(&self) {
        let service = self.service.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(service) = service
            && let Err(error) = service.stop().await
        {
            tracing::debug!(%error, "the service was not stopped in order");
        }
        self.office.stop.cancel();
        self.office.in_hand.close();
        let in_hand = async {
            self.tasks.wait().await;
            self.office.in_hand.wait().await;
        };
        // An append that the server does not answer is given up: the next start does what is due.
        if tokio::time::timeout(IN_HAND, in_hand).await.is_err() {
            tracing::warn!("what is in hand takes too long and is broken off");
        }
        let mut written = vec![0; self.office.tracks.len()];
        let last = checkpoint::save_all(&self.office, &mut written);
        if tokio::time::timeout(checkpoint::LAST, last).await.is_err() {
            tracing::warn!("the last checkpoint took too long: the next start reads more");
        }
    }
}

impl Drop for CoordinatorHandle {
    fn drop(&mut self) {
        self.office.stop.cancel();
    }
}

impl std::fmt::Debug for CoordinatorHandle {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("CoordinatorHandle").field("health", &self.health()).finish()
    }
}

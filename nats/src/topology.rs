//! The topology on the server: what differs, made so, and checked.
//!
//! [`Topology`] says which streams, consumers and buckets a set of definitions needs; here it gets
//! its settings ([`Wanted`]), is compared with what the server has, and is applied.
//!
//! - Applying is idempotent and safe from many programs at once: each reads, changes what differs,
//!   and reads again until nothing does.
//! - Consumers' filters only widen, replicas only grow, and nothing is ever removed: an older
//!   program that still runs keeps what it needs.
//! - Settings that are not ours (placement, limits on sizes, metadata of operators) stay as they are.
//! - What cannot be changed on a stream or consumer that is there, such as its storage, is a
//!   [`Error::Conflict`]: a person decides.
//!
//! ```no_run
//! use jetsaga_nats::topology;
//! use saga_core::{Definition, Plan, Step};
//! use saga_engine::Topology;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let trip = Definition::new("trip", 1)
//!     .step(Step::compensable("flight", "airline").timeout_ms(5_000))
//!     .step(Step::compensable("hotel", "hotels").timeout_ms(5_000));
//! let wanted = Topology::of(&[&Plan::new(trip)?], &[], 1);
//!
//! let client = jetsaga_nats::connect("nats://127.0.0.1:4222", Default::default()).await?;
//! let jetstream = async_nats::jetstream::new(client);
//! eprintln!("{}", topology::plan(&jetstream, &wanted).await?);
//! topology::apply(&jetstream, &wanted).await?;
//! topology::check(&jetstream, &wanted).await?;
//! # Ok(())
//! # }
//! ```

use async_nats::jetstream::Context;
use saga_engine::Topology;

mod api;
mod change;
mod compare;
mod filters;
mod wanted;

pub use change::{Change, Changes, Difference, Kind};
pub use wanted::{Wanted, WantedConsumer};

use api::Api;
use change::Task;

/// How often applying looks again while other programs change the same things.
const ROUNDS: usize = 8;

/// Why the topology is not on the server.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server does not answer, or not in time.
    #[error("JetStream does not answer about {what}: {why}")]
    Unavailable {
        /// The stream or consumer.
        what: String,
        /// What was heard.
        why: String,
    },
    /// The server refuses a request.
    #[error("JetStream refuses {what}: {why} (code {code})")]
    Refused {
        /// The stream or consumer.
        what: String,
        /// The server's words.
        why: String,
        /// The server's error code.
        code: u64,
    },
    /// Something is there that cannot be changed into what is needed.
    #[error("the server has what cannot be changed; delete or rename it by hand:\n{0}")]
    Conflict(Changes),
    /// The server does not have what is needed.
    #[error("the server does not have what is needed:\n{0}")]
    NotApplied(Changes),
}

/// What differs between the server and `topology`; nothing is changed.
///
/// # Errors
/// [`Error::Unavailable`] or [`Error::Refused`] when the server cannot be read.
pub async fn plan(jetstream: &Context, topology: &Topology) -> Result<Changes, Error> {
    let tasks = tasks(&Api::new(jetstream), &Wanted::of(topology)).await?;
    Ok(tasks.into_iter().map(|task| task.change).collect())
}

/// Makes the server as `topology` says; returns what was changed.
///
/// A cluster that is starting is waited for, up to half a minute for each answer.
///
/// # Errors
/// [`Error::Conflict`] before anything is changed; the others when the server does not do it.
pub async fn apply(jetstream: &Context, topology: &Topology) -> Result<Changes, Error> {
    let (api, wanted) = (Api::new(jetstream), Wanted::of(topology));
    let mut done = Changes::default();
    for _ in 0..ROUNDS {
        let tasks = tasks(&api, &wanted).await?;
        if tasks.is_empty() {
            return Ok(done);
        }
        let conflicts: Changes = tasks.iter().filter_map(Task::conflict).collect();
        if !conflicts.is_empty() {
            return Err(Error::Conflict(conflicts));
        }
        for task in tasks {
            if api.perform(&task).await? {
                tracing::info!(change = %task.change, "topology");
                done.push(task.change);
            }
        }
    }
    Err(Error::NotApplied(plan(jetstream, topology).await?))
}

/// Whether the server is as `topology` says.
///
/// # Errors
/// [`Error::NotApplied`] with what differs; the others when the server cannot be read.
pub async fn check(jetstream: &Context, topology: &Topology) -> Result<(), Error> {
    let changes = plan(jetstream, topology).await?;
    if changes.is_empty() { Ok(()) } else { Err(Error::NotApplied(changes)) }
}

/// What is to be done: streams first, for consumers need theirs.
async fn tasks(api: &Api<'_>, wanted: &Wanted) -> Result<Vec<Task>, Error> {
    let mut tasks = Vec::new();
    for stream in &wanted.streams {
        let found = api.stream(compare::name(stream)).await?;
        tasks.extend(compare::stream(stream, found));
    }
    for consumer in &wanted.consumers {
        let found = api.consumer(&consumer.stream, compare::name(&consumer.config)).await?;
        tasks.extend(compare::consumer(consumer, found));
    }
    Ok(tasks)
}

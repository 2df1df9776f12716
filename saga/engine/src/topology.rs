//! What the engine needs of the server, as a value; the `jetsaga-nats` crate applies it.

use saga_core::{Plan, subject};
use serde::{Deserialize, Serialize};

/// Key-value bucket of registered definitions: `<name>.<version>`.
pub const DEFINITIONS: &str = "saga_definitions";
/// Key-value bucket of coordinators' checkpoints.
pub const CHECKPOINTS: &str = "saga_checkpoints";
/// Key-value bucket of the barrier of participants without a database.
pub const BARRIER: &str = "saga_barrier";
/// Key-value bucket that the server feeds with every saga's last record.
pub const VIEW: &str = "sagas";

/// Streams, consumers and buckets of a set of definitions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topology {
    /// One per saga type (per shard of a sharded one), and the dead letters.
    pub streams: Vec<Stream>,
    /// Six per service and stream at most.
    pub consumers: Vec<Consumer>,
    /// Key-value buckets.
    pub buckets: Vec<Bucket>,
    /// Whether the server feeds the [`VIEW`] bucket; costs about 17 µs of its time per event.
    pub view: bool,
    /// Replicas of streams and buckets: 1, 3 or 5.
    pub replicas: u32,
}

/// A stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    /// Its name.
    pub name: String,
    /// Its subjects.
    pub subjects: Vec<String>,
    /// Whether it holds sagas (deletes denied, `discard: new`, no age) or dead letters.
    pub holds: Holds,
}

/// What a stream holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holds {
    /// Sagas: nothing but the engine writes here, and nothing is lost.
    Sagas,
    /// Messages that nobody can act on.
    DeadLetters,
}

/// A durable pull consumer that delivers from the stream's first message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consumer {
    /// Its stream.
    pub stream: String,
    /// Its name.
    pub name: String,
    /// The service that pulls from it.
    pub service: String,
    /// What it delivers.
    pub filters: Vec<String>,
    /// Most messages delivered and not yet acknowledged.
    pub max_ack_pending: u32,
    /// Redelivered when not acknowledged for this long, in milliseconds.
    pub ack_wait_ms: u64,
}

/// A key-value bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// Values kept per key.
    pub history: u32,
}

/// Most messages in hand per consumer: forward, backward and endings wait for retries apart.
const MAX_ACK_PENDING: u32 = 4_096;
/// Unless told otherwise; a participant renews long work every third of this.
pub const ACK_WAIT_MS: u64 = 30_000;

impl Topology {
    /// What `plans` need. `mirrors` names the services that follow endings, as (type, service).
    pub fn of(plans: &[&Plan], mirrors: &[(&str, &str)], replicas: u32) -> Self {
        let mut streams: Vec<Stream> = Vec::new();
        let mut consumers: Vec<Consumer> = Vec::new();
        for plan in plans {
            for shard in plan.shards() {
                let token = subject::type_token(plan.name(), shard);
                let name = subject::stream(plan.name(), shard);
                if !streams.iter().any(|stream| stream.name == name) {
                    let subjects = vec![subject::all(&token)];
                    streams.push(Stream { name: name.clone(), subjects, holds: Holds::Sagas });
                }
                for consumer in of_plan(plan, &token, &name, mirrors) {
                    add(&mut consumers, consumer);
                }
            }
        }
        streams.push(Stream {
            name: subject::dead::STREAM.to_owned(),
            subjects: vec![subject::dead::ALL.to_owned()],
            holds: Holds::DeadLetters,
        });
        let bucket = |name: &str| Bucket { name: name.to_owned(), history: 1 };
        let buckets = [DEFINITIONS, CHECKPOINTS, BARRIER].map(bucket).to_vec();
        Self { streams, consumers, buckets, view: false, replicas }
    }

    /// With another time after which a message that was not acknowledged is given out again, in
    /// milliseconds.
    #[must_use]
    pub fn with_ack_wait_ms(mut self, ack_wait_ms: u64) -> Self {
        self.consumers.iter_mut().for_each(|consumer| consumer.ack_wait_ms = ack_wait_ms);
        self
    }

    /// With the view bucket.
    #[must_use]
    pub fn with_view(mut self) -> Self {
        self.view = true;
        self
    }
}

fn of_plan(plan: &Plan, token: &str, stream: &str, mirrors: &[(&str, &str)]) -> Vec<Consumer> {
    let consumer = |service: &str, name: String, filters: Vec<String>| Consumer {
        stream: stream.to_owned(),
        name,
        service: service.to_owned(),
        filters,
        max_ack_pending: MAX_ACK_PENDING,
        ack_wait_ms: ACK_WAIT_MS,
    };
    let mut found = Vec::new();
    for service in plan.services() {
        let forward = subject::forward_filters(plan, token, service);
        found.push(consumer(service, subject::consumer::forward(service), forward));
        let backward = subject::backward_consumers(plan, token, service).into_iter();
        found.extend(backward.map(|(name, filter)| consumer(service, name, vec![filter])));
    }
    for (_, service) in mirrors.iter().filter(|(saga_type, _)| *saga_type == plan.name()) {
        let endings = subject::ending_filters(token, service).into_iter();
        found.extend(endings.map(|(name, filter)| consumer(service, name, vec![filter])));
    }
    found
}

/// Adds a consumer, or widens the one that another version of the definition asked for.
fn add(consumers: &mut Vec<Consumer>, consumer: Consumer) {
    let same = |it: &&mut Consumer| it.stream == consumer.stream && it.name == consumer.name;
    match consumers.iter_mut().find(same) {
        None => consumers.push(consumer),
        Some(known) => {
            known.filters.extend(consumer.filters);
            known.filters.sort();
            known.filters.dedup();
        }
    }
}

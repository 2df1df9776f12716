//! The topology with all its settings, as the server takes them.

use std::time::Duration;

use saga_core::subject;
use saga_engine::topology::{Bucket, Consumer, Holds, Stream, Topology, VIEW};
use serde::Serialize;
use serde_json::{Value, json};

/// Above a million subjects in a stream the server writes its index no longer and skips no blocks.
const SUBJECTS_CRITICAL: u32 = 1_000_000;
/// Time to act before that.
const SUBJECTS_WARN: u32 = 800_000;
/// Dead letters beyond this many push out the oldest: a flood of them must not fill the disk.
const DEAD_LETTERS: u32 = 100_000;
/// Dead letters of one consumer are worth a look. Subjects are counted, one for each consumer:
/// thresholds of messages mean too few of them.
const DEAD_LETTERS_WARN: u32 = 1;
/// Dead letters of this many consumers are more than one bad message.
const DEAD_LETTERS_CRITICAL: u32 = 10;
/// Waiting messages from which on a service has fallen behind.
const UNPROCESSED_CRITICAL: u32 = 100_000;
/// Stated, for servers differ in what they take for granted.
const CONSUMERS_PER_STREAM: u32 = 1_000;

/// Streams and consumers with their settings, in the words of the server's API; buckets are
/// streams, as everywhere in JetStream.
///
/// Durations are in nanoseconds, as the API has them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Wanted {
    /// Configurations of streams.
    pub streams: Vec<Value>,
    /// Configurations of consumers.
    pub consumers: Vec<WantedConsumer>,
}

/// A consumer with its settings.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WantedConsumer {
    /// Its stream.
    pub stream: String,
    /// Its configuration.
    pub config: Value,
}

impl Wanted {
    /// The settings of everything in `topology`.
    pub fn of(topology: &Topology) -> Self {
        let replicas = topology.replicas;
        let streams = topology.streams.iter().map(|stream| match stream.holds {
            Holds::Sagas => sagas(stream, replicas),
            Holds::DeadLetters => dead_letters(stream, replicas),
        });
        let buckets = topology.buckets.iter().map(|it| bucket(it, replicas));
        let view = topology.view.then(|| view(topology));
        Self {
            streams: streams.chain(buckets).chain(view).collect(),
            consumers: topology.consumers.iter().map(consumer).collect(),
        }
    }
}

/// Nothing is lost and nothing but guarded appends gets in: no age, no roll-ups, no schedules, no
/// delete markers. Purges are possible: retention takes ended sagas out.
fn sagas(stream: &Stream, replicas: u32) -> Value {
    json!({
        "name": stream.name,
        "description": "every event of every saga of one type",
        "subjects": stream.subjects,
        "retention": "limits",
        "storage": "file",
        "num_replicas": replicas,
        "discard": "new",
        "max_age": 0,
        "max_msgs": -1,
        "max_bytes": -1,
        "max_msgs_per_subject": -1,
        "max_consumers": CONSUMERS_PER_STREAM,
        // Appends carry no message id: their guard refuses duplicates.
        "duplicate_window": nanoseconds(Duration::from_secs(1)),
        "deny_delete": true,
        "deny_purge": false,
        "allow_direct": true,
        "allow_rollup_hdrs": false,
        "allow_msg_ttl": false,
        "allow_msg_schedules": false,
        "allow_atomic": false,
        "metadata": monitor(&[
            ("subjects-warn", SUBJECTS_WARN),
            ("subjects-critical", SUBJECTS_CRITICAL),
        ]),
    })
}

/// Kept for a person, who may delete what was dealt with.
fn dead_letters(stream: &Stream, replicas: u32) -> Value {
    json!({
        "name": stream.name,
        "description": "messages that nobody can act on, each with its cause",
        "subjects": stream.subjects,
        "retention": "limits",
        "storage": "file",
        "num_replicas": replicas,
        "discard": "old",
        "max_age": 0,
        "max_msgs": DEAD_LETTERS,
        "max_consumers": CONSUMERS_PER_STREAM,
        "duplicate_window": nanoseconds(Duration::from_mins(2)),
        "deny_delete": false,
        "deny_purge": false,
        "allow_direct": true,
        "metadata": monitor(&[
            ("subjects-warn", DEAD_LETTERS_WARN),
            ("subjects-critical", DEAD_LETTERS_CRITICAL),
        ]),
    })
}

/// A key-value bucket as every client makes it.
fn bucket(bucket: &Bucket, replicas: u32) -> Value {
    json!({
        "name": format!("KV_{}", bucket.name),
        "subjects": [format!("$KV.{}.>", bucket.name)],
        "retention": "limits",
        "storage": "file",
        "num_replicas": replicas,
        "discard": "new",
        "max_age": 0,
        "max_msgs": -1,
        "max_bytes": -1,
        "max_msgs_per_subject": bucket.history,
        "max_consumers": CONSUMERS_PER_STREAM,
        "duplicate_window": nanoseconds(Duration::from_mins(2)),
        "deny_delete": true,
        "deny_purge": false,
        "allow_direct": true,
        "allow_rollup_hdrs": true,
    })
}

/// The bucket that the server feeds: key `<type>.<id>`, value the saga's last record.
fn view(topology: &Topology) -> Value {
    let sources = topology.streams.iter().filter(|stream| stream.holds == Holds::Sagas);
    let sources: Vec<_> = sources
        .map(|stream| {
            let transforms = stream.subjects.iter().filter_map(|all| subject::view(all, VIEW));
            let transforms = transforms.map(|(src, dest)| json!({"src": src, "dest": dest}));
            json!({"name": stream.name, "subject_transforms": transforms.collect::<Vec<_>>()})
        })
        .collect();
    let mut view = bucket(&Bucket { name: VIEW.to_owned(), history: 1 }, topology.replicas);
    view["description"] = json!("the last record of every saga; written by the server alone");
    view["sources"] = json!(sources);
    view
}

/// Delivers everything from the stream's first message on until it is acknowledged, however often.
fn consumer(consumer: &Consumer) -> WantedConsumer {
    let config = json!({
        "name": consumer.name,
        "durable_name": consumer.name,
        "description": format!("pulled by the service {}", consumer.service),
        "deliver_policy": "all",
        "ack_policy": "explicit",
        "ack_wait": nanoseconds(Duration::from_millis(consumer.ack_wait_ms)),
        // The step's time-out is the bound, not a number of deliveries: at such a limit the server
        // would skip the message in silence.
        "max_deliver": -1,
        "max_ack_pending": consumer.max_ack_pending,
        "replay_policy": "instant",
        "filter_subjects": consumer.filters,
        "metadata": monitor(&[
            ("outstanding-ack-critical", consumer.max_ack_pending),
            ("unprocessed-critical", UNPROCESSED_CRITICAL),
        ]),
    });
    WantedConsumer { stream: consumer.stream.clone(), config }
}

/// Thresholds that `nats server check` and other monitors read from the metadata.
fn monitor(thresholds: &[(&str, u32)]) -> Value {
    let mut metadata = json!({"io.nats.monitor.enabled": "true"});
    for (name, threshold) in thresholds {
        metadata[format!("io.nats.monitor.{name}")] = json!(threshold.to_string());
    }
    metadata
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

//! A log to be tested, and what every test of a log does.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jetsaga_nats::testing::{broker, replicas};
use jetsaga_nats::topology;
use saga_core::{Author, Change, Definition, Event, Plan, Record, Step};
use saga_engine::log::advance::{Advanced, advance};
use saga_engine::log::jetstream::JetStreamLog;
use saga_engine::log::{Append, AppendError, NEWEST};
use saga_engine::testing::MemoryLog;
use saga_engine::{Log, Stored, Tail, Topology, Trace};
use serde_json::{Value, json};

/// How often an append that is in flight elsewhere is tried again.
const TRIES: u32 = 200;

/// A log and two types of sagas in it, the second of them in two shards.
#[derive(Clone)]
pub(crate) struct Bed {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) plan: Arc<Plan>,
    pub(crate) sharded: Arc<Plan>,
    /// Keeps the ids of tests on one stream apart.
    pub(crate) test: String,
    /// Whether one replica may say what another one knows better.
    pub(crate) is_replicated: bool,
}

pub(crate) fn trip() -> Definition {
    Definition::new("trip", 1)
        .step(Step::compensable("flight", "airline").timeout_ms(10_000))
        .step(Step::compensable("hotel", "hotels").timeout_ms(10_000))
        .step(Step::retriable("papers", "post").timeout_ms(10_000))
}

impl Bed {
    pub(crate) fn new(log: Arc<dyn Log>) -> Self {
        let mut stay = trip();
        (stay.name, stay.shards) = ("stay".to_owned(), Some(2));
        let [plan, sharded] = [trip(), stay].map(|it| Arc::new(Plan::new(it).unwrap()));
        Self { log, plan, sharded, test: String::new(), is_replicated: false }
    }

    pub(crate) fn in_memory() -> Self {
        Self::new(Arc::new(MemoryLog::new(now)))
    }

    /// On a stream of the test's own.
    pub(crate) async fn on_jetstream() -> Self {
        Self::on(&broker().await.account().client().await).await
    }

    /// On a server or cluster.
    pub(crate) async fn on(client: &async_nats::Client) -> Self {
        let replicas = replicas(client);
        let log = Arc::new(JetStreamLog::new(client.clone()));
        let bed = Self { is_replicated: replicas > 1, ..Self::new(log) };
        let wanted = Topology::of(&[&bed.plan, &bed.sharded], &[], replicas);
        let context = async_nats::jetstream::new(client.clone());
        topology::apply(&context, &wanted).await.unwrap();
        bed
    }

    pub(crate) fn named(&self, test: &str) -> Self {
        Self { test: test.to_owned(), ..self.clone() }
    }

    /// The same bed, with something between the tests and the log.
    pub(crate) fn with(&self, log: Arc<dyn Log>) -> Self {
        Self { log, ..self.clone() }
    }

    pub(crate) fn id(&self, name: &str) -> String {
        // An id has 64 characters at most.
        let digest: u32 = self
            .test
            .bytes()
            .fold(7, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
        format!("{name}-{digest:08x}")
    }

    /// An append that starts a saga.
    pub(crate) fn started(&self, name: &str, input: Value) -> Append {
        self.append(Record::start(&self.plan, &self.id(name), input).unwrap(), 0)
    }

    /// An append of this record.
    #[expect(clippy::unused_self, reason = "it reads like its neighbours")]
    pub(crate) fn append(&self, record: Record, expected: u64) -> Append {
        let append_id = uuid::Uuid::new_v4().simple().to_string();
        Append { record, expected, append_id, trace: traced() }
    }

    /// An append that follows a tail.
    pub(crate) fn next(&self, tail: &Tail, event: Event) -> Append {
        let record = tail.stored.record.next(&self.plan, tail.stored.sequence, event).unwrap();
        self.append(record, tail.last_sequence)
    }

    /// One publish; a stream with replicas may ask for a moment's patience.
    pub(crate) async fn try_put(&self, plan: &Plan, append: &Append) -> Result<u64, AppendError> {
        for _ in 0..TRIES {
            match self.log.append(plan, append).await {
                Err(AppendError::InFlight) => tokio::time::sleep(Duration::from_millis(5)).await,
                settled => return settled,
            }
        }
        Err(AppendError::InFlight)
    }

    pub(crate) async fn put(&self, append: &Append) -> u64 {
        self.try_put(&self.plan, append).await.unwrap()
    }

    /// A saga that has just started.
    pub(crate) async fn start(&self, name: &str) -> Tail {
        let sequence = self.put(&self.started(name, json!({ "to": "Lisbon" }))).await;
        self.tail(name, sequence).await
    }

    pub(crate) async fn tail(&self, name: &str, at_least: u64) -> Tail {
        self.log.last(&self.plan, &self.id(name), at_least).await.unwrap().unwrap()
    }

    pub(crate) async fn newest(&self, name: &str) -> Tail {
        self.tail(name, NEWEST).await
    }

    pub(crate) async fn history(&self, name: &str) -> Vec<Stored> {
        self.log.history(&self.plan, &self.id(name), NEWEST).await.unwrap()
    }

    /// `<step> <event>` of every event.
    pub(crate) async fn told(&self, name: &str) -> Vec<String> {
        told(&self.history(name).await)
    }

    /// Moves a saga on by the outcome table.
    pub(crate) async fn advance(&self, tail: &Tail, event: Event) -> Advanced {
        advance(self.log.as_ref(), &self.plan, tail, event).await.unwrap()
    }
}

pub(crate) fn told(history: &[Stored]) -> Vec<String> {
    let words = |it: &Stored| format!("{} {}", it.record.event.step, it.record.event.kind);
    history.iter().map(words).collect()
}

/// The airline, the hotels or the post did what they are there for.
pub(crate) fn done(step: &str) -> Event {
    let service = match step {
        "flight" => "airline",
        "hotel" => "hotels",
        _ => "post",
    };
    Event::new(Author::service(service), Change::done(step, json!({ "number": 7 })))
}

/// Somebody called the saga off.
pub(crate) fn cancelled() -> Event {
    Event::new(Author::Client, Change::Cancelled)
}

pub(crate) fn appended(advanced: Advanced) -> Tail {
    match advanced {
        Advanced::Appended(tail) => tail,
        other => panic!("the event is in the log: {other:?}"),
    }
}

pub(crate) fn traced() -> Trace {
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    Trace { parent: Some(parent.to_owned()), state: Some("vendor=1".to_owned()) }
}

/// Milliseconds since the epoch.
pub(crate) fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

//! A stream with its topology, an engine, and participants played by hand.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream;
use bytes::Bytes;
use jetsaga_nats::testing::{broker, replicas};
use jetsaga_nats::topology;
use saga_core::{Author, Change, Definition, Event, Plan, Step};
use saga_engine::Topology;
use saga_engine::coordinator::{Coordinator, CoordinatorHandle, Options, Retention};
use saga_engine::log::NEWEST;
use saga_engine::log::advance::{Advanced, advance};
use saga_engine::wishes::{Found, Get, WishClient};
use saga_engine::{Engine, Stored};
use serde_json::{Value, json};

pub(super) use crate::runtime::world::until;

/// What a test plays in.
pub(super) struct World {
    pub(super) client: async_nats::Client,
    pub(super) engine: Engine,
    pub(super) plan: Arc<Plan>,
    pub(super) wishes: WishClient,
}

/// Two steps that can be undone, one that cannot fail; nothing of it is late while a test runs.
pub(super) fn trip() -> Definition {
    trip_late_after(300_000)
}

/// The same, of which the first step and the last one are late soon.
pub(super) fn hasty_trip() -> Definition {
    trip_late_after(LATE_MS)
}

/// How long the first step and the last one of a [`hasty_trip`] may take: what comes in time is
/// there by then also where the server is slow.
pub(super) const LATE_MS: u64 = 1_500;

/// The same, with another time-out of these two.
pub(super) fn trip_late_after(timeout_ms: u64) -> Definition {
    Definition::new("trip", 1)
        .deadline_ms(600_000)
        .step(Step::compensable("flight", "air").timeout_ms(timeout_ms))
        .step(Step::compensable("hotel", "inn").timeout_ms(300_000))
        .step(Step::retriable("mail", "post").timeout_ms(timeout_ms))
}

impl World {
    /// In an account of its own.
    pub(super) async fn new(definition: Definition) -> Self {
        Self::on(broker().await.account().client().await, definition).await
    }

    /// On a server.
    pub(super) async fn on(client: async_nats::Client, definition: Definition) -> Self {
        let plan = Arc::new(Plan::new(definition).unwrap());
        let topology = Topology::of(&[&plan], &[], replicas(&client));
        topology::apply(&jetstream::new(client.clone()), &topology).await.unwrap();
        let engine = Engine::new(client.clone());
        engine.know(Arc::clone(&plan));
        let wishes = WishClient::new(client.clone());
        Self { client, engine, plan, wishes }
    }

    /// A coordinator that has caught up.
    pub(super) async fn coordinator(&self) -> CoordinatorHandle {
        self.coordinator_with(quick()).await
    }

    /// A coordinator that looks at the consumers often.
    pub(super) async fn watching(&self) -> CoordinatorHandle {
        let options = Options { watch_every: Duration::from_millis(200), ..quick() };
        self.coordinator_with(options).await
    }

    pub(super) async fn coordinator_with(&self, options: Options) -> CoordinatorHandle {
        let engine = Engine::new(self.client.clone());
        let coordinator = Coordinator::new(engine).saga(Arc::clone(&self.plan)).options(options);
        let handle = coordinator.start().await.unwrap();
        until("the coordinator has caught up", async || {
            let health = handle.health();
            (health.is_caught_up, health)
        })
        .await;
        handle
    }

    pub(super) async fn start(&self, id: &str) -> Stored {
        self.start_with(id, json!({})).await
    }

    pub(super) async fn start_with(&self, id: &str, input: Value) -> Stored {
        let sagas = saga_engine::Sagas::new(self.engine.clone(), Arc::clone(&self.plan));
        sagas.start(id, input, saga_engine::Trace::default()).await.unwrap().stored
    }

    /// A service, or whoever else, moves a saga on.
    pub(super) async fn act(&self, id: &str, by: Author, change: Change) -> Stored {
        let log = self.engine.log().as_ref();
        let tail = log.last(&self.plan, id, NEWEST).await.unwrap().unwrap();
        let event = Event::new(by, change);
        match advance(log, &self.plan, &tail, event).await.unwrap() {
            Advanced::Appended(tail) => tail.stored,
            other => panic!("nobody else moves {id} here: {other:?}"),
        }
    }

    pub(super) async fn done(&self, id: &str, step: &str) -> Stored {
        let service = self.plan.step(step).unwrap().service.clone();
        self.act(id, Author::service(&service), Change::done(step, json!({}))).await
    }

    pub(super) async fn undone(&self, id: &str, step: &str) -> Stored {
        let service = self.plan.step(step).unwrap().service.clone();
        self.act(id, Author::service(&service), Change::undone(step)).await
    }

    pub(super) async fn get(&self, id: &str) -> Found {
        let wish = Get { saga_type: self.plan.name().to_owned(), id: id.to_owned() };
        self.wishes.ask(&wish).await.unwrap()
    }

    pub(super) async fn history(&self, id: &str) -> Vec<Stored> {
        self.engine.log().history(&self.plan, id, NEWEST).await.unwrap()
    }

    /// `<step>.<event>.<status>` of every event.
    pub(super) async fn told(&self, id: &str) -> Vec<String> {
        let words = |stored: &Stored| {
            let record = &stored.record;
            format!("{}.{}.{}", record.event.step, record.event.kind, record.status)
        };
        self.history(id).await.iter().map(words).collect()
    }

    /// Waits until this event is told of the saga, and answers with its history up to that event.
    pub(super) async fn until_told(&self, id: &str, wanted: &str) -> Vec<Stored> {
        until(&format!("{wanted} of {id}"), async || {
            let told = self.told(id).await;
            (told.iter().any(|event| event == wanted), told)
        })
        .await;
        let position = self.told(id).await.iter().position(|event| event == wanted).unwrap();
        self.history(id).await.into_iter().take(position + 1).collect()
    }

    pub(super) async fn stream(&self) -> jetstream::stream::Stream {
        self.engine.jetstream().get_stream("SAGA_TRIP").await.unwrap()
    }
}

/// The value of a key as the bucket's leader has it; what the bucket itself would be answered could
/// come from a replica that has not heard of the last write.
pub(crate) async fn newest(context: &jetstream::Context, bucket: &str, key: &str) -> Bytes {
    let stream = context.get_stream_no_info(format!("KV_{bucket}")).await.unwrap();
    let subject = format!("$KV.{bucket}.{key}");
    stream.get_last_raw_message_by_subject(&subject).await.unwrap().payload
}

/// Quick, and nothing leaves the stream.
pub(crate) fn quick() -> Options {
    Options {
        appends_in_flight: 8,
        checkpoint_every: Duration::from_millis(100),
        clock_every: Duration::from_millis(500),
        // Nobody plays consumers in most tests: they would be reported as standing still.
        watch_every: Duration::from_hours(1),
        retention: Retention { enabled: false, ..Retention::default() },
    }
}

/// Milliseconds between two events.
pub(super) fn between(earlier: &Stored, later: &Stored) -> i64 {
    later.at_ms - earlier.at_ms
}

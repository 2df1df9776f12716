//! A stream with its topology, and services that keep their books in memory.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::jetstream::consumer;
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use futures::future::join_all;
use jetsaga_nats::testing::{broker, replicas};
use jetsaga_nats::topology;
use saga_core::{Definition, Kind, Plan, Record, Status, definition, subject};
use saga_engine::participant::StartError;
use saga_engine::{
    Answer, Engine, Job, Participant, ParticipantHandle, Sagas, Step, Stored, Topology, Trace,
    Undo, UndoAnswer, audit,
};
use serde_json::{Value, json};

use super::books::{Books, Entry};

/// Redelivered soon: in most tests nothing takes long, and what died is to come again.
const ACK_WAIT_MS: u64 = 1_500;

/// What a test plays in.
pub(crate) struct World {
    pub(crate) client: async_nats::Client,
    pub(crate) plan: Arc<Plan>,
    pub(crate) sagas: Sagas,
    pub(crate) topology: Topology,
}

/// Two steps that can be undone and one that cannot fail, each of a service of its own.
pub(crate) fn trip() -> Definition {
    let step = |step: definition::Step| step.timeout_ms(60_000).backoff(20, 200);
    Definition::new("trip", 1)
        .step(step(definition::Step::compensable("flight", "airline")))
        .step(step(definition::Step::compensable("hotel", "hotels")))
        .step(step(definition::Step::retriable("papers", "post")))
}

/// The services of [`trip`].
pub(crate) const SERVICES: [&str; 3] = ["airline", "hotels", "post"];

/// A step that always works, unless the saga's input says that it is `full`.
pub(crate) struct Deed;

impl Step for Deed {
    type Input = Value;
    type Output = Value;
    type Work = Entry;

    async fn run(&self, job: &Job<Value>) -> Answer<Value, Entry> {
        if job.input["full"] == job.step {
            return Answer::refused("full", "no room");
        }
        Answer::Done(json!({ "of": job.saga_id }), Entry::Did)
    }

    async fn undo(&self, _undo: &Undo<Value, Value>) -> UndoAnswer<Entry> {
        UndoAnswer::Undone(Entry::Undid)
    }
}

impl World {
    /// In an account of its own.
    pub(crate) async fn new(definition: Definition) -> Self {
        Self::on(broker().await.account().client().await, &[definition], ACK_WAIT_MS).await
    }

    /// On a server. The first definition is the one that is played; the service `desk` mirrors it.
    pub(crate) async fn on(
        client: async_nats::Client,
        definitions: &[Definition],
        ack_wait_ms: u64,
    ) -> Self {
        let plans: Vec<Plan> =
            definitions.iter().map(|it| Plan::new(it.clone()).unwrap()).collect();
        let plans_of = plans.iter().collect::<Vec<_>>();
        let topology = Topology::of(&plans_of, &[("trip", "desk")], replicas(&client));
        let topology = topology.with_ack_wait_ms(ack_wait_ms);
        let plan = Arc::new(plans.into_iter().next().unwrap());
        let sagas = Sagas::new(Engine::new(client.clone()), Arc::clone(&plan));
        let world = Self { client, plan, sagas, topology };
        world.apply().await;
        world
    }

    /// Makes what is missing on the server.
    pub(crate) async fn apply(&self) {
        let context = async_nats::jetstream::new(self.client.clone());
        topology::apply(&context, &self.topology).await.unwrap();
    }

    pub(crate) fn context(&self) -> async_nats::jetstream::Context {
        async_nats::jetstream::new(self.client.clone())
    }

    /// A service of the definition with all of its steps, ready to be started.
    pub(crate) fn service(&self, service: &str, books: &Books) -> Participant<Books> {
        let engine = Engine::new(self.client.clone());
        let mut participant =
            Participant::new(engine, service, books.clone()).saga(Arc::clone(&self.plan));
        for step in self.plan.steps().iter().filter(|step| step.service == service) {
            participant = participant.step(&step.name, Deed);
        }
        participant
    }

    pub(crate) async fn serve(&self, service: &str, books: &Books) -> ParticipantHandle {
        self.service(service, books).start().await.unwrap()
    }

    /// All services of [`trip`].
    pub(crate) async fn serve_all(&self, books: &Books) -> Vec<ParticipantHandle> {
        let starting = SERVICES.map(|service| self.service(service, books).start());
        let handles: Result<Vec<_>, StartError> = join_all(starting).await.into_iter().collect();
        handles.unwrap()
    }

    pub(crate) async fn start(&self, id: &str, input: Value) -> Stored {
        self.sagas.start(id, input, Trace::default()).await.unwrap().stored
    }

    /// Starts sagas, of which every fifth finds no hotel; returns their ids.
    pub(crate) async fn start_many(&self, name: &str, count: usize) -> Vec<String> {
        let ids: Vec<String> = (0..count).map(|number| format!("{name}{number}")).collect();
        let start = |(number, id): (usize, &String)| {
            let input = input(number);
            let id = id.clone();
            async move { self.start(&id, input).await }
        };
        join_all(ids.iter().enumerate().map(start)).await;
        ids
    }

    pub(crate) async fn get(&self, id: &str) -> Option<Record> {
        self.sagas.get(id).await.ok().flatten().map(|stored| stored.record)
    }

    /// Waits for the end of a saga.
    pub(crate) async fn end(&self, id: &str) -> Record {
        until(&format!("the end of {id}"), async || {
            let found = self.get(id).await;
            (found.as_ref().is_some_and(|it| it.status.is_end()), found)
        })
        .await
        .unwrap()
    }

    /// `<step> <event>` of every event that counts.
    pub(crate) async fn told(&self, id: &str) -> Vec<String> {
        let words = |it: &Stored| format!("{} {}", it.record.event.step, it.record.event.kind);
        self.history(id).await.iter().map(words).collect()
    }

    /// Every event of a saga; asks again while the stream has no leader to answer.
    pub(crate) async fn history(&self, id: &str) -> Vec<Stored> {
        let read = async || {
            let history = self.sagas.history(id).await;
            (history.is_ok(), history)
        };
        until(&format!("the history of {id}"), read).await.unwrap()
    }

    /// Waits until all sagas have ended as their input says, and finds each effect in the books
    /// once, and none besides.
    pub(crate) async fn assert_ended(&self, ids: &[String], books: &Books) {
        let mut expected = Vec::new();
        for id in ids {
            let record = self.end(id).await;
            let history = self.history(id).await;
            audit::fold(&self.plan, &history).unwrap();
            let full = record.input["full"].as_str();
            let wanted = if full.is_some() { Status::RolledBack } else { Status::Completed };
            assert_eq!(record.status, wanted, "{id}: {record:?}");
            for step in self.plan.steps().iter().take_while(|step| full != Some(&step.name)) {
                expected.push((id.clone(), step.name.clone(), Entry::Did));
                if full.is_some() && step.kind == Kind::Compensable {
                    expected.push((id.clone(), step.name.clone(), Entry::Undid));
                }
            }
        }
        expected.sort();
        assert_eq!(books.entries(), expected);
    }

    /// The subject of an event of a saga: `<n>.<step>.<event>.<status>`.
    #[expect(clippy::unused_self, reason = "it reads like its neighbours")]
    pub(crate) fn subject(&self, id: &str, event: &str) -> String {
        subject::filter("trip", id).replace('>', event)
    }

    /// Writes past the guard, as nobody may; returns the sequence.
    pub(crate) async fn write(&self, subject: String, payload: impl Into<Vec<u8>>) -> u64 {
        let payload: Vec<u8> = payload.into();
        let publish = self.context().publish(subject, payload.into()).await;
        publish.unwrap().await.unwrap().sequence
    }

    /// Writes a record past the guard, under its own subject.
    pub(crate) async fn slip(&self, record: &Record) -> u64 {
        self.write(subject::of("trip", record), record.to_json()).await
    }

    /// What the server says of this consumer; asks again while it has no leader to answer.
    pub(crate) async fn consumer(&self, name: &str) -> consumer::Info {
        let stream = self.context().get_stream_no_info("SAGA_TRIP").await.unwrap();
        until(&format!("an answer about {name}"), async || {
            let info = stream.consumer_info(name).await;
            (info.is_ok(), info)
        })
        .await
        .unwrap()
    }

    /// Waits until this consumer has delivered whatever it is to deliver of what the stream holds,
    /// and nothing is in hand. That nothing is pending does not say so by itself: on a cluster the
    /// consumer's leader may not have heard yet of what the stream's leader acknowledged.
    pub(crate) async fn drained(&self, name: &str) {
        let consumer = self.topology.consumers.iter().find(|it| it.name == name);
        let filters = &consumer.unwrap_or_else(|| panic!("no consumer {name}")).filters;
        until(&format!("the end of what {name} has to do"), async || {
            let last = join_all(filters.iter().map(|filter| self.last_of(filter))).await;
            let last = last.into_iter().max().unwrap_or_default();
            let info = self.consumer(name).await;
            let left = (info.num_pending, info.num_ack_pending);
            let delivered = info.delivered.stream_sequence;
            (left == (0, 0) && delivered >= last, (left, delivered, last))
        })
        .await;
    }

    /// The sequence of the last message under this filter, as the stream's leader knows it; 0 if
    /// there is none.
    async fn last_of(&self, filter: &str) -> u64 {
        let stream = self.context().get_stream_no_info("SAGA_TRIP").await.unwrap();
        until(&format!("the last message of {filter}"), async || {
            match stream.get_last_raw_message_by_subject(filter).await {
                Ok(message) => (true, Ok(message.sequence)),
                Err(why) if why.kind() == LastRawMessageErrorKind::NoMessageFound => (true, Ok(0)),
                Err(why) => (false, Err(why)),
            }
        })
        .await
        .unwrap()
    }

    /// The same for all consumers beside the forward one through which a service takes part.
    pub(crate) async fn drained_backward(&self, service: &str) {
        for (name, _) in subject::backward_consumers(&self.plan, self.plan.name(), service) {
            self.drained(&name).await;
        }
    }

    /// The same for all consumers through which the services of [`trip`] take part.
    pub(crate) async fn services_drained(&self) {
        for service in SERVICES {
            self.drained(service).await;
            self.drained_backward(service).await;
        }
    }

    /// The same for all consumers of the service that mirrors endings.
    pub(crate) async fn drained_endings(&self) {
        for name in subject::consumer::endings("desk") {
            self.drained(&name).await;
        }
    }
}

/// The input of the saga of this number: every fifth finds no hotel.
pub(crate) fn input(number: usize) -> Value {
    if number % 5 == 4 { json!({ "full": "hotel" }) } else { json!({}) }
}

/// How long a condition may take to come true; a server may start again meanwhile.
const PATIENCE: Duration = Duration::from_mins(1);

/// Waits for a condition, and says what was seen last when it does not come true.
pub(crate) async fn until<T: Debug>(what: &str, mut look: impl AsyncFnMut() -> (bool, T)) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        let (is_true, seen) = look().await;
        if is_true {
            return seen;
        }
        assert!(Instant::now() < end, "{what}: not within {PATIENCE:?}; last seen: {seen:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

//! The engine alone: three services with one step each that does nothing, without a database.

use std::sync::Arc;
use std::time::Duration;

use jetsaga_nats::topology;
use saga_core::{Definition, Plan, Status, Step, subject};
use saga_engine::coordinator::{Coordinator, CoordinatorHandle, Options, Retention};
use saga_engine::testing::MemoryBarrier;
use saga_engine::{
    Answer, Engine, Hub, Job, Participant, ParticipantHandle, Sagas, Topology, Trace, Undo,
    UndoAnswer,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::figure::{Failure, Figure, Outcome, closed_loop};
use super::process::Meter;
use super::report::Report;

/// Longest wait for the end of one saga.
const PATIENCE: Duration = Duration::from_secs(30);
/// Events of a saga that completes: its start and three steps.
const EVENTS: f64 = 4.0;
/// The durability of one server with its default settings.
pub(crate) const R1: &str = "R1, file, synced every 2 min";
/// The step that refuses, in sagas that are rolled back.
const FOURTH: &str = "d";
/// Finished sagas leave the stream while the figures are measured.
const KEPT: Retention =
    Retention { enabled: true, grace: Duration::from_secs(2), retention: Duration::from_secs(4) };

/// A step that does nothing; the fourth refuses.
struct Nothing;

impl saga_engine::Step for Nothing {
    type Input = Value;
    type Output = Value;
    type Work = ();

    async fn run(&self, job: &Job<Value>) -> Answer<Value, ()> {
        if job.step == FOURTH {
            return Answer::refused("refused", "the bench wishes it");
        }
        Answer::Done(json!({ "note": "done" }), ())
    }

    async fn undo(&self, _: &Undo<Value, Value>) -> UndoAnswer<()> {
        UndoAnswer::Undone(())
    }
}

/// What each saga is started with.
fn input() -> Value {
    json!({ "customer": "ada", "amount": 1_180, "pad": "x".repeat(100) })
}

/// Three services, two coordinators, and a client, each with a connection of its own, as in
/// processes of their own.
pub(crate) struct Engines {
    sagas: Sagas,
    ends: Status,
    participants: Vec<ParticipantHandle>,
    coordinators: Vec<CoordinatorHandle>,
}

impl Engines {
    /// Sagas that end like this: completed, or rolled back by a fourth step.
    pub(crate) async fn start(url: &str, replicas: u32, ends: Status) -> Result<Self, Failure> {
        let (name, services): (_, &[&str]) = match ends {
            Status::RolledBack => ("back", &["a", "b", "c", FOURTH]),
            _ => ("done", &["a", "b", "c"]),
        };
        let definition = services.iter().fold(Definition::new(name, 1), |definition, name| {
            definition.step(Step::compensable(name, name).timeout_ms(60_000))
        });
        let plan = Arc::new(Plan::new(definition)?);
        let engine = Engine::new(jetsaga_nats::connect_as(url, "bench").await?);
        topology::apply(engine.jetstream(), &Topology::of(&[&plan], &[], replicas)).await?;
        engine.register(Arc::clone(&plan)).await?;
        let mut participants = Vec::new();
        for service in services {
            let engine = Engine::new(jetsaga_nats::connect_as(url, service).await?);
            let barrier = MemoryBarrier::<()>::default();
            let participant = Participant::new(engine, service, barrier)
                .saga(Arc::clone(&plan))
                .step(service, Nothing);
            participants.push(participant.start().await?);
        }
        let mut coordinators = Vec::new();
        for _ in 0..2 {
            let own = Engine::new(jetsaga_nats::connect_as(url, "coordinator").await?);
            let options = Options { retention: KEPT, ..Options::default() };
            let coordinator = Coordinator::new(own).saga(Arc::clone(&plan)).options(options);
            coordinators.push(coordinator.start().await?);
        }
        let hub = Hub::start(engine, plan, &CancellationToken::new()).await?;
        Ok(Self { sagas: Sagas::following(hub), ends, participants, coordinators })
    }

    /// Starts sagas and waits for their ends.
    pub(crate) async fn measure(&self, in_flight: usize, duration: Duration) -> Figure {
        let (sagas, ends) = (self.sagas.clone(), self.ends);
        closed_loop(in_flight, duration, move |n| {
            let (sagas, id) = (sagas.clone(), format!("s{in_flight}-{n}"));
            async move {
                let (_, mut follower) =
                    sagas.start_and_follow(&id, input(), Trace::default()).await?;
                let end = follower.end(PATIENCE).await?.ok_or("a saga did not end")?;
                if end.record.status == ends {
                    return Ok(Outcome::Done);
                }
                Err(format!("it ended {}", end.record.status).into())
            }
        })
        .await
    }

    /// Bytes of a message, headers included: what the stream needs for each of one saga's.
    async fn message(&self, url: &str) -> Result<usize, Failure> {
        let client = jetsaga_nats::connect_as(url, "raw").await?;
        let stream = subject::stream(self.sagas.plan().name(), None);
        let stream = async_nats::jetstream::new(client).get_stream(stream).await?;
        let (id, input) = ("size", input());
        let (_, mut follower) = self.sagas.start_and_follow(id, input, Trace::default()).await?;
        follower.end(PATIENCE).await?.ok_or("a saga did not end")?;
        let state = stream.get_info().await?.state;
        let messages = Some(state.messages).filter(|messages| *messages > 0);
        let messages = messages.ok_or("the stream is empty: retention was faster")?;
        Ok(usize::try_from(state.bytes / messages)?)
    }

    pub(crate) async fn stop(self) {
        for participant in self.participants {
            participant.shutdown(Duration::from_secs(5)).await;
        }
        for coordinator in self.coordinators {
            coordinator.shutdown().await;
        }
    }
}

/// Figures a, b and c.
pub(crate) async fn figures(report: &mut Report, duration: Duration) -> Result<(), Failure> {
    let durability = R1;
    let directory = tempfile::tempdir()?;
    let server = super::server(directory.path()).await?;
    let engines = Engines::start(server.url(), 1, Status::Completed).await?;
    let bytes = engines.message(server.url()).await?;
    let raw = raw_publishes(server.url(), bytes, duration).await?;
    let what = format!("raw publishes of {bytes} bytes, 1000 in flight");
    report.row("a", &what, &raw, durability, "the limit");
    let goals = [(1, "p50 at most 2 ms"), (64, "0.19 of a"), (1_000, "0.27 of a")];
    let mut best = 0.0;
    for (in_flight, goal) in goals {
        let meter = Meter::start();
        let figure = engines.measure(in_flight, duration).await;
        let ratio = figure.per_second() * EVENTS / raw.per_second();
        best = figure.per_second();
        let note =
            format!("messages {ratio:.2} of a (goal: {goal}); {}", meter.per(&figure, "saga"));
        let what = format!("sagas of 3 no-op steps, {in_flight} in flight");
        report.row("b", &what, &figure, durability, &note);
    }
    engines.stop().await;
    let engines = Engines::start(server.url(), 1, Status::RolledBack).await?;
    for in_flight in [64, 1_000] {
        let meter = Meter::start();
        let figure = engines.measure(in_flight, duration).await;
        let ratio = figure.per_second() / best;
        let note = format!("{ratio:.2} of b (goal: 0.5); {}", meter.per(&figure, "saga"));
        let what = format!("the same, rolled back by a fourth, {in_flight} in flight");
        report.row("c", &what, &figure, durability, &note);
    }
    engines.stop().await;
    server.stop().await;
    Ok(())
}

/// Figure d: three replicas, each message forced to three disks, all on this machine.
pub(crate) async fn replicated(report: &mut Report, duration: Duration) -> Result<(), Failure> {
    let durability = "R3, each message synced to disk";
    let cluster = jetsaga_nats::testing::own_cluster_of_processes().await;
    let engines = Engines::start(&cluster.url(), 3, Status::Completed).await?;
    for (in_flight, goal) in [(64, "none"), (1_000, "2,000/s")] {
        let figure = engines.measure(in_flight, duration).await;
        let what = format!("sagas of 3 no-op steps on three servers, {in_flight} in flight");
        report.row("d", &what, &figure, durability, &format!("goal: {goal}"));
    }
    engines.stop().await;
    Ok(())
}

async fn raw_publishes(url: &str, bytes: usize, duration: Duration) -> Result<Figure, Failure> {
    let client = jetsaga_nats::connect_as(url, "raw").await?;
    let context = async_nats::jetstream::new(client);
    let config = async_nats::jetstream::stream::Config {
        name: "RAW".to_owned(),
        subjects: vec!["raw.>".to_owned()],
        ..Default::default()
    };
    context.create_stream(config).await?;
    let (publisher, payload) = (context.clone(), "x".repeat(bytes));
    let figure = closed_loop(1_000, duration, move |n| {
        let (context, payload) = (publisher.clone(), payload.clone());
        async move {
            context.publish(format!("raw.{n}"), payload.into()).await?.await?;
            Ok(Outcome::Done)
        }
    })
    .await;
    context.delete_stream("RAW").await?;
    Ok(figure)
}

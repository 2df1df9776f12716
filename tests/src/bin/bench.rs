//! `just bench`: how fast it is, measured in one run, with the durability beside each figure.
//!
//! Everything runs on one machine: server, services, load. Numbers of two machines cannot be
//! compared; the ratio of sagas to raw publishes can.

#![expect(clippy::print_stdout, reason = "its output is its purpose")]
#![expect(clippy::float_arithmetic, reason = "rates are fractions; nothing here is money")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use hdrhistogram::Histogram;
use jetsaga_nats::launcher::{Launcher, Options, Server};
use jetsaga_nats::topology;
use jetsaga_tests::harness::{Setup, Shop, order};
use saga_core::{Definition, Plan, Step};
use saga_engine::testing::MemoryBarrier;
use saga_engine::{
    Answer, Engine, Hub, Job, Participant, ParticipantHandle, Sagas, Topology, Trace, Undo,
    UndoAnswer,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// How long each figure is measured.
const MEASURED: Duration = Duration::from_secs(5);
/// Bytes of a saga message, about: a record with a small input and three outputs.
const MESSAGE: usize = 600;
/// Longest wait for the end of one saga.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a figure says.
struct Figure {
    per_second: f64,
    p50: Duration,
    p99: Duration,
}

impl Figure {
    fn row(&self, what: &str, durability: &str) {
        let milliseconds = |time: Duration| time.as_secs_f64() * 1_000.0;
        println!(
            "| {what} | {:.0} | {:.1} | {:.1} | {durability} |",
            self.per_second,
            milliseconds(self.p50),
            milliseconds(self.p99),
        );
    }
}

/// Keeps `in_flight` works going for a while and counts those that end.
async fn closed_loop<F>(in_flight: usize, work: impl Fn(usize) -> F) -> Figure
where
    F: Future<Output = Result<(), Failure>>,
{
    let begun = Instant::now();
    let next = AtomicUsize::new(0);
    let workers = (0..in_flight).map(|_| async {
        let mut times: Vec<Duration> = Vec::new();
        while begun.elapsed() < MEASURED {
            let from = Instant::now();
            if work(next.fetch_add(1, Ordering::Relaxed)).await.is_ok() {
                times.push(from.elapsed());
            }
        }
        times
    });
    let times: Vec<Duration> = join_all(workers).await.into_iter().flatten().collect();
    let elapsed = begun.elapsed();
    let mut histogram = Histogram::<u64>::new_with_max(600_000_000, 3)
        .expect("three significant digits are possible");
    for time in &times {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        // Ten minutes are more than anything here may take.
        histogram.saturating_record(micros.max(1));
    }
    let at = |quantile| Duration::from_micros(histogram.value_at_quantile(quantile));
    let count = u32::try_from(times.len()).unwrap_or(u32::MAX);
    Figure { per_second: f64::from(count) / elapsed.as_secs_f64(), p50: at(0.5), p99: at(0.99) }
}

async fn server(directory: &std::path::Path) -> Result<Server, Failure> {
    Ok(Launcher::new(Options::new(directory.join("nats"))).start().await?)
}

/// A step that does nothing.
struct Nothing;

impl saga_engine::Step for Nothing {
    type Input = Value;
    type Output = Value;
    type Work = ();

    async fn run(&self, _: &Job<Value>) -> Answer<Value, ()> {
        Answer::Done(json!({ "note": "done" }), ())
    }

    async fn undo(&self, _: &Undo<Value, Value>) -> UndoAnswer<()> {
        UndoAnswer::Undone(())
    }
}

/// Three services with one step each, a coordinator, and a client.
struct Bench {
    sagas: Sagas,
    participants: Vec<ParticipantHandle>,
    coordinator: saga_engine::coordinator::CoordinatorHandle,
}

impl Bench {
    async fn start(url: &str) -> Result<Self, Failure> {
        let step = |name: &str| Step::compensable(name, name).timeout_ms(60_000);
        let definition =
            Definition::new("bench", 1).step(step("a")).step(step("b")).step(step("c"));
        let plan = Arc::new(Plan::new(definition)?);
        let engine = Engine::new(jetsaga_nats::connect_as(url, "bench").await?);
        topology::apply(engine.jetstream(), &Topology::of(&[&plan], &[], 1)).await?;
        engine.register(Arc::clone(&plan)).await?;
        let mut participants = Vec::new();
        for service in ["a", "b", "c"] {
            // Every service has a connection of its own, as in a process of its own.
            let engine = Engine::new(jetsaga_nats::connect_as(url, service).await?);
            let barrier = MemoryBarrier::<()>::default();
            let participant = Participant::new(engine, service, barrier)
                .saga(Arc::clone(&plan))
                .step(service, Nothing);
            participants.push(participant.start().await?);
        }
        let own = Engine::new(jetsaga_nats::connect_as(url, "coordinator").await?);
        let coordinator =
            saga_engine::coordinator::Coordinator::new(own).saga(Arc::clone(&plan)).start().await?;
        let hub = Hub::start(engine.clone(), Arc::clone(&plan), &CancellationToken::new()).await?;
        Ok(Self { sagas: Sagas::following(hub), participants, coordinator })
    }

    async fn one(&self, id: &str) -> Result<(), Failure> {
        let input = json!({ "customer": "ada", "amount": 1_180, "pad": "x".repeat(100) });
        let (_, mut follower) = self.sagas.start_and_follow(id, input, Trace::default()).await?;
        let end = follower.end(PATIENCE).await?;
        end.map(drop).ok_or_else(|| "a saga did not end".into())
    }

    async fn stop(self) {
        for participant in self.participants {
            participant.shutdown(Duration::from_secs(5)).await;
        }
        self.coordinator.shutdown().await;
    }
}

async fn engine_figures() -> Result<(), Failure> {
    let directory = tempfile::tempdir()?;
    let server = server(directory.path()).await?;
    let durability = "JetStream R1, file, synced every 2 min";
    let raw = raw_publishes(server.url()).await?;
    raw.row("a. raw publishes of 600 B, 1000 in flight", durability);
    let bench = Bench::start(server.url()).await?;
    let mut ratio = 0.0;
    for in_flight in [1, 64, 1_000] {
        let figure = closed_loop(in_flight, |n| {
            let (id, bench) = (format!("s{in_flight}-{n}"), &bench);
            async move { bench.one(&id).await }
        })
        .await;
        figure.row(&format!("b. engine sagas, 3 no-op steps, {in_flight} in flight"), durability);
        ratio = figure.per_second * 4.0 / raw.per_second;
    }
    println!("\nEngine messages are {ratio:.2} of the raw publishes at 1000 in flight.\n");
    bench.stop().await;
    server.stop().await;
    Ok(())
}

async fn raw_publishes(url: &str) -> Result<Figure, Failure> {
    let client = jetsaga_nats::connect_as(url, "raw").await?;
    let context = async_nats::jetstream::new(client);
    let config = async_nats::jetstream::stream::Config {
        name: "RAW".to_owned(),
        subjects: vec!["raw.>".to_owned()],
        ..Default::default()
    };
    context.create_stream(config).await?;
    let payload = "x".repeat(MESSAGE);
    let figure = closed_loop(1_000, |n| {
        let (context, payload) = (context.clone(), payload.clone());
        async move {
            context.publish(format!("raw.{n}"), payload.into()).await?.await?;
            Ok(())
        }
    })
    .await;
    context.delete_stream("RAW").await?;
    Ok(figure)
}

async fn order_figures() -> Result<(), Failure> {
    let durability = "JetStream as above; SurrealKV synced at each commit";
    let shop = Shop::with(Setup { store: "embedded", ..Setup::default() }).await;
    let body = order("pm_card_visa", &[("tea-assam", 1)]);
    for in_flight in [1, 16, 128] {
        let figure = closed_loop(in_flight, |_| {
            let (shop, body) = (&shop, &body);
            async move {
                let request = shop.request(reqwest::Method::POST, "/v1/orders");
                let request = request.header("Prefer", "wait=30").json(body);
                let answer = request.send().await?;
                if answer.status() == reqwest::StatusCode::CREATED {
                    return Ok(());
                }
                Err(format!("an order was answered with {}", answer.status()).into())
            }
        })
        .await;
        figure.row(&format!("c. orders through HTTP, closed loop of {in_flight}"), durability);
    }
    shop.stop().await;
    Ok(())
}

fn main() -> Result<(), Failure> {
    let build =
        if cfg!(debug_assertions) { "debug build: not a measurement" } else { "release build" };
    let cores = std::thread::available_parallelism()?;
    println!(
        "{cores} cores, {build}, nats-server beside it, {} s per figure\n",
        MEASURED.as_secs()
    );
    println!("| what | per second | p50 ms | p99 ms | durability |\n|---|---|---|---|---|");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(16 * 1024 * 1024)
        .build()?;
    runtime.block_on(async {
        Box::pin(engine_figures()).await?;
        Box::pin(order_figures()).await
    })
}

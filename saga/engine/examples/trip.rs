//! A trip: book a flight, book a hotel, send the papers. Where the hotel is full, the flight is
//! cancelled again. It uses the NATS server that `NATS_URL` names, or starts one of its own.
#![expect(clippy::print_stdout, reason = "it shows what happens")]

use std::{error::Error, sync::Arc, time::Duration};

use jetsaga_nats::launcher::{Launcher, Options};
use saga_core::{Definition, Plan, definition};
use saga_engine::{Answer, Job, KvBarrier, Participant, Step, Undo, UndoAnswer};
use saga_engine::{Engine, Sagas, Stored, Topology, Trace, coordinator::Coordinator};

/// The saga: steps in order, the service of each, and how long it may take.
fn trip() -> Definition {
    Definition::new("trip", 1)
        .step(definition::Step::compensable("flight", "airline").timeout_ms(10_000))
        .step(definition::Step::compensable("hotel", "hotels").timeout_ms(10_000))
        .step(definition::Step::retriable("papers", "post").timeout_ms(60_000))
}

#[derive(serde::Deserialize)]
struct Trip {
    to: String,
}

/// Somebody else's service: it is called with a key, and undoes what it did under that key.
struct Provider;

impl Step for Provider {
    type Input = Trip;
    type Output = String;
    type Work = (); // What to commit in a database of our own: there is none.

    fn outside(&self) -> Option<Duration> {
        Some(Duration::from_secs(2))
    }

    async fn run(&self, job: &Job<Trip>) -> Answer<String, ()> {
        if job.step == "hotel" && job.input.to == "Atlantis" {
            return Answer::refused("full", "no room above water");
        }
        println!("call: do {}", job.effect_id);
        Answer::Done(format!("{} to {}", job.step, job.input.to), ())
    }

    async fn undo(&self, undo: &Undo<Trip, String>) -> UndoAnswer<()> {
        println!("call: undo {}", undo.job.effect_id);
        UndoAnswer::Undone(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let streams = tempfile::tempdir()?;
    let server = Launcher::new(Options::from_env(streams.path())).start().await?;
    let engine = Engine::new(jetsaga_nats::connect_as(server.url(), "trip").await?);
    let plan = Arc::new(Plan::new(trip())?);
    let topology = Topology::of(&[&plan], &[], 1);
    jetsaga_nats::topology::apply(engine.jetstream(), &topology).await?;

    let mut services = Vec::new(); // Here in one process; each may as well be a program of its own.
    for (service, step) in [("airline", "flight"), ("hotels", "hotel"), ("post", "papers")] {
        let service = Participant::new(engine.clone(), service, KvBarrier::open(&engine).await?);
        services.push(service.saga(plan.clone()).step(step, Provider).start().await?);
    }
    let coordinator = Coordinator::new(engine.clone()).saga(plan.clone()).start().await?;

    let sagas = Sagas::new(engine, plan);
    for city in ["Lisbon", "Atlantis"] {
        sagas.start(city, serde_json::json!({ "to": city }), Trace::default()).await?;
        sagas.wait_for_end(city, Duration::from_secs(30)).await?;
        for Stored { record, .. } in sagas.history(city).await? {
            let event = &record.event;
            println!("{city} {:03}: {} {}, {}", record.n, event.step, event.kind, record.status);
        }
    }
    coordinator.shutdown().await;
    server.stop().await;
    Ok(())
}

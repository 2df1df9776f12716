//! The audit over the key-value barrier, whose rows anybody with the `nats` CLI can damage.

use std::sync::Arc;
use std::time::Duration;

use saga_core::{Definition, definition};
use saga_engine::{
    Answer, Engine, Job, KvBarrier, Participant, Step, Undo, UndoAnswer, audit, topology,
};
use serde_json::{Value, json};

use super::super::coordinator::world::newest;
use super::super::runtime::world::World;
use super::told;

struct Call;

impl Step for Call {
    type Input = Value;
    type Output = Value;
    type Work = ();

    fn outside(&self) -> Option<Duration> {
        Some(Duration::from_secs(1))
    }

    async fn run(&self, _job: &Job<Value>) -> Answer<Value, ()> {
        Answer::Done(json!({ "seat": "1A" }), ())
    }

    async fn undo(&self, _undo: &Undo<Value, Value>) -> UndoAnswer<()> {
        UndoAnswer::Undone(())
    }
}

#[tokio::test]
async fn rows_in_the_bucket_are_compared() {
    let step = definition::Step::compensable("flight", "airline").timeout_ms(60_000);
    let world = World::new(Definition::new("trip", 1).step(step)).await;
    let engine = Engine::new(world.client.clone());
    let barrier = KvBarrier::open(&engine).await.unwrap();
    let airline = Participant::new(engine.clone(), "airline", barrier);
    let airline = airline.saga(Arc::clone(&world.plan)).step("flight", Call).start().await.unwrap();
    for id in ["a", "b", "c"] {
        world.start(id, json!({})).await;
        world.end(id).await;
    }
    world
        .context()
        .get_stream("SAGA_TRIP")
        .await
        .unwrap()
        .delete_consumer("desk-end")
        .await
        .unwrap();
    let audit = async || audit::world(&engine, &[Arc::clone(&world.plan)]).await.unwrap();
    assert_eq!(audit().await.findings, []);

    let bucket = engine.jetstream().get_key_value(topology::BARRIER).await.unwrap();
    bucket.delete("trip.a.flight").await.unwrap();
    let row = newest(engine.jetstream(), topology::BARRIER, "trip.b.flight").await;
    let row = String::from_utf8(row.to_vec()).unwrap().replace("1A", "9Z");
    bucket.put("trip.b.flight", row.into()).await.unwrap();
    let expected = [
        "row a/flight by airline: the log says done, and there is no row",
        "row b/flight by airline: the row has another output than the log",
    ];
    assert_eq!(told(&audit().await), expected);

    // A row that is none at all: nothing can be said of any of them.
    bucket.put("trip.c.flight", "?".into()).await.unwrap();
    let found = told(&audit().await);
    assert!(found[0].starts_with("unchecked -/- by airline: "), "{found:?}");
    assert!(found[0].contains("trip.c.flight"), "{found:?}");
    airline.shutdown(Duration::from_secs(5)).await;
}

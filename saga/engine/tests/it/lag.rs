//! Replicas that lag behind: whoever reads after an answer finds what the answer said, whichever
//! server it is connected to.
//!
//! One client is connected to a stream's leader, the other one to a server that hears of all changes
//! later. What that server answers by itself is old, which is shown first.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test's helpers cannot do, the test cannot either"
)]

use std::sync::Arc;
use std::time::Duration;

use async_nats::Client;
use futures::future::try_join_all;
use jetsaga_nats::connect_as;
use jetsaga_nats::testing::{LaggingCluster, OwnCluster, lagging_cluster, replicas};
use jetsaga_nats::topology::apply;
use saga_core::barrier::{Key, Row};
use saga_core::{Plan, Status};
use saga_engine::barrier::Change;
use saga_engine::coordinator::Coordinator;
use saga_engine::log::jetstream::JetStreamLog;
use saga_engine::wishes::{Cancel, Moved, WishClient};
use saga_engine::{
    Barrier as _, DefinitionError, Engine, KvBarrier, Sagas, Topology, Trace, topology,
};
use serde_json::json;

use crate::coordinator::world::quick;
use crate::log::bed::{Bed, appended, done, trip};
use crate::runtime::world::until;

/// How long what a leader tells its replicas takes.
const LAG: Duration = Duration::from_millis(100);
/// How often it is looked whether a replica is behind.
const LOOKS: u32 = 20;
/// How often each case is played: the leader may answer, too, and does so to every third request.
const ROUNDS: u32 = 2;

/// A cluster, and a client of each of its servers.
struct World {
    cluster: LaggingCluster,
    clients: [Client; 3],
    plan: Arc<Plan>,
}

/// Two ends of a cluster, as a stream has them.
struct Ends {
    /// Connected to the stream's leader.
    writer: Client,
    /// Connected to a server whose replica lags.
    reader: Client,
}

impl World {
    async fn new() -> Self {
        let cluster = lagging_cluster().await;
        let clients = try_join_all([1, 2, 3].map(|it| connect_as(cluster.url_of(it), "lag"))).await;
        let clients: [Client; 3] = clients.unwrap().try_into().unwrap();
        let plan = Arc::new(Plan::new(trip()).unwrap());
        let wanted = Topology::of(&[&plan], &[], replicas(&clients[0]));
        apply(&async_nats::jetstream::new(clients[0].clone()), &wanted).await.unwrap();
        Self { cluster, clients, plan }
    }

    /// The ends of a stream; of a bucket, by the name of its stream.
    async fn ends(&self, stream: &str) -> Ends {
        let context = async_nats::jetstream::new(self.clients[0].clone());
        let leader = until("a leader", async || {
            let info = context.get_stream(stream).await;
            let leader = info.ok().and_then(|it| it.cached_info().cluster.clone()?.leader);
            (leader.is_some(), leader)
        })
        .await;
        let leader = OwnCluster::number(&leader.unwrap()) - 1;
        let [writer, reader] = [leader, leader + 1].map(|it| self.clients[it % 3].clone());
        Ends { writer, reader }
    }
}

impl Ends {
    fn engines(&self) -> [Engine; 2] {
        [&self.writer, &self.reader].map(|client| Engine::new(client.clone()))
    }
}

#[tokio::test]
async fn what_was_answered_is_found_by_whoever_reads_from_a_replica_that_lags() {
    let world = World::new().await;
    let saga = world.ends("SAGA_TRIP").await;
    let definitions = world.ends(&format!("KV_{}", topology::DEFINITIONS)).await;
    let barrier = world.ends(&format!("KV_{}", topology::BARRIER)).await;
    let coordinator = Coordinator::new(Engine::new(saga.reader.clone()));
    let running = coordinator.saga(Arc::clone(&world.plan)).options(quick()).start().await.unwrap();
    until("the coordinator has caught up", async || {
        let health = running.health();
        (health.is_caught_up, health)
    })
    .await;
    world.cluster.lag(LAG);

    replicas_are_behind(&definitions).await;
    for round in 0..ROUNDS {
        a_saga(&saga, &world.plan, round).await;
        a_wish(&saga, &world.plan, round).await;
        a_definition(&definitions, round).await;
        a_row(&barrier, round).await;
    }
    running.shutdown().await;
}

/// What a replica says by itself is old: else nothing here would mean anything.
async fn replicas_are_behind(ends: &Ends) {
    let bucket = async |client: &Client| {
        let context = async_nats::jetstream::new(client.clone());
        context.get_key_value(topology::DEFINITIONS).await.unwrap()
    };
    let (written, read) = (bucket(&ends.writer).await, bucket(&ends.reader).await);
    for number in 0..LOOKS {
        let key = format!("nothing{number}.1");
        written.put(&key, "{}".into()).await.unwrap();
        let found = read.get(&key).await.unwrap();
        written.delete(&key).await.unwrap();
        if found.is_none() {
            return;
        }
    }
    panic!("the replica was never behind in {LOOKS} looks");
}

/// A saga that was just started, and moved on.
async fn a_saga(ends: &Ends, plan: &Arc<Plan>, round: u32) {
    let [written, read] = ends.engines().map(|engine| Sagas::new(engine, Arc::clone(plan)));
    let bed = Bed::new(Arc::new(JetStreamLog::new(ends.writer.clone())));
    let (id, input) = (format!("moved{round}"), json!({ "to": "Lisbon" }));
    let started = written.start(&id, input.clone(), Trace::default()).await.unwrap().stored;
    let found = read.get(&id).await.unwrap().map(|it| it.record);
    assert_eq!(found.as_ref(), Some(&started.record));

    let tail = appended(bed.advance(&started.into(), done("flight")).await);
    assert_eq!(read.history(&id).await.unwrap().len(), 2);

    let tail = appended(bed.advance(&tail, done("hotel")).await);
    let again = read.start(&id, input, Trace::default()).await.unwrap();
    assert!(again.replayed);
    assert_eq!(again.stored.record, tail.stored.record, "it tells where the saga is now");
}

/// A wish about a saga of which its coordinator's server has not heard.
async fn a_wish(ends: &Ends, plan: &Arc<Plan>, round: u32) {
    let (id, saga_type) = (format!("cancelled{round}"), plan.name().to_owned());
    let [engine, _] = ends.engines();
    let (written, wishes) =
        (Sagas::new(engine, Arc::clone(plan)), WishClient::new(ends.reader.clone()));
    written.start(&id, json!({ "to": "Lisbon" }), Trace::default()).await.unwrap();
    let (actor, reason) = ("ann".to_owned(), "changed her mind".to_owned());
    let moved: Moved = wishes.ask(&Cancel { saga_type, id, actor, reason }).await.unwrap();
    assert_eq!(moved.status, Status::RollingBack);
}

/// A definition that was just registered.
async fn a_definition(ends: &Ends, round: u32) {
    let [writer, reader] = ends.engines();
    let name = format!("tour{round}");
    let tour = |version, deadline_ms| {
        let mut definition = trip();
        (definition.version, definition.deadline_ms) = (version, deadline_ms);
        definition.name.clone_from(&name);
        Arc::new(Plan::new(definition).unwrap())
    };
    writer.register(tour(1, 60_000)).await.unwrap();
    let changed = reader.register(tour(1, 50_000)).await.unwrap_err();
    assert!(matches!(&changed, DefinitionError::Changed { version: 1, .. }), "{changed}");

    writer.register(tour(2, 60_000)).await.unwrap();
    assert_eq!(reader.plan(&name, 2).await.unwrap().version(), 2);

    writer.register(tour(3, 60_000)).await.unwrap();
    let all = reader.registered().await.unwrap();
    let versions: Vec<_> =
        all.iter().filter(|it| it.name() == name).map(|it| it.version()).collect();
    assert_eq!(versions, [1, 2, 3]);
}

/// A row of a barrier that was just written, and written over.
async fn a_row(ends: &Ends, round: u32) {
    let [writer, reader] = ends.engines();
    let written = KvBarrier::open(&writer).await.unwrap();
    let read = KvBarrier::open(&reader).await.unwrap();
    let key = Key::new("trip", &format!("row{round}"), "flight");
    let mut seen = None;
    for output in [1, 2] {
        let row = Row::done("sha256:0", json!({ "number": output }));
        let change = Change { key: key.clone(), seen: seen.take(), row: row.clone(), work: () };
        written.commit(vec![change]).await.remove(0).unwrap();
        let found = read.read(std::slice::from_ref(&key)).await.unwrap().remove(0);
        assert_eq!(found.as_ref(), Some(&row));
        seen = Some(row);
    }
}

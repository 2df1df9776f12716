//! Replicas that lag behind: whoever reads after an answer finds what the answer said, whichever
//! server it is connected to.
//!
//! One client is connected to the leader of everything, the other one to a server that hears of all
//! changes later. What the server answers by itself there is old, which is shown first.

#![expect(clippy::unwrap_used, reason = "what a test's helpers cannot do, the test cannot either")]

use std::sync::Arc;
use std::time::Duration;

use async_nats::Client;
use futures::TryStreamExt as _;
use jetsaga_nats::testing::{LaggingCluster, lagging_cluster, replicas};
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
/// The server that leads all streams.
const LEADER: usize = 1;
/// One that hears of things later.
const FOLLOWER: usize = 2;
/// How often it is looked whether a replica is behind.
const LOOKS: u32 = 20;
/// How often each case is played: the leader may answer, too, and does so to every third request.
const ROUNDS: u32 = 4;

/// Two ends of a cluster.
struct World {
    cluster: LaggingCluster,
    /// Connected to the leader of all streams.
    writer: Client,
    /// Connected to a server whose replicas lag.
    reader: Client,
    bed: Bed,
}

impl World {
    async fn new() -> Self {
        let cluster = lagging_cluster().await;
        let connect = async |number, name| {
            jetsaga_nats::connect_as(cluster.url_of(number), name).await.unwrap()
        };
        let (writer, reader) = (connect(LEADER, "writer").await, connect(FOLLOWER, "reader").await);
        let bed = Bed::new(Arc::new(JetStreamLog::new(writer.clone())));
        let wanted = Topology::of(&[&bed.plan], &[], replicas(&writer));
        apply(&async_nats::jetstream::new(writer.clone()), &wanted).await.unwrap();
        let world = Self { writer, reader, bed, cluster };
        world.writer_leads().await;
        world
    }

    /// Makes the writer's server the leader of every stream.
    async fn writer_leads(&self) {
        let context = async_nats::jetstream::new(self.writer.clone());
        let leader = format!("jetsaga-{LEADER}");
        let names: Vec<String> = context.stream_names().try_collect().await.unwrap();
        for name in names {
            let step_down = json!({ "placement": { "preferred": leader } }).to_string();
            until(&format!("{leader} as the leader of {name}"), async || {
                let now = context.get_stream(&name).await.ok();
                let now = now.and_then(|it| it.cached_info().cluster.clone()?.leader);
                let mut asked = None;
                if now.as_ref().is_some_and(|it| *it != leader) {
                    let subject = format!("$JS.API.STREAM.LEADER.STEPDOWN.{name}");
                    asked = Some(self.writer.request(subject, step_down.clone().into()).await);
                }
                (now.as_ref() == Some(&leader), (now, asked))
            })
            .await;
        }
    }

    fn sagas(&self, client: &Client) -> Sagas {
        Sagas::new(Engine::new(client.clone()), Arc::clone(&self.bed.plan))
    }
}

#[tokio::test]
async fn what_was_answered_is_found_by_whoever_reads_from_a_replica_that_lags() {
    let world = World::new().await;
    let coordinator = Coordinator::new(Engine::new(world.reader.clone()));
    let coordinator = coordinator.saga(Arc::clone(&world.bed.plan)).options(quick());
    let running = coordinator.start().await.unwrap();
    until("the coordinator has caught up", async || {
        let health = running.health();
        (health.is_caught_up, health)
    })
    .await;
    world.cluster.lag(LAG);

    replicas_are_behind(&world).await;
    for round in 0..ROUNDS {
        a_saga(&world, round).await;
        a_wish(&world, round).await;
        a_definition(&world, round).await;
        a_row(&world, round).await;
    }
    running.shutdown().await;
}

/// What a replica says by itself is old: else nothing here would mean anything.
async fn replicas_are_behind(world: &World) {
    let bucket = async |client: &Client| {
        let context = async_nats::jetstream::new(client.clone());
        context.get_key_value(topology::DEFINITIONS).await.unwrap()
    };
    let (written, read) = (bucket(&world.writer).await, bucket(&world.reader).await);
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
async fn a_saga(world: &World, round: u32) {
    let (written, read) = (world.sagas(&world.writer), world.sagas(&world.reader));
    let (bed, input) = (&world.bed, json!({ "to": "Lisbon" }));
    let id = bed.id(&format!("moved{round}"));
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
async fn a_wish(world: &World, round: u32) {
    let (id, saga_type) =
        (world.bed.id(&format!("cancelled{round}")), world.bed.plan.name().to_owned());
    let (written, wishes) = (world.sagas(&world.writer), WishClient::new(world.reader.clone()));
    written.start(&id, json!({ "to": "Lisbon" }), Trace::default()).await.unwrap();
    let (actor, reason) = ("ann".to_owned(), "changed her mind".to_owned());
    let moved: Moved = wishes.ask(&Cancel { saga_type, id, actor, reason }).await.unwrap();
    assert_eq!(moved.status, Status::RollingBack);
}

/// A definition that was just registered.
async fn a_definition(world: &World, round: u32) {
    let [writer, reader] = [&world.writer, &world.reader].map(|it| Engine::new(it.clone()));
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
async fn a_row(world: &World, round: u32) {
    let open = async |client: &Client| KvBarrier::open(&Engine::new(client.clone())).await.unwrap();
    let (written, read) = (open(&world.writer).await, open(&world.reader).await);
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

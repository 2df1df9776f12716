//! Much at once, and more than one coordinator.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use jetsaga_nats::testing::replicas;
use jetsaga_nats::topology;
use saga_core::{Definition, Plan, Status, Step};
use saga_engine::coordinator::{Coordinator, Options};
use saga_engine::log::{Append, AppendError, ReadError};
use saga_engine::topology::{Holds, Topology};
use saga_engine::wishes::{AlarmKind, Cancel, List};
use saga_engine::{Engine, Log, Sagas, Stored, Tail, Trace};
use serde_json::json;

use super::world::{LATE_MS, World, hasty_trip, quick, until};

/// Counts appends in flight on their way to the log.
struct Counting {
    log: Arc<dyn Log>,
    now: AtomicUsize,
    most: AtomicUsize,
}

#[async_trait]
impl Log for Counting {
    async fn append(&self, plan: &Plan, append: &Append) -> Result<u64, AppendError> {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        // As slow as the server is with old sagas, so that appends pile up if nobody holds them.
        tokio::time::sleep(Duration::from_millis(5)).await;
        let outcome = self.log.append(plan, append).await;
        self.now.fetch_sub(1, Ordering::SeqCst);
        outcome
    }

    async fn last(&self, plan: &Plan, id: &str, at_least: u64) -> Result<Option<Tail>, ReadError> {
        self.log.last(plan, id, at_least).await
    }

    async fn history(
        &self,
        plan: &Plan,
        id: &str,
        at_least: u64,
    ) -> Result<Vec<Stored>, ReadError> {
        self.log.history(plan, id, at_least).await
    }
}

async fn start_many(world: &World, count: usize) -> Vec<String> {
    let ids: Vec<String> = (0..count).map(|number| format!("s{number}")).collect();
    join_all(ids.iter().map(|id| world.start(id))).await;
    ids
}

#[tokio::test]
async fn mass_time_outs_are_spread() {
    let world = World::new(hasty_trip()).await;
    let ids = start_many(&world, 200).await;
    // All of them are due before anybody looks: it is time itself that is waited for.
    tokio::time::sleep(Duration::from_millis(LATE_MS + 50)).await;
    let log = Arc::clone(world.engine.log());
    let counting = Arc::new(Counting { log, now: AtomicUsize::new(0), most: AtomicUsize::new(0) });
    let counted: Arc<dyn Log> = counting.clone();
    let engine = Engine::with_log(world.client.clone(), counted);
    let options = Options { appends_in_flight: 4, ..quick() };
    let coordinator = Coordinator::new(engine).saga(Arc::clone(&world.plan)).options(options);
    let coordinator = coordinator.start().await.unwrap();
    for id in &ids {
        world.until_told(id, "flight.timedout.rolling_back").await;
    }
    let most = counting.most.load(Ordering::SeqCst);
    assert!((2..=4).contains(&most), "{most} appends in flight at once");
    coordinator.shutdown().await;
}

#[tokio::test]
async fn two_coordinators_append_each_time_out_once() {
    let world = World::new(hasty_trip()).await;
    let (one, other) = (world.coordinator().await, world.coordinator().await);
    let ids = start_many(&world, 60).await;
    for id in &ids {
        let history = world.until_told(id, "flight.timedout.rolling_back").await;
        assert_eq!(history.len(), 2);
    }
    // Late undos follow, also once each.
    for id in &ids {
        world.until_told(id, "flight.undofailed.stuck").await;
    }
    // Every message of the stream is one of these events: nothing slipped past the check.
    let messages = world.stream().await.get_info().await.unwrap().state.messages;
    assert_eq!(messages, 180);
    for handle in [&one, &other] {
        until("both know all", async || {
            let health = handle.health();
            (health.stuck == 60, health)
        })
        .await;
        let alarms = handle.alarms();
        assert!(alarms.iter().all(|alarm| alarm.kind == AlarmKind::Stuck), "{alarms:?}");
    }
    one.shutdown().await;
    // The other answers alone.
    let wish = Cancel {
        saga_type: "trip".to_owned(),
        id: "s0".to_owned(),
        actor: "ann".to_owned(),
        reason: "asks whoever is there".to_owned(),
    };
    assert!(world.wishes.ask(&wish).await.is_err_and(|error| error.to_string().contains("stuck")));
    other.shutdown().await;
}

#[tokio::test]
async fn one_coordinator_serves_several_types_and_shards() {
    let sharded = Definition {
        shards: Some(3),
        ..Definition::new("parcel", 1).step(Step::compensable("pick", "depot").timeout_ms(400))
    };
    let world = World::new(hasty_trip()).await;
    let parcel = Arc::new(Plan::new(sharded).unwrap());
    let mut topology = Topology::of(&[&parcel], &[], replicas(&world.client));
    topology.buckets.clear();
    topology.streams.retain(|stream| stream.holds == Holds::Sagas);
    topology::apply(world.engine.jetstream(), &topology).await.unwrap();
    let engine = Engine::new(world.client.clone());
    let coordinator = Coordinator::new(engine)
        .saga(Arc::clone(&world.plan))
        .saga(Arc::clone(&parcel))
        .options(quick())
        .start()
        .await
        .unwrap();
    world.start("journey").await;
    let parcels = Sagas::new(world.engine.clone(), Arc::clone(&parcel));
    for number in 0..12 {
        parcels.start(&format!("p{number}"), json!({}), Trace::default()).await.unwrap();
    }
    let of = |saga_type: Option<&str>, status: Status| List {
        saga_type: saga_type.map(str::to_owned),
        status: vec![status],
        limit: Some(5),
        cursor: None,
    };
    until("all are timed out", async || {
        let health = coordinator.health();
        (health.stuck == 13, health)
    })
    .await;
    let mut found = BTreeSet::new();
    let mut page = of(None, Status::Stuck);
    loop {
        let listed = world.wishes.ask(&page).await.unwrap();
        found.extend(listed.sagas.into_iter().map(|saga| (saga.saga_type, saga.id)));
        page.cursor = listed.cursor;
        if page.cursor.is_none() {
            break;
        }
    }
    assert_eq!(found.len(), 13, "{found:?}");
    let trips = world.wishes.ask(&of(Some("trip"), Status::Stuck)).await.unwrap();
    assert_eq!(trips.sagas.len(), 1);
    let used: BTreeSet<_> = (0..12).map(|number| parcel.shard(&format!("p{number}"))).collect();
    assert!(used.len() > 1, "the sagas lie in several streams: {used:?}");
    coordinator.shutdown().await;
}

#[tokio::test]
async fn a_service_that_answers_at_the_last_moment_wins_or_loses_cleanly() {
    let world = World::new(hasty_trip()).await;
    let coordinator = world.coordinator().await;
    let ids = start_many(&world, 40).await;
    // Just before the time-out: it is time itself that is waited for.
    tokio::time::sleep(Duration::from_millis(LATE_MS - 10)).await;
    let log = world.engine.log().as_ref();
    let race = ids.iter().map(async |id| {
        let tail = log.last(&world.plan, id, saga_engine::log::NEWEST).await.unwrap().unwrap();
        let done = saga_core::Event::new(
            saga_core::Author::service("air"),
            saga_core::Change::done("flight", serde_json::json!({})),
        );
        // Whatever comes of it: the log decides.
        saga_engine::log::advance::advance(log, &world.plan, &tail, done).await.is_ok()
    });
    join_all(race).await;
    for id in &ids {
        let history = until("a second event", async || {
            let told = world.told(id).await;
            (told.len() >= 2, told)
        })
        .await;
        let is_one =
            history[1] == "flight.done.running" || history[1] == "flight.timedout.rolling_back";
        assert!(is_one, "{id}: {history:?}");
    }
    let alarms = coordinator.alarms();
    assert!(alarms.iter().all(|alarm| alarm.kind == AlarmKind::Stuck), "{alarms:?}");
    coordinator.shutdown().await;
}

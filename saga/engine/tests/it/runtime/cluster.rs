//! Three replicas whose leaders come and go while sagas run: each ends, and everybody agrees on it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use jetsaga_nats::testing::{OwnCluster, own_cluster};
use saga_core::{Status, subject};
use saga_engine::coordinator::{Coordinator, Options, Retention};
use saga_engine::{Engine, Trace, audit};
use serde_json::{Value, json};

use super::super::audit::bench::Bench;
use super::world::{World, input, trip, until};

/// Customers who start sagas while something happens to the leader, each one after another.
const CUSTOMERS: usize = 6;
/// How long three servers may take to have a leader.
const LEADER: Duration = Duration::from_mins(1);

/// What happens to the server that leads the stream, or to the one that everybody is connected to.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    SteppedDown,
    Killed,
    Paused,
    OwnPaused,
}

/// Starts a saga; a start that was not answered is repeated, which changes nothing when it was
/// stored after all.
async fn started(world: &World, id: &str, input: Value) {
    let end = Instant::now() + LEADER;
    loop {
        match world.sagas.start(id, input.clone(), Trace::default()).await {
            Ok(_) => return,
            Err(error) => assert!(Instant::now() < end, "{id} cannot be started: {error}"),
        }
    }
}

/// Waits for a saga's end and finds that it is the one that its input says.
async fn ended(world: &World, id: &str) {
    let record = world.end(id).await;
    let is_full = record.input["full"].is_string();
    let wanted = if is_full { Status::RolledBack } else { Status::Completed };
    assert_eq!(record.status, wanted, "{id}: {record:?}");
}

/// Sagas one after another until it is over, each to its end; returns how many.
async fn customer(world: &World, name: &str, is_over: &AtomicBool) -> usize {
    for number in 0.. {
        let id = format!("{name}-{number}");
        started(world, &id, input(number)).await;
        ended(world, &id).await;
        if is_over.load(Ordering::Relaxed) {
            return number + 1;
        }
    }
    unreachable!("there are more numbers than sagas")
}

/// A saga that is in the midst of things for as long as that lasts.
async fn through(bench: &Bench, name: &str, what: impl Future<Output = ()>) {
    let (world, id) = (&bench.world, format!("{name}-guest"));
    bench.shut_hotel(true);
    started(world, &id, json!({ "waits": "hotel" })).await;
    until("the guest has a flight", async || {
        let found = world.get(&id).await;
        (found.as_ref().is_some_and(|it| it.n == 2), found)
    })
    .await;
    what.await;
    bench.shut_hotel(false);
    ended(world, &id).await;
}

async fn leader(world: &World) -> String {
    let name = subject::stream("trip", None);
    until("the stream has a leader", async || {
        let stream = world.context().get_stream(&name).await;
        let info = stream.ok().and_then(|stream| stream.cached_info().cluster.clone());
        let leader = info.and_then(|cluster| cluster.leader);
        (leader.is_some(), leader)
    })
    .await
    .unwrap()
}

/// Brings it about and waits until it is over.
async fn trouble(world: &World, cluster: &mut OwnCluster, trouble: Trouble) {
    let before = leader(world).await;
    let until_another_leads = async || {
        until("another server leads", async || {
            let now = leader(world).await;
            (now != before, now)
        })
        .await
    };
    match trouble {
        Trouble::SteppedDown => {
            let name = subject::stream("trip", None);
            let wish = format!("$JS.API.STREAM.LEADER.STEPDOWN.{name}");
            let answer = world.client.request(wish, "".into()).await.unwrap();
            let answer: serde_json::Value = serde_json::from_slice(&answer.payload).unwrap();
            assert_eq!(answer["success"], true, "{answer}");
        }
        Trouble::Killed => {
            let number = cluster.kill_leader(&before).await;
            until_another_leads().await;
            cluster.restart(number).await;
        }
        Trouble::Paused => {
            let number = OwnCluster::number(&before);
            cluster.pause(number).await;
            until_another_leads().await;
            cluster.resume(number).await;
        }
        Trouble::OwnPaused => {
            let own = || world.client.server_info().server_name;
            let (name, number) = (own(), OwnCluster::number(&own()));
            cluster.pause(number).await;
            until("it is left for another one", async || (own() != name, own())).await;
            cluster.resume(number).await;
        }
    }
}

#[tokio::test]
async fn sagas_end_whatever_becomes_of_the_leader_of_their_stream() {
    let mut cluster = own_cluster().await;
    let client = jetsaga_nats::connect_as(&cluster.url(), "trip").await.unwrap();
    let bench = Bench::of(World::on(client.clone(), &[trip()], 1_500).await).await;
    let options = Options {
        retention: Retention { enabled: false, ..Retention::default() },
        ..Options::default()
    };
    // Two: one of them may be slower to find the new leader.
    let mut coordinators = Vec::new();
    for _ in 0..2 {
        let coordinator = Coordinator::new(Engine::new(client.clone()));
        let coordinator = coordinator.saga(bench.plan()).options(options);
        coordinators.push(coordinator.start().await.unwrap());
    }
    let world = &bench.world;
    let mut sagas = 0;
    for what in [Trouble::SteppedDown, Trouble::Killed, Trouble::Paused, Trouble::OwnPaused] {
        let (name, is_over) = (format!("{what:?}").to_lowercase(), AtomicBool::new(false));
        let customers = (0..CUSTOMERS)
            .map(async |number| customer(world, &format!("{name}-{number}"), &is_over).await);
        let trouble = async {
            until("sagas run", async || {
                let found = world.get(&format!("{name}-0-1")).await;
                (found.is_some(), found)
            })
            .await;
            through(&bench, &name, trouble(world, &mut cluster, what)).await;
            is_over.store(true, Ordering::Relaxed);
        };
        let (counts, ()) = tokio::join!(join_all(customers), trouble);
        sagas += counts.iter().sum::<usize>() + 1;
    }
    bench.drained().await;
    // Some have no leader to answer yet.
    let report = until("a clean audit", async || {
        let report = audit::world(&bench.engine(), &[bench.plan()]).await;
        (report.as_ref().is_ok_and(|report| report.findings.is_empty()), report)
    })
    .await
    .unwrap();
    assert_eq!((report.sagas, report.open), (u64::try_from(sagas).unwrap(), 0));
    assert!(report.services.values().all(|service| service.behind == 0), "{report:?}");
}

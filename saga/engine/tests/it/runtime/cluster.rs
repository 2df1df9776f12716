//! Three replicas whose leaders come and go while sagas run: each ends, and everybody agrees on it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use futures::future::join_all;
use jetsaga_nats::testing::{OwnCluster, own_cluster};
use saga_core::{Status, subject};
use saga_engine::coordinator::{Coordinator, Options, Retention};
use saga_engine::{Engine, Stored, Trace, audit};

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

/// When a saga was known to have begun, and when it ended: milliseconds of this machine's clock.
type Span = (i64, i64);

/// Starts a saga; a start that was not answered is repeated, which changes nothing when it was
/// stored after all.
async fn started(world: &World, id: &str, number: usize) -> Stored {
    let end = Instant::now() + LEADER;
    loop {
        match world.sagas.start(id, input(number), Trace::default()).await {
            Ok(started) => return started.stored,
            Err(error) => assert!(Instant::now() < end, "{id} cannot be started: {error}"),
        }
    }
}

/// Sagas one after another until it is over, each to its end.
async fn customer(world: &World, name: &str, is_over: &AtomicBool) -> Vec<Span> {
    let mut spans = Vec::new();
    for number in 0.. {
        let id = format!("{name}-{number}");
        let first = started(world, &id, number).await;
        let begun_ms = now_ms();
        let last = until(&format!("the end of {id}"), async || {
            let found = world.sagas.get(&id, first.sequence).await.ok().flatten();
            (found.as_ref().is_some_and(|it| it.record.status.is_end()), found)
        })
        .await
        .unwrap();
        let is_full = last.record.input["full"].is_string();
        let wanted = if is_full { Status::RolledBack } else { Status::Completed };
        assert_eq!(last.record.status, wanted, "{id}: {:?}", last.record);
        spans.push((begun_ms, last.at_ms));
        if is_over.load(Ordering::Relaxed) {
            break;
        }
    }
    spans
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
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

/// Brings it about and waits until it is over; answers with when it struck.
async fn trouble(world: &World, cluster: &mut OwnCluster, trouble: Trouble) -> i64 {
    let before = leader(world).await;
    let struck_ms = now_ms();
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
    struck_ms
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
    let (mut sagas, mut struck) = (0, 0);
    for what in [Trouble::SteppedDown, Trouble::Killed, Trouble::Paused, Trouble::OwnPaused] {
        let is_over = AtomicBool::new(false);
        let customers = (0..CUSTOMERS).map(async |number| {
            customer(world, &format!("{what:?}-{number}").to_lowercase(), &is_over).await
        });
        let trouble = async {
            until("sagas run", async || {
                let first = format!("{what:?}-0-1").to_lowercase();
                let found = world.get(&first).await;
                (found.is_some(), found)
            })
            .await;
            let struck_ms = trouble(world, &mut cluster, what).await;
            is_over.store(true, Ordering::Relaxed);
            struck_ms
        };
        let (spans, struck_ms) = tokio::join!(join_all(customers), trouble);
        let spans = spans.concat();
        let is_open = |&&(from, to): &&Span| from <= struck_ms && struck_ms < to;
        struck += spans.iter().filter(is_open).count();
        sagas += spans.len();
    }
    // One trouble may come just when all have ended, and hardly all of them.
    assert!(struck > 0, "of {sagas} sagas none was open when something happened");
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

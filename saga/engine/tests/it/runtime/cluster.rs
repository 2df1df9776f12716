//! Three replicas whose leaders come and go while sagas run: each ends, each effect is there once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use jetsaga_nats::testing::{OwnCluster, own_cluster};
use saga_core::subject;
use saga_engine::coordinator::{Coordinator, Options, Retention};
use saga_engine::{Engine, Trace};

use super::books::Books;
use super::world::{World, input, trip, until};

/// Sagas that are started while something happens to the leader.
const SAGAS: usize = 40;
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
async fn started(world: &World, id: String, number: usize) -> String {
    let end = Instant::now() + LEADER;
    while let Err(error) = world.sagas.start(&id, input(number), Trace::default()).await {
        assert!(Instant::now() < end, "{id} cannot be started: {error}");
    }
    id
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
    let world = World::on(client.clone(), &[trip()], 1_500).await;
    let books = Books::default();
    let _services = world.serve_all(&books).await;
    let options = Options {
        retention: Retention { enabled: false, ..Retention::default() },
        ..Options::default()
    };
    // Two: one of them may be slower to find the new leader.
    let mut coordinators = Vec::new();
    for _ in 0..2 {
        let coordinator = Coordinator::new(Engine::new(client.clone()));
        let coordinator = coordinator.saga(Arc::clone(&world.plan)).options(options);
        coordinators.push(coordinator.start().await.unwrap());
    }
    let mut ids = Vec::new();
    for what in [Trouble::SteppedDown, Trouble::Killed, Trouble::Paused, Trouble::OwnPaused] {
        let starts = (0..SAGAS).map(|number| {
            let id = format!("{what:?}{number}");
            started(&world, id.to_lowercase(), number)
        });
        let (some, ()) = tokio::join!(join_all(starts), trouble(&world, &mut cluster, what));
        ids.extend(some);
    }
    world.assert_ended(&ids, &books).await;
    let plans = [Arc::clone(&world.plan)];
    let engine = Engine::new(client);
    let audit = async || {
        let alarms = saga_engine::audit::streams(&engine, &plans).await;
        (alarms.is_ok(), alarms)
    };
    assert_eq!(until("an audit", audit).await.unwrap(), []);
}

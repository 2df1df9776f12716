//! A stream with three replicas: the same cases, and the conflict that only such a stream has.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jetsaga_nats::testing::{OwnCluster, own_cluster};
use saga_engine::log::{AppendError, NEWEST};
use saga_engine::{Engine, Hub};
use tokio_util::sync::CancellationToken;

use super::bed::{Bed, appended, done};
use super::conformance::CASES;

/// Races after which one of them has met an append in flight: nearly each does.
const RACES: usize = 200;
/// How long three servers may take to have a leader.
const LEADER: Duration = Duration::from_mins(1);
/// How long what is stored may take to be heard of.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn three_replicas_keep_every_promise_and_go_on_without_a_leader() {
    let mut cluster = own_cluster().await;
    let client = jetsaga_nats::connect_as(&cluster.url(), "log").await.unwrap();
    let (bed, stop) = (Bed::on(&client).await, CancellationToken::new());
    for (case, run) in CASES {
        run(&bed.named(case)).await;
    }
    rivals_meet_in_flight(&bed.named("in flight")).await;
    let hub = Hub::start(Engine::new(client.clone()), Arc::clone(&bed.plan), &stop).await.unwrap();
    no_end_is_missed(&bed.named("ends"), &hub).await;
    it_goes_on_without_its_leader(&bed.named("leader"), &client, &hub, &mut cluster).await;
}

/// Two appends at once: one is stored, and mostly the other one hears of an append in flight.
async fn rivals_meet_in_flight(bed: &Bed) {
    let mut in_flight = 0;
    for number in 0..RACES {
        let name = format!("race{number}");
        let tail = bed.start(&name).await;
        let [one, other] = [(); 2].map(|()| bed.next(&tail, done("flight")));
        let (one, other) =
            tokio::join!(bed.log.append(&bed.plan, &one), bed.log.append(&bed.plan, &other));
        let outcomes = [one, other];
        let stored = outcomes.iter().filter(|it| it.is_ok()).count();
        assert!(stored <= 1, "both were stored: {outcomes:?}");
        in_flight += outcomes.iter().filter(|it| matches!(it, Err(AppendError::InFlight))).count();
        assert_eq!(bed.history(&name).await.len(), 1 + stored, "{outcomes:?}");
    }
    assert!(in_flight > 0, "no append met another one in flight in {RACES} races");
}

/// Whoever begins to follow a saga that has just ended hears of its end, though the replica that it
/// reads from may lag behind the one that the hub reads from.
async fn no_end_is_missed(bed: &Bed, hub: &Hub) {
    for number in 0..RACES {
        let name = format!("end{number}");
        let mut tail = bed.start(&name).await;
        for step in ["flight", "hotel", "papers"] {
            tail = appended(bed.advance(&tail, done(step)).await);
        }
        let end = hub.wait_for_end(&bed.id(&name), PATIENCE).await.unwrap();
        assert_eq!(end.map(|end| end.sequence), Some(tail.last_sequence), "{name}");
    }
}

/// The leader is killed while a saga is on its way: its writer notices nothing but the pause.
async fn it_goes_on_without_its_leader(
    bed: &Bed,
    client: &async_nats::Client,
    hub: &Hub,
    cluster: &mut OwnCluster,
) {
    let context = async_nats::jetstream::new(client.clone());
    let stream = context.get_stream(saga_core::subject::stream("trip", None)).await.unwrap();
    let tail = bed.start("leaderless").await;
    let mut follower = hub.follow(&bed.id("leaderless"), 0);
    assert_eq!(follower.next().await.unwrap(), Some(tail.stored.clone()));
    let leader = stream.get_info().await.unwrap().cluster.unwrap().leader.unwrap();
    let number = cluster.kill_leader(&leader).await;
    let end = Instant::now() + LEADER;
    let mut moved = None;
    while moved.is_none() {
        let event = done("flight");
        match saga_engine::log::advance::advance(bed.log.as_ref(), &bed.plan, &tail, event).await {
            Ok(advanced) => moved = Some(advanced),
            Err(error) => assert!(Instant::now() < end, "no leader within a minute: {error}"),
        }
    }
    let next = tokio::time::timeout(PATIENCE, follower.next()).await;
    let next = next.expect("the hub goes on as well").unwrap().unwrap();
    assert_eq!(next.record.event.step, "flight");
    // An earlier try that gave up may have been stored after all: then this one finds it.
    assert_eq!(bed.told("leaderless").await, ["saga started", "flight done"], "{moved:?}");
    assert_eq!(bed.newest("leaderless").await.stored.record.base, tail.stored.sequence);
    // And two may be any two once the third is back.
    cluster.restart(number).await;
    cluster.kill(number % 3 + 1).await;
    let end = Instant::now() + LEADER;
    let tail = loop {
        match bed.log.last(&bed.plan, &bed.id("leaderless"), NEWEST).await {
            Ok(tail) => break tail.unwrap(),
            Err(error) => assert!(Instant::now() < end, "no leader within a minute: {error}"),
        }
    };
    assert_eq!(tail.stored.record.event.step, "flight");
}

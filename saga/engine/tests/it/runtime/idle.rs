//! Consumers that hear nothing for a while: they are asked for one message, and heard at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt as _;
use jetsaga_nats::testing::{broker, own_server};
use saga_engine::Engine;
use saga_engine::coordinator::Coordinator;
use saga_engine::wishes::{Pause, Resume, WishClient};
use serde_json::Value;
use tokio::time::timeout;

use super::books::Books;
use super::world::{World, input, trip, until};

/// Far less than `ack_wait`, which is two minutes here: what is lost on the way comes again then.
const SOON: Duration = Duration::from_secs(15);

/// The consumers of the services.
const ALL: [&str; 15] = [
    "airline",
    "airline-nudged",
    "airline-skipped",
    "airline-undo",
    "airline-undo-settled",
    "airline-undo-stuck",
    "hotels",
    "hotels-nudged",
    "hotels-skipped",
    "hotels-undo",
    "hotels-undo-settled",
    "hotels-undo-stuck",
    "post",
    "post-nudged",
    "post-skipped",
];
/// Those that a saga without a hotel comes to. The others stay idle.
const BUSY: [&str; 5] = ["airline", "airline-undo", "hotels", "hotels-undo", "post"];

/// How many messages each consumer was asked for last.
#[derive(Clone, Default)]
struct Requests(Arc<Mutex<BTreeMap<String, Value>>>);

impl Requests {
    /// Listens from now on. One subscription for the whole test: a service may be idle again before
    /// the test that waits for it looks.
    async fn of(world: &World) -> Self {
        let seen = Self::default();
        let requests = world.client.subscribe("$JS.API.CONSUMER.MSG.NEXT.SAGA_TRIP.*").await;
        let mut requests = requests.unwrap();
        world.client.flush().await.unwrap();
        let last = seen.clone();
        tokio::spawn(async move {
            while let Some(request) = requests.next().await {
                let asks: Value = serde_json::from_slice(&request.payload).unwrap();
                let consumer = request.subject.rsplit('.').next().unwrap_or_default().to_owned();
                last.0.lock().unwrap().insert(consumer, asks["batch"].clone());
            }
        });
        seen
    }

    /// Only what is asked for from now on counts.
    fn forget(&self) {
        self.0.lock().unwrap().clear();
    }

    /// Waits until each of these consumers was last asked for a single message, as it is when a
    /// request for many ran out without one.
    async fn until_idle(&self, consumers: &[&str]) {
        until("services that are idle", async || {
            let last = self.0.lock().unwrap().clone();
            (consumers.iter().all(|name| last.get(*name).is_some_and(|batch| *batch == 1)), last)
        })
        .await;
    }
}

#[tokio::test]
async fn what_comes_after_a_silence_is_heard_at_once_and_nobody_waits_to_stop() {
    // What is lost on the way would come again only when this test has failed.
    let client = broker().await.account().client().await;
    let world = World::on(client, &[trip()], 120_000).await;
    let books = Books::default();
    let requests = Requests::of(&world).await;
    let services = world.serve_all(&books).await;
    requests.until_idle(&ALL).await;

    // Forward by one consumer, back by another; in the second round they were idle once more.
    requests.forget();
    let mut ids = world.start_many("s", 10).await;
    let ended = timeout(SOON, world.assert_ended(&ids, &books)).await;
    ended.expect("services that heard nothing go on at once");
    requests.until_idle(&BUSY).await;
    requests.forget();
    ids.extend(world.start_many("t", 10).await);
    let ended = timeout(SOON, world.assert_ended(&ids, &books)).await;
    ended.expect("and again");

    requests.until_idle(&BUSY).await;
    for service in services {
        let stopping = timeout(SOON, service.shutdown(Duration::from_secs(5))).await;
        assert_eq!(stopping.expect("an open request is not waited for"), 0);
    }
    let _services = world.serve_all(&books).await;
    ids.extend(world.start_many("u", 10).await);
    let ended = timeout(SOON, world.assert_ended(&ids, &books)).await;
    ended.expect("those that stopped took nothing with them");
}

#[tokio::test]
async fn what_came_while_a_type_was_held_is_heard_at_once_when_it_goes_on() {
    let client = broker().await.account().client().await;
    let world = World::on(client, &[trip()], 120_000).await;
    let books = Books::default();
    let coordinator = Coordinator::new(Engine::new(world.client.clone()));
    let coordinator = coordinator.saga(Arc::clone(&world.plan)).start().await.unwrap();
    let wishes = WishClient::new(world.client.clone());
    let requests = Requests::of(&world).await;
    let services = world.serve_all(&books).await;
    requests.until_idle(&ALL).await;
    let (saga_type, actor, reason) = ("trip".to_owned(), "ann".to_owned(), "a test".to_owned());
    let pause = Pause { saga_type, actor, reason };
    let Pause { saga_type, actor, reason } = pause.clone();
    let resume = Resume { saga_type, actor, reason };
    // A hold right after the end of one is a hold.
    for _ in 0..2 {
        wishes.ask(&pause).await.unwrap();
        wishes.ask(&resume).await.unwrap();
    }
    wishes.ask(&pause).await.unwrap();
    let ids = world.start_many("s", 10).await;
    // That nothing happens cannot be awaited.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(books.entries(), []);
    wishes.ask(&resume).await.unwrap();
    let ended = timeout(SOON, world.assert_ended(&ids, &books)).await;
    ended.expect("services that heard nothing while it was held go on at once");
    coordinator.shutdown().await;
    drop(services);
}

#[tokio::test]
async fn a_server_that_came_back_is_asked_anew() {
    let mut own = own_server().await;
    let client = jetsaga_nats::connect_as(own.url(), "trip").await.unwrap();
    let world = World::on(client, &[trip()], 120_000).await;
    let books = Books::default();
    let requests = Requests::of(&world).await;
    let services = world.serve_all(&books).await;
    requests.until_idle(&ALL).await;
    own.restart().await;
    world.start("s", input(0)).await;
    let ended = timeout(SOON, world.assert_ended(&["s".to_owned()], &books)).await;
    ended.expect("the server has forgotten what it was asked for, and nobody relies on it");
    drop(services);
    own.stop().await;
}

//! Many messages at once: one transaction for many, bounds on what is in hand, and the valve.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use jetsaga_nats::testing::broker;
use saga_core::{Author, Change, Definition, Event, definition};
use saga_engine::log::advance::{Advanced, advance};
use saga_engine::{
    Answer, Engine, Job, Participant, ParticipantHandle, Step, Tail, Undo, UndoAnswer, Valve,
};
use serde_json::{Value, json};

use super::books::{Books, Entry, Trouble};
use super::world::{World, trip, until};

/// One step, so that one service's work is all that there is.
fn flight() -> Definition {
    let step = definition::Step::compensable("flight", "airline");
    Definition::new("trip", 1).step(step.timeout_ms(60_000).backoff(20, 200))
}

/// Where nothing is delivered again because it takes long: what is in hand is counted here.
async fn patient(definition: Definition) -> World {
    let ack_wait_ms = 120_000;
    World::on(broker().await.account().client().await, &[definition], ack_wait_ms).await
}

async fn until_in_hand(airline: &ParticipantHandle, count: u64) {
    until("they are in hand", async || {
        let stats = airline.stats();
        (stats.in_hand == count, stats)
    })
    .await;
}

#[tokio::test]
async fn what_comes_while_a_transaction_is_under_way_is_committed_together() {
    let world = patient(flight()).await;
    let books = Books::default();
    books.close();
    let airline = world.serve("airline", &books).await;
    let ids: Vec<String> = (0..200).map(|number| format!("s{number}")).collect();
    for id in &ids {
        world.start(id, json!({})).await;
    }
    until_in_hand(&airline, 200).await;
    let first = books.transactions();
    assert_eq!(first.len(), 1, "one at a time: {first:?}");
    books.open();
    world.assert_ended(&ids, &books).await;
    let transactions = books.transactions();
    let largest = transactions.iter().map(Vec::len).max();
    assert_eq!(largest, Some(64), "no batch is larger than that");
    assert!(transactions.len() <= 5, "64 each after the first: {} of them", transactions.len());
    let committed: BTreeSet<&String> = transactions.iter().flatten().collect();
    assert_eq!(transactions.iter().map(Vec::len).sum::<usize>(), 200);
    assert_eq!(committed.len(), 200, "each once");
    assert_eq!(books.most_at_once(), 1);
}

#[tokio::test]
async fn a_change_that_fails_in_a_batch_does_not_keep_the_others() {
    let world = patient(flight()).await;
    let books = Books::default();
    books.close();
    books.trouble("s3", &[Trouble::Raced]);
    books.trouble("s4", &[Trouble::Refused, Trouble::Refused]);
    books.trouble("s6", &[Trouble::Unavailable]);
    let airline = world.serve("airline", &books).await;
    world.start("first", json!({})).await;
    until("the first one is under way", async || {
        let transactions = books.transactions();
        (transactions.len() == 1, transactions)
    })
    .await;
    let mut ids: Vec<String> = (0..10).map(|number| format!("s{number}")).collect();
    for id in &ids {
        world.start(id, json!({})).await;
    }
    until_in_hand(&airline, 11).await;
    books.open();
    let batch = ids.clone();
    ids.push("first".to_owned());
    world.assert_ended(&ids, &books).await;

    let transactions = books.transactions();
    let mut second = transactions[1].clone();
    second.sort();
    assert_eq!(second, batch, "all of them were to be committed together");
    // What failed came again alone, or with what failed as well; nothing else did.
    let again: Vec<&String> = transactions[2..].iter().flatten().collect();
    let count = |id: &str| again.iter().filter(|it| **it == id).count();
    assert_eq!((count("s3"), count("s4"), count("s6"), again.len()), (1, 2, 1, 4), "{again:?}");
    let stats = airline.stats();
    assert!(stats.raced >= 1 && stats.again >= 3, "{stats:?}");
}

/// Cannot bear one saga until it is healed, whatever comes with it.
struct Fragile {
    is_healed: Arc<AtomicBool>,
    largest: Arc<AtomicUsize>,
}

impl Step for Fragile {
    type Input = Value;
    type Output = Value;
    type Work = Entry;

    async fn run(&self, _job: &Job<Value>) -> Answer<Value, Entry> {
        Answer::Done(json!({}), Entry::Did)
    }

    async fn run_all(&self, jobs: &[Job<Value>]) -> Vec<Answer<Value, Entry>> {
        self.largest.fetch_max(jobs.len(), Ordering::SeqCst);
        let is_healed = self.is_healed.load(Ordering::SeqCst);
        assert!(is_healed || jobs.iter().all(|job| job.saga_id != "s7"), "this one is too much");
        join_all(jobs.iter().map(|job| self.run(job))).await
    }

    async fn undo(&self, _undo: &Undo<Value, Value>) -> UndoAnswer<Entry> {
        UndoAnswer::Undone(Entry::Undid)
    }
}

#[tokio::test]
async fn a_panic_about_one_of_a_batch_costs_the_others_nothing() {
    let world = patient(flight()).await;
    let books = Books::default();
    books.close();
    let (is_healed, largest) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let step = Fragile { is_healed: Arc::clone(&is_healed), largest: Arc::clone(&largest) };
    let engine = Engine::new(world.client.clone());
    let airline = Participant::new(engine, "airline", books.clone());
    let airline = airline.saga(Arc::clone(&world.plan)).step("flight", step);
    let airline = airline.start().await.unwrap();
    let mut ids: Vec<String> = (0..20).map(|number| format!("s{number}")).collect();
    for id in &ids {
        world.start(id, json!({})).await;
    }
    until_in_hand(&airline, 20).await;
    books.open();
    for id in ids.iter().filter(|id| *id != "s7") {
        world.end(id).await;
    }
    assert!(largest.load(Ordering::SeqCst) > 1, "they were asked about together");
    assert_eq!(books.of("s7"), []);
    assert!(airline.stats().panicked >= 1, "{:?}", airline.stats());
    is_healed.store(true, Ordering::SeqCst);
    ids.sort();
    world.assert_ended(&ids, &books).await;
}

#[tokio::test]
async fn no_more_is_in_hand_than_a_participant_can_hold() {
    let world = patient(flight()).await;
    let books = Books::default();
    books.close();
    let ids: Vec<String> = (0..1_100).map(|number| format!("s{number}")).collect();
    for some in ids.chunks(100) {
        join_all(some.iter().map(|id| world.start(id, json!({})))).await;
    }
    let airline = world.serve("airline", &books).await;
    until_in_hand(&airline, 1_024).await;
    // The rest waits at the server, or on its way.
    let info = world.consumer("airline").await;
    assert_eq!(info.num_ack_pending + usize::try_from(info.num_pending).unwrap(), 1_100);
    assert_eq!(airline.stats().in_hand, 1_024);
    books.open();
    world.assert_ended(&ids, &books).await;
}

/// Calls somebody who answers when a test lets him.
struct Outside {
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    open: tokio::sync::watch::Receiver<bool>,
}

impl Step for Outside {
    type Input = Value;
    type Output = Value;
    type Work = Entry;

    fn outside(&self) -> Option<Duration> {
        Some(Duration::from_secs(30))
    }

    async fn run(&self, _job: &Job<Value>) -> Answer<Value, Entry> {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        self.open.clone().wait_for(|&is_open| is_open).await.unwrap();
        // Others get a turn, to be counted if they are too many.
        tokio::task::yield_now().await;
        self.now.fetch_sub(1, Ordering::SeqCst);
        Answer::Done(json!({}), Entry::Did)
    }

    async fn undo(&self, _undo: &Undo<Value, Value>) -> UndoAnswer<Entry> {
        UndoAnswer::Undone(Entry::Undid)
    }
}

#[tokio::test]
async fn no_more_calls_are_under_way_than_allowed() {
    let world = patient(flight()).await;
    let books = Books::default();
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (gate, open) = tokio::sync::watch::channel(false);
    let step = Outside { now: Arc::clone(&now), most: Arc::clone(&most), open };
    let engine = Engine::new(world.client.clone());
    let airline = Participant::new(engine, "airline", books.clone()).calls(3);
    let airline = airline.saga(Arc::clone(&world.plan)).step("flight", step);
    let airline = airline.start().await.unwrap();
    let ids: Vec<String> = (0..30).map(|number| format!("s{number}")).collect();
    for id in &ids {
        world.start(id, json!({})).await;
    }
    until_in_hand(&airline, 30).await;
    until("three are called", async || {
        let now = now.load(Ordering::SeqCst);
        (now == 3, now)
    })
    .await;
    gate.send_replace(true);
    world.assert_ended(&ids, &books).await;
    assert_eq!(most.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_closed_valve_holds_new_work_while_rollbacks_go_on() {
    let world = patient(trip()).await;
    let (books, valve) = (Books::default(), Valve::default());
    let airline = world.service("airline", &books).valve(valve.clone()).start().await.unwrap();
    let back = world.start("back", json!({})).await;
    until("it is done", async || (!books.of("back").is_empty(), books.of("back"))).await;
    valve.close();
    let ids = world.start_many("s", 10).await;
    // The hotel says no while the airline takes up nothing new: its flight is given back.
    let engine = Engine::new(world.client.clone());
    let tail = until("the flight stands in the log", async || {
        let tail = engine.log().last(&world.plan, "back", back.sequence).await.unwrap().unwrap();
        (tail.stored.record.n == 2, tail)
    })
    .await;
    let failed = Event::new(Author::service("hotels"), Change::failed("hotel", "full", "none"));
    let refused = advance(engine.log().as_ref(), &world.plan, &tail, failed).await.unwrap();
    assert!(matches!(refused, Advanced::Appended(Tail { .. })), "{refused:?}");
    world.end("back").await;
    until("nothing more is asked for", async || {
        let info = world.consumer("airline").await;
        (info.num_waiting == 0, info)
    })
    .await;
    let flight = |entry| ("back".to_owned(), "flight".to_owned(), entry);
    assert_eq!(books.entries(), [flight(Entry::Did), flight(Entry::Undid)], "nothing of the new");
    let info = world.consumer("airline").await;
    assert_eq!(info.num_pending + u64::try_from(info.num_ack_pending).unwrap(), 10, "{info:?}");

    valve.open();
    let _others = [world.serve("hotels", &books).await, world.serve("post", &books).await];
    for id in &ids {
        world.end(id).await;
    }
    let flights = books
        .entries()
        .into_iter()
        .filter(|(_, step, entry)| step == "flight" && *entry == Entry::Did);
    assert_eq!(flights.count(), 11, "each once");
    // Its handle closes the same valve.
    airline.pause();
    assert!(!valve.is_open());
    airline.resume();
    let more = world.start_many("t", 5).await;
    for id in &more {
        world.end(id).await;
    }
}

//! A fault at every point, on the way forward, on the way back, and where an undo is given up: once
//! it is over, the world is the same as without it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::join_all;
use saga_core::{Change, Definition, Status, Step};
use saga_engine::testing::{Fault, Faults, Place, Point};
use serde_json::{Value, json};

use super::path::{quick, step};
use super::provider::Account;
use super::stage::Stage;
use crate::runtime::books::Entry;
use crate::runtime::world::until;

/// Which way the airline is going when the fault meets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Forward,
    Back,
    /// Its undo gives up.
    GivesUp,
}

/// What the fault does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Die,
    HandBack,
}

/// One saga, and the fault that it meets, if any.
#[derive(Debug, Clone)]
struct Case {
    id: String,
    way: Way,
    fault: Option<(Point, What)>,
}

const WAYS: [Way; 3] = [Way::Forward, Way::Back, Way::GivesUp];

/// The points that are passed with a step of this flavour.
fn points(is_outside: bool) -> impl Iterator<Item = Point> {
    Point::ALL.into_iter().filter(move |&point| is_outside || point != Point::BeforeCall)
}

fn cases(is_outside: bool) -> Vec<Case> {
    let of_way = |way: Way| {
        let id = format!("{way:?}-plain");
        let plain = Case { id, way, fault: None };
        let with = move |point: Point, what: What| {
            let id = format!("{way:?}-{}-{what:?}", point.name());
            Case { id, way, fault: Some((point, what)) }
        };
        let faulty = points(is_outside)
            .flat_map(move |point| [with(point, What::Die), with(point, What::HandBack)]);
        std::iter::once(plain).chain(faulty)
    };
    WAYS.into_iter().flat_map(of_way).collect()
}

impl Way {
    fn input(self) -> Value {
        match self {
            Self::Forward => json!({}),
            Self::Back => json!({ "run": { "hotel": ["refused"] } }),
            Self::GivesUp => json!({ "run": { "hotel": ["refused"] }, "stubborn": "flight" }),
        }
    }

    fn status(self) -> Status {
        match self {
            Self::Forward => Status::Completed,
            Self::Back => Status::RolledBack,
            Self::GivesUp => Status::Stuck,
        }
    }
}

/// Which faults have happened, and which sagas this process has died with.
#[derive(Clone, Default)]
struct Happened {
    passes: Arc<Mutex<BTreeMap<(String, Point), u32>>>,
    faults: Arc<Mutex<BTreeSet<String>>>,
}

impl Happened {
    /// The faults of the first process. Whoever died stays dead until it is replaced; whoever hands
    /// back does so once.
    fn faults(&self, cases: &[Case]) -> Faults {
        let known: BTreeMap<String, Case> =
            cases.iter().map(|case| (case.id.clone(), case.clone())).collect();
        let happened = self.clone();
        Faults::new(move |place: Place| {
            let case = &known[&place.saga_id];
            let fault = case.fault.map_or(Fault::Proceed, |it| happened.at(case, it, &place));
            async move { fault }
        })
    }

    fn at(&self, case: &Case, (point, what): (Point, What), place: &Place) -> Fault {
        let pass = {
            let mut passes = self.passes.lock().unwrap();
            let pass = passes.entry((case.id.clone(), place.point)).or_default();
            *pass += 1;
            *pass
        };
        // A saga comes to each point with its step first, and then with its undo.
        let wanted = if case.way == Way::Forward { 1 } else { 2 };
        let is_here = place.point == point && pass == wanted;
        let mut faults = self.faults.lock().unwrap();
        let is_dead = what == What::Die && faults.contains(&case.id);
        if is_here {
            faults.insert(case.id.clone());
        }
        match what {
            What::Die if is_here || is_dead => Fault::Die,
            What::HandBack if is_here => Fault::HandBack(Duration::from_millis(10)),
            _ => Fault::Proceed,
        }
    }
}

/// Everything that is there of a saga, without the times and numbers of attempts.
#[derive(Debug, PartialEq)]
struct Seen {
    told: Vec<String>,
    status: Status,
    steps: Value,
    cause: Value,
    books: Vec<(String, Entry)>,
    row: Value,
    made: usize,
    account: Account,
}

async fn see(stage: &Stage, case: &Case) -> Seen {
    let record = stage.until_status(&case.id, case.way.status()).await;
    look(stage, &case.id, &record).await
}

async fn look(stage: &Stage, id: &str, record: &saga_core::Record) -> Seen {
    let account = stage.provider.account(id, "flight");
    Seen {
        told: stage.world.told(id).await,
        status: record.status,
        steps: json!(record.steps),
        cause: json!(record.cause),
        books: stage.books.of(id),
        row: json!(stage.books.row(id, "flight")),
        made: account.made,
        // How often it was asked is its own affair; what came of it is not.
        account: Account { calls: 0, asks: 0, cancels: 0, ..account },
    }
}

/// Plays all cases side by side; `is_outside`: the airline calls somebody.
async fn play(is_outside: bool) {
    let trip = Definition::new("trip", 1)
        .step(step("flight", "airline"))
        .step(step("hotel", "hotels"))
        .step(quick(Step::retriable("papers", "post")));
    let mut stage = Stage::new(trip).await;
    if is_outside {
        stage = stage.abroad("airline", Duration::from_millis(100));
    }
    let (cases, happened) = (cases(is_outside), Happened::default());
    let first = stage.part("airline", happened.faults(&cases)).start().await.unwrap();
    let _others = [stage.serve("hotels").await, stage.serve("post").await];
    join_all(cases.iter().map(|case| stage.world.start(&case.id, case.way.input()))).await;
    let faulty: BTreeSet<String> =
        cases.iter().filter(|case| case.fault.is_some()).map(|case| case.id.clone()).collect();
    assert_eq!(faulty.len(), 3 * 2 * points(is_outside).count());
    until("every fault has happened", async || {
        let left: Vec<String> =
            faulty.difference(&happened.faults.lock().unwrap()).cloned().collect();
        (left.is_empty(), left)
    })
    .await;
    // The process is gone, with all that it had in hand; another one takes its place.
    drop(first);
    let second = stage.serve("airline").await;
    compare(&stage, &cases).await;

    stage.acts.heal();
    let given_up: Vec<&Case> = cases.iter().filter(|case| case.way == Way::GivesUp).collect();
    for case in &given_up {
        stage.wish(&case.id, Change::nudged("flight")).await;
    }
    let flight = |entry| ("flight".to_owned(), entry);
    for case in &given_up {
        let record = stage.until_status(&case.id, Status::RolledBack).await;
        let seen = look(&stage, &case.id, &record).await;
        assert_eq!(seen.told[3..], ["flight undofailed", "flight nudged", "flight undone"]);
        assert_eq!(seen.books, [flight(Entry::Did), flight(Entry::Undid)], "{case:?}");
        assert_eq!(seen.made, usize::from(is_outside), "{case:?}");
    }
    stage.is_well().await;
    assert_eq!(second.stats().panicked, 0);
}

/// Every case looks like the one of its way that met no fault.
async fn compare(stage: &Stage, cases: &[Case]) {
    for way in WAYS {
        let (plain, faulty): (Vec<&Case>, Vec<&Case>) =
            cases.iter().filter(|case| case.way == way).partition(|case| case.fault.is_none());
        let wanted = see(stage, plain[0]).await;
        for case in faulty {
            let seen = see(stage, case).await;
            assert_eq!(seen, wanted, "{case:?}");
            assert_attempt(stage, case).await;
        }
    }
}

/// What a fault interrupted before it was told was told by a later attempt.
async fn assert_attempt(stage: &Stage, case: &Case) {
    let is_before = !matches!(case.fault, Some((Point::AfterAppend | Point::BeforeAck, _)));
    let event = match case.way {
        Way::Forward => 1,
        Way::Back | Way::GivesUp => 3,
    };
    let history = stage.world.history(&case.id).await;
    let told = &history[event].record.event;
    assert_eq!(told.attempt > 1, is_before, "{case:?}: {told:?}");
}

#[tokio::test]
async fn a_local_step_is_as_if_nothing_had_happened() {
    play(false).await;
}

#[tokio::test]
async fn an_outside_step_is_as_if_nothing_had_happened() {
    play(true).await;
}

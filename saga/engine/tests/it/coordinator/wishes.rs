//! Wishes: granted once, answered alike when repeated, refused with their reason.

use saga_core::{Author, Change, Definition, Status, Step};
use saga_engine::wishes::{
    Cancel, Get, History, List, Moved, Nudge, Settle, Signal, Skip, Start, Wish, WishError,
};
use serde_json::json;

use super::world::{World, between, hasty_trip, trip, trip_late_after, until};

fn cancel(id: &str) -> Cancel {
    let (saga_type, id) = ("trip".to_owned(), id.to_owned());
    Cancel { saga_type, id, actor: "ann".to_owned(), reason: "changed her mind".to_owned() }
}

fn nudge(id: &str, step: &str, reason: &str) -> Nudge {
    let (saga_type, id, step) = ("trip".to_owned(), id.to_owned(), step.to_owned());
    Nudge { saga_type, id, step, actor: "ben".to_owned(), reason: reason.to_owned() }
}

fn skip(id: &str, step: &str, output: serde_json::Value) -> Skip {
    let (saga_type, id, step) = ("trip".to_owned(), id.to_owned(), step.to_owned());
    let (actor, reason) = ("ben".to_owned(), "booked by telephone".to_owned());
    Skip { saga_type, id, step, output, actor, reason }
}

fn settle(id: &str, step: &str, force: bool) -> Settle {
    let (saga_type, id, step) = ("trip".to_owned(), id.to_owned(), step.to_owned());
    let (actor, reason) = ("ben".to_owned(), "paid back in cash".to_owned());
    Settle { saga_type, id, step, force, actor, reason }
}

fn signal(id: &str, output: serde_json::Value) -> Signal {
    let (saga_type, id, step) = ("trip".to_owned(), id.to_owned(), "approval".to_owned());
    let (actor, reason) = ("ann".to_owned(), "looks right".to_owned());
    Signal { saga_type, id, step, output, actor, reason }
}

/// The code and status of a refusal.
async fn refused<W: Wish>(world: &World, wish: &W) -> (String, u16) {
    match world.wishes.ask(wish).await {
        Err(WishError::Refused { code, status, message }) => {
            assert!(message.len() > 10, "a text for people, not {message:?}");
            (code, status)
        }
        Ok(_) => panic!("{} was granted", W::NAME),
        Err(other) => panic!("{}: {other}", W::NAME),
    }
}

fn no(code: &str, status: u16) -> (String, u16) {
    (code.to_owned(), status)
}

/// The same wish twice: granted, then repeated.
async fn twice<W: Wish<Answer = Moved>>(world: &World, wish: &W) -> Moved {
    let first = world.wishes.ask(wish).await.unwrap();
    assert!(!first.repeated);
    let again = world.wishes.ask(wish).await.unwrap();
    assert_eq!(again, Moved { repeated: true, ..first.clone() });
    first
}

#[tokio::test]
async fn a_saga_is_started_once_and_read() {
    let world = World::new(trip()).await;
    let coordinator = world.coordinator().await;
    let wish = Start {
        saga_type: "trip".to_owned(),
        version: None,
        id: Some("a".to_owned()),
        input: json!({"to": "Lisbon"}),
    };
    let moved = twice(&world, &wish).await;
    assert_eq!((moved.n, moved.status), (1, Status::Running));
    let other = Start { input: json!({"to": "Rome"}), ..wish.clone() };
    assert_eq!(refused(&world, &other).await, no("id_taken", 409));
    let unnamed = Start { id: None, ..wish.clone() };
    let moved = world.wishes.ask(&unnamed).await.unwrap();
    assert_ne!(moved.id, "a");
    assert_eq!(world.get("a").await.record.input, json!({"to": "Lisbon"}));
    for (wish, expected) in [
        (Start { id: Some("a.b".to_owned()), ..wish.clone() }, no("invalid_id", 422)),
        (Start { saga_type: "cruise".to_owned(), ..wish.clone() }, no("unknown_type", 404)),
        (Start { version: Some(9), ..wish.clone() }, no("unknown_definition", 404)),
        (Start { input: json!("x".repeat(70_000)), ..wish.clone() }, no("too_much", 422)),
    ] {
        assert_eq!(refused(&world, &wish).await, expected, "{:?}", wish.id);
    }
    let nobody = Get { saga_type: "trip".to_owned(), id: "nobody".to_owned() };
    assert_eq!(refused(&world, &nobody).await, no("unknown_saga", 404));
    coordinator.shutdown().await;
}

#[tokio::test]
async fn a_running_saga_is_cancelled_and_a_late_cancel_refused() {
    let world = World::new(trip()).await;
    let coordinator = world.coordinator().await;
    world.start("a").await;
    let moved = twice(&world, &cancel("a")).await;
    assert_eq!((moved.n, moved.status), (2, Status::RollingBack));
    let record = world.get("a").await.record;
    assert_eq!(record.event.actor.as_deref(), Some("ann"));
    assert_eq!(record.cause.unwrap().detail, "changed her mind");
    world.undone("a", "flight").await;
    assert!(world.wishes.ask(&cancel("a")).await.unwrap().repeated);

    world.start("b").await;
    world.done("b", "flight").await;
    world.done("b", "hotel").await;
    assert_eq!(refused(&world, &cancel("b")).await, no("too_late", 409));
    let empty = Cancel { reason: " ".to_owned(), ..cancel("b") };
    assert_eq!(refused(&world, &empty).await, no("malformed", 400));
    coordinator.shutdown().await;
}

#[tokio::test]
async fn a_nudge_starts_the_time_out_again() {
    let world = World::new(trip_late_after(5_000)).await;
    let coordinator = world.coordinator().await;
    world.start("a").await;
    twice(&world, &nudge("a", "flight", "the service was down")).await;
    let history = world.until_told("a", "flight.timedout.rolling_back").await;
    assert_eq!(history.len(), 3);
    let waited = between(&history[1], &history[2]);
    assert!(waited >= 5_000, "{waited} ms since the nudge");
    assert_eq!(refused(&world, &nudge("a", "hotel", "why not")).await, no("step_not_owed", 409));
    assert_eq!(refused(&world, &nudge("a", "train", "why not")).await, no("unknown_step", 404));
    coordinator.shutdown().await;
}

#[tokio::test]
async fn a_ready_step_is_skipped_with_an_output() {
    let world = World::new(trip()).await;
    let coordinator = world.coordinator().await;
    world.start("a").await;
    let early = skip("a", "hotel", json!({}));
    assert_eq!(refused(&world, &early).await, no("step_not_ready", 409));
    twice(&world, &skip("a", "flight", json!({"seat": "1A"}))).await;
    assert_eq!(world.get("a").await.record.output("flight"), Some(&json!({"seat": "1A"})));
    let other = skip("a", "flight", json!({"seat": "9F"}));
    assert_eq!(refused(&world, &other).await, no("step_not_ready", 409));
    world.done("a", "hotel").await;
    world.done("a", "mail").await;
    assert_eq!(world.get("a").await.record.status, Status::Completed);
    coordinator.shutdown().await;
}

#[tokio::test]
async fn a_step_is_settled_once_its_service_gave_up() {
    // Time-outs so long that nobody but the services says anything.
    let patient = Definition::new("trip", 1)
        .step(Step::compensable("flight", "air").timeout_ms(60_000))
        .step(Step::compensable("hotel", "inn").timeout_ms(60_000));
    let world = World::new(patient).await;
    let coordinator = world.coordinator().await;
    rolling_back(&world, "a").await;
    let not_owed = refused(&world, &settle("a", "flight", false)).await;
    assert_eq!(not_owed, no("step_not_owed", 409));
    let gave_up = Change::undofailed("flight", "bank_closed", "the account is gone");
    world.act("a", Author::service("air"), gave_up).await;
    let moved = twice(&world, &settle("a", "flight", false)).await;
    assert_eq!(moved.status, Status::RolledBack);
    coordinator.shutdown().await;
}

#[tokio::test]
async fn a_step_whose_service_is_late_is_settled_by_force() {
    let world = World::new(hasty_trip()).await;
    let coordinator = world.coordinator().await;
    rolling_back(&world, "a").await;
    world.until_told("a", "flight.undofailed.stuck").await;
    assert_eq!(refused(&world, &settle("a", "flight", false)).await, no("not_given_up", 409));
    let moved = twice(&world, &settle("a", "flight", true)).await;
    assert_eq!(moved.status, Status::RolledBack);
    coordinator.shutdown().await;
}

/// Starts a saga whose second step fails, so that the first is to be undone.
async fn rolling_back(world: &World, id: &str) {
    world.start(id).await;
    world.done(id, "flight").await;
    let full = Change::failed("hotel", "full", "no room");
    world.act(id, Author::service("inn"), full).await;
}

#[tokio::test]
async fn a_stuck_saga_is_nudged_and_goes_on() {
    let world = World::new(trip()).await;
    let coordinator = world.coordinator().await;
    world.start("a").await;
    world.done("a", "flight").await;
    world.act("a", Author::service("inn"), Change::failed("hotel", "full", "no room")).await;
    let gave_up = Change::undofailed("flight", "bank_closed", "closed on Sundays");
    world.act("a", Author::service("air"), gave_up).await;
    let moved = twice(&world, &nudge("a", "flight", "it is Monday")).await;
    assert_eq!(moved.status, Status::RollingBack);
    assert_eq!(world.undone("a", "flight").await.record.status, Status::RolledBack);
    coordinator.shutdown().await;
}

#[tokio::test]
async fn a_signal_is_taken_once_its_step_is_ready() {
    let definition = Definition::new("trip", 1)
        .step(Step::compensable("flight", "air").timeout_ms(30_000))
        .step(Step::signal("approval"));
    let world = World::new(definition).await;
    let coordinator = world.coordinator().await;
    world.start("a").await;
    let yes = signal("a", json!({"approved": true}));
    assert_eq!(refused(&world, &yes).await, no("step_not_ready", 409));
    world.done("a", "flight").await;
    let moved = twice(&world, &yes).await;
    assert_eq!(moved.status, Status::Completed);
    let other = signal("a", json!({"approved": false}));
    assert_eq!(refused(&world, &other).await, no("wrong_status", 409));
    let not_a_signal = Signal { step: "flight".to_owned(), ..yes };
    let (code, _) = refused(&world, &not_a_signal).await;
    assert!(["wrong_status", "not_yours"].contains(&code.as_str()), "{code}");
    coordinator.shutdown().await;
}

#[tokio::test]
async fn the_history_tells_every_event_and_what_comes_next_and_when() {
    let world = World::new(trip()).await;
    let coordinator = world.coordinator().await;
    world.start("a").await;
    world.done("a", "flight").await;
    let wish = History { saga_type: "trip".to_owned(), id: "a".to_owned() };
    let story = world.wishes.ask(&wish).await.unwrap();
    let stored = world.history("a").await;
    assert_eq!(story.events.len(), 2);
    for (told, stored) in story.events.iter().zip(&stored) {
        assert_eq!(
            (told.at_ms, told.sequence, told.n),
            (stored.at_ms, stored.sequence, stored.record.n)
        );
    }
    let hotel = story.next.iter().find(|next| next.step == "hotel").unwrap();
    assert_eq!((hotel.what.as_str(), hotel.service.as_deref()), ("run", Some("inn")));
    assert_eq!((hotel.since_ms, hotel.due_ms), (stored[1].at_ms, Some(stored[1].at_ms + 300_000)));
    let saga = story.next.iter().find(|next| next.step == "saga").unwrap();
    assert_eq!(saga.due_ms, Some(stored[0].at_ms + 600_000));
    assert!(story.now_ms >= stored[1].at_ms);
    coordinator.shutdown().await;
}

#[tokio::test]
async fn sagas_are_listed_by_status_newest_first_page_by_page() {
    let world = World::new(trip()).await;
    let coordinator = world.coordinator().await;
    for number in 0..7 {
        let id = format!("s{number}");
        world.start(&id).await;
        world.done(&id, "flight").await;
        if number % 2 == 0 {
            world.done(&id, "hotel").await;
            world.done(&id, "mail").await;
        }
    }
    let running = List { status: vec![Status::Running], ..List::default() };
    until("the list is complete", async || {
        let listed = world.wishes.ask(&List::default()).await.unwrap();
        let done = listed.sagas.iter().filter(|it| it.status == Status::Completed).count();
        (listed.sagas.len() == 7 && done == 4, listed)
    })
    .await;
    let mut found = Vec::new();
    let mut page = List { limit: Some(2), ..running };
    loop {
        let listed = world.wishes.ask(&page).await.unwrap();
        found.extend(listed.sagas.into_iter().map(|saga| saga.id));
        page.cursor = listed.cursor;
        if page.cursor.is_none() {
            break;
        }
    }
    assert_eq!(found, ["s5", "s3", "s1"]);
    let bad = List { cursor: Some("yesterday".to_owned()), ..List::default() };
    assert_eq!(refused(&world, &bad).await, no("malformed", 400));
    let bad = List { limit: Some(0), ..List::default() };
    assert_eq!(refused(&world, &bad).await, no("malformed", 400));
    coordinator.shutdown().await;
}

#[tokio::test]
async fn the_service_is_found_and_counted_by_the_service_protocol() {
    let world = World::new(trip()).await;
    let coordinator = world.coordinator().await;
    world.start("a").await;
    let ask = async |subject: &str, payload: &str| {
        let answer = world.client.request(subject.to_owned(), payload.to_owned().into());
        answer.await.unwrap()
    };
    let answer = ask("saga_coordinator.cancel", "{\"type\":\"trip\"}").await;
    let headers = answer.headers.unwrap();
    assert_eq!(headers.get("Nats-Service-Error-Code").unwrap().as_str(), "400");
    assert_eq!(headers.get("Saga-Error").unwrap().as_str(), "malformed");
    let stats = until("the saga is counted", async || {
        let stats = ask("$SRV.STATS.saga-coordinator", "").await;
        let stats: serde_json::Value = serde_json::from_slice(&stats.payload).unwrap();
        let is_open = stats["endpoints"][0]["data"]["streams"][0]["open"] == 1;
        (is_open, stats)
    })
    .await;
    let endpoints = stats["endpoints"].as_array().unwrap();
    let cancel = endpoints.iter().find(|it| it["subject"] == "saga_coordinator.cancel").unwrap();
    assert_eq!(cancel["num_errors"], 1);
    assert_eq!(cancel["queue_group"], "saga-coordinator");
    coordinator.shutdown().await;
}

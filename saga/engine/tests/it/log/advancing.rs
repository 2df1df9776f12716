//! The outcome table: what a writer makes of an acknowledgement, a conflict, and silence.

use saga_core::Refusal;
use saga_engine::log::advance::{AdvanceError, Advanced, advance, start};
use saga_engine::{Tail, Trace};
use serde_json::json;

use super::bed::{Bed, appended, cancelled, done, traced};
use super::meddler::{Fate, Meddler};

pub(super) async fn an_acknowledged_append_is_the_new_tail(bed: &Bed) {
    let started = bed.started("walk", json!({ "to": "Lisbon" })).record;
    let first = start(bed.log.as_ref(), &bed.plan, started, traced()).await.unwrap();
    let mut tail = appended(first);
    for step in ["flight", "hotel", "papers"] {
        tail = appended(bed.advance(&tail, done(step)).await);
    }
    let wanted = ["saga started", "flight done", "hotel done", "papers done"];
    assert_eq!(bed.told("walk").await, wanted);
    let history = bed.history("walk").await;
    assert!(history.iter().all(|it| it.trace == traced()), "the trace is kept on the way");
    let ids: std::collections::BTreeSet<_> = history.iter().map(|it| &it.append_id).collect();
    assert_eq!(ids.len(), 4, "every append has an id of its own");
}

pub(super) async fn after_a_conflict_the_winner_is_told(bed: &Bed) {
    let tail = bed.start("lost").await;
    let meddler = Meddler::once(bed, [Fate::After(cancelled())]);
    let moved = bed.with(meddler.clone()).advance(&tail, done("flight")).await;
    let Advanced::Moved(found) = moved else { panic!("somebody else was first: {moved:?}") };
    assert_eq!(found, bed.newest("lost").await);
    assert_eq!(bed.told("lost").await, ["saga started", "saga cancelled"]);
    assert_eq!(meddler.published().len(), 1, "it is not tried again on the same record");
}

pub(super) async fn a_second_start_finds_the_first(bed: &Bed) {
    let first = bed.start("again").await;
    let record = bed.started("again", json!({ "to": "Porto" })).record;
    let second = start(bed.log.as_ref(), &bed.plan, record, Trace::default()).await.unwrap();
    assert_eq!(second, Advanced::Moved(first));
}

pub(super) async fn a_lost_request_is_sent_again_as_it_was(bed: &Bed) {
    let tail = bed.start("unsent").await;
    let meddler = Meddler::once(bed, [Fate::RequestLost, Fate::RequestLost]);
    let ours = appended(bed.with(meddler.clone()).advance(&tail, done("flight")).await);
    assert_same_bytes(&meddler, 3);
    assert_eq!(bed.told("unsent").await, ["saga started", "flight done"]);
    assert_eq!(bed.newest("unsent").await.stored.sequence, ours.stored.sequence);
}

pub(super) async fn after_a_lost_answer_a_writer_knows_its_own_event(bed: &Bed) {
    let tail = bed.start("unheard").await;
    let meddler = Meddler::once(bed, [Fate::AnswerLost]);
    let ours = appended(bed.with(meddler.clone()).advance(&tail, done("flight")).await);
    assert_same_bytes(&meddler, 2);
    assert_eq!(ours, bed.newest("unheard").await);
    assert_eq!(bed.told("unheard").await, ["saga started", "flight done"]);
    // And it goes on from there like any other.
    appended(bed.advance(&ours, done("hotel")).await);
}

pub(super) async fn a_start_whose_answer_is_lost_is_a_start(bed: &Bed) {
    let record = bed.started("begun", json!({})).record;
    let meddler = Meddler::once(bed, [Fate::AnswerLost]);
    let begun = start(meddler.as_ref(), &bed.plan, record, Trace::default()).await.unwrap();
    assert_eq!(appended(begun), bed.newest("begun").await);
}

pub(super) async fn it_knows_its_own_event_though_others_went_on(bed: &Bed) {
    let tail = bed.start("overtaken").await;
    let meddler = Meddler::once(bed, [Fate::AnswerLostThen(done("hotel"))]);
    let found = appended(bed.with(meddler.clone()).advance(&tail, done("flight")).await);
    assert_eq!(bed.told("overtaken").await, ["saga started", "flight done", "hotel done"]);
    // A replica that has not heard of the one that followed says that its own is the last.
    let history = bed.history("overtaken").await;
    let last = if bed.is_replicated && found.stored.record.n == 2 { 1 } else { 2 };
    assert_eq!(found.stored, history[last], "it goes on from the last event");
    assert_eq!(found.last_sequence, history[last].sequence);
    assert_same_bytes(&meddler, 2);
}

pub(super) async fn silence_about_what_was_stored_is_found_out(bed: &Bed) {
    let tail = bed.start("mute").await;
    let mut fates = vec![Fate::RequestLost; 4];
    fates.push(Fate::AnswerLost);
    let meddler = Meddler::once(bed, fates);
    let ours = appended(bed.with(meddler.clone()).advance(&tail, done("flight")).await);
    assert_eq!(ours, bed.newest("mute").await);
    assert_same_bytes(&meddler, 5);
}

pub(super) async fn lasting_silence_is_an_error_and_stores_nothing(bed: &Bed) {
    let tail = bed.start("dead").await;
    let meddler = Meddler::always(bed, Fate::RequestLost);
    let error = advance(meddler.as_ref(), &bed.plan, &tail, done("flight")).await.unwrap_err();
    assert!(matches!(&error, AdvanceError::Unanswered(why) if why == "lost"), "{error:?}");
    let record = bed.started("unborn", json!({})).record;
    let error = start(meddler.as_ref(), &bed.plan, record, Trace::default()).await.unwrap_err();
    assert!(matches!(error, AdvanceError::Unanswered(_)), "{error:?}");
    assert_eq!(bed.told("dead").await, ["saga started"]);
    assert_eq!(bed.history("unborn").await, []);
}

pub(super) async fn what_is_in_flight_is_waited_for(bed: &Bed) {
    let tail = bed.start("patient").await;
    let meddler = Meddler::once(bed, [Fate::InFlight, Fate::InFlight]);
    appended(bed.with(meddler.clone()).advance(&tail, done("flight")).await);
    assert_same_bytes(&meddler, 3);
    assert_eq!(bed.told("patient").await, ["saga started", "flight done"]);

    let tail = bed.start("beaten").await;
    let meddler = Meddler::once(bed, [Fate::InFlightOf(cancelled())]);
    let moved = bed.with(meddler.clone()).advance(&tail, done("flight")).await;
    assert_eq!(moved, Advanced::Moved(bed.newest("beaten").await));
    // A replica that has not heard of the rival says that ours may be sent again, in vain.
    let published = meddler.published().len();
    assert!(published == 1 || bed.is_replicated, "{published}");
}

pub(super) async fn in_flight_may_be_ones_own(bed: &Bed) {
    let tail = bed.start("own").await;
    let meddler = Meddler::once(bed, [Fate::AnswerLost, Fate::InFlight]);
    let ours = appended(bed.with(meddler.clone()).advance(&tail, done("flight")).await);
    assert_eq!(ours, bed.newest("own").await);
    assert_eq!(bed.told("own").await, ["saga started", "flight done"]);
}

pub(super) async fn in_flight_for_ever_is_an_error_that_says_so(bed: &Bed) {
    let tail = bed.start("jammed").await;
    let meddler = Meddler::always(bed, Fate::InFlight);
    let error = advance(meddler.as_ref(), &bed.plan, &tail, done("flight")).await.unwrap_err();
    assert!(matches!(error, AdvanceError::Unanswered(_)), "{error:?}");
    assert!(error.to_string().contains("in flight"), "{error}");
    assert_eq!(bed.told("jammed").await, ["saga started"]);
}

pub(super) async fn a_refused_append_is_not_sent_again(bed: &Bed) {
    let tail = bed.start("refused").await;
    let meddler = Meddler::always(bed, Fate::Refused);
    let error = advance(meddler.as_ref(), &bed.plan, &tail, done("flight")).await.unwrap_err();
    assert!(matches!(&error, AdvanceError::Refused(why) if why == "it may not"), "{error:?}");
    assert_eq!(meddler.published().len(), 1);
}

pub(super) async fn what_does_not_follow_is_never_sent(bed: &Bed) {
    let tail: Tail = bed.start("absurd").await;
    let meddler = Meddler::once(bed, []);
    let error = advance(meddler.as_ref(), &bed.plan, &tail, done("papers")).await.unwrap_err();
    assert!(matches!(error, AdvanceError::Impossible(Refusal::NotReady { .. })), "{error:?}");
    assert_eq!(meddler.published().len(), 0);
}

/// So many publishes, all of the same record under the same id on the same event.
fn assert_same_bytes(meddler: &Meddler, times: usize) {
    let published = meddler.published();
    assert_eq!(published.len(), times);
    for append in &published {
        assert_eq!(append.append_id, published[0].append_id);
        assert_eq!(append.record.to_json(), published[0].record.to_json());
        assert_eq!((append.expected, &append.trace), (published[0].expected, &published[0].trace));
    }
}

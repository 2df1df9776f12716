//! What any log promises about one publish and one read.

use std::collections::BTreeSet;
use std::sync::Arc;

use saga_core::limits::RECORD_MAX;
use saga_core::{Record, Status};
use saga_engine::log::{AppendError, NEWEST};
use serde_json::json;

use super::bed::{Bed, cancelled, done, now, traced};

pub(super) async fn the_first_append_is_stored_as_it_was_written(bed: &Bed) {
    let append = bed.started("first", json!({ "to": "Lisbon", "seats": [1, 2] }));
    let before = now();
    let sequence = bed.put(&append).await;
    let tail = bed.tail("first", sequence).await;
    assert_eq!((tail.stored.sequence, tail.last_sequence), (sequence, sequence));
    assert_eq!(tail.stored.record, append.record);
    assert_eq!(tail.stored.append_id.as_ref(), Some(&append.append_id));
    assert_eq!(tail.stored.trace, traced());
    // The server's clock may differ, but hardly by a minute.
    assert!((tail.stored.at_ms - before).abs() < 60_000, "{} and {before}", tail.stored.at_ms);
    assert_eq!(bed.history("first").await, [tail.stored]);
}

pub(super) async fn events_follow_one_another_in_order(bed: &Bed) {
    let mut tail = bed.start("chain").await;
    for step in ["flight", "hotel", "papers"] {
        let append = bed.next(&tail, done(step));
        let sequence = bed.put(&append).await;
        assert!(sequence > tail.last_sequence);
        tail = bed.tail("chain", sequence).await;
        assert_eq!(tail.stored.record, append.record);
        assert_eq!(tail.last_sequence, sequence);
    }
    assert_eq!(tail.stored.record.status, Status::Completed);
    let wanted = ["saga started", "flight done", "hotel done", "papers done"];
    assert_eq!(bed.told("chain").await, wanted);
    let history = bed.history("chain").await;
    for pair in history.windows(2) {
        assert_eq!(pair[1].record.base, pair[0].sequence);
    }
}

pub(super) async fn an_append_on_anything_but_the_last_event_is_a_conflict(bed: &Bed) {
    let started = bed.start("late").await;
    let ours = bed.next(&started, done("flight"));
    let flown = bed.put(&bed.next(&started, done("flight"))).await;
    let mut ahead = ours.clone();
    ahead.expected = flown + 1_000;
    let mut as_first = ours.clone();
    as_first.expected = 0;
    for late in [ours, ahead, as_first, bed.started("late", json!({ "to": "Porto" }))] {
        let refused = bed.try_put(&bed.plan, &late).await;
        assert!(matches!(refused, Err(AppendError::Conflict)), "{}: {refused:?}", late.expected);
    }
    assert_eq!(bed.told("late").await, ["saga started", "flight done"]);
}

pub(super) async fn an_append_to_a_saga_that_is_not_there_is_a_conflict(bed: &Bed) {
    let mut append = bed.started("nowhere", json!({}));
    append.expected = 1;
    let refused = bed.try_put(&bed.plan, &append).await;
    assert!(matches!(refused, Err(AppendError::Conflict)), "{refused:?}");
    assert_eq!(bed.log.last(&bed.plan, &bed.id("nowhere"), 0).await.unwrap(), None);
    assert_eq!(bed.history("nowhere").await, []);
}

pub(super) async fn the_same_bytes_are_stored_once(bed: &Bed) {
    let append = bed.started("twice", json!({}));
    bed.put(&append).await;
    for _ in 0..3 {
        let again = bed.try_put(&bed.plan, &append).await;
        assert!(matches!(again, Err(AppendError::Conflict)), "{again:?}");
    }
    assert_eq!(bed.told("twice").await, ["saga started"]);
}

pub(super) async fn other_sagas_are_in_nobodys_way(bed: &Bed) {
    // Ids that begin like one another, and the same id of another type.
    let mut tails = Vec::new();
    for name in ["a", "a-", "aa", "a-a"] {
        tails.push((name, bed.start(name).await));
    }
    let id = bed.id("a");
    let record = Record::start(&bed.sharded, &id, json!({ "type": "another" })).unwrap();
    bed.try_put(&bed.sharded, &bed.append(record, 0)).await.unwrap();
    for (_, tail) in &tails {
        bed.put(&bed.next(tail, done("flight"))).await;
    }
    for (name, _) in &tails {
        assert_eq!(bed.told(name).await, ["saga started", "flight done"], "{name}");
    }
    let other = bed.log.history(&bed.sharded, &id, NEWEST).await.unwrap();
    assert_eq!(other.len(), 1);
    assert_eq!(other[0].record.input, json!({ "type": "another" }));
}

pub(super) async fn every_shard_is_read_where_it_was_written(bed: &Bed) {
    let mut shards = BTreeSet::new();
    for number in 0..16 {
        let id = bed.id(&format!("stay{number}"));
        shards.insert(bed.sharded.shard(&id));
        let record = Record::start(&bed.sharded, &id, json!({ "number": number })).unwrap();
        let append = bed.append(record, 0);
        let sequence = bed.try_put(&bed.sharded, &append).await.unwrap();
        let tail = bed.log.last(&bed.sharded, &id, sequence).await.unwrap().unwrap();
        assert_eq!(tail.stored.record, append.record);
        assert_eq!(tail.stored.record.saga_type, "stay");
    }
    assert_eq!(shards, BTreeSet::from([Some(0), Some(1)]), "both shards were used");
}

pub(super) async fn of_many_rivals_one_wins(bed: &Bed) {
    let started = bed.start("race").await;
    let mut winners = Vec::new();
    let racing: Vec<_> = (0..16)
        .map(|number| {
            let event = if number % 2 == 0 { done("flight") } else { cancelled() };
            let (bed, append) = (bed.clone(), bed.next(&started, event));
            tokio::spawn(async move {
                let outcome = bed.try_put(&bed.plan, &append).await;
                (append, outcome)
            })
        })
        .collect();
    for rival in racing {
        match rival.await.unwrap() {
            (append, Ok(sequence)) => winners.push((append, sequence)),
            (_, Err(AppendError::Conflict)) => {}
            (_, Err(other)) => panic!("a rival loses by a conflict: {other:?}"),
        }
    }
    let [(append, sequence)] = winners.try_into().unwrap();
    let tail = bed.tail("race", sequence).await;
    assert_eq!((tail.last_sequence, &tail.stored.record), (sequence, &append.record));
    assert_eq!(bed.history("race").await.len(), 2);
}

pub(super) async fn what_a_later_version_wrote_is_kept(bed: &Bed) {
    let mut append = bed.started("extra", json!({}));
    append.record.extra.insert("priority".to_owned(), json!({ "level": 3 }));
    let sequence = bed.put(&append).await;
    let tail = bed.tail("extra", sequence).await;
    assert_eq!(tail.stored.record, append.record);
    let next = bed.next(&tail, done("flight"));
    assert_eq!(next.record.extra, append.record.extra);
}

pub(super) async fn the_largest_record_can_be_stored(bed: &Bed) {
    let mut append = bed.started("large", json!({}));
    let room = usize::try_from(RECORD_MAX).unwrap() - append.record.to_json().len();
    append.record.input = json!({ "text": "x".repeat(room - r#""text":"""#.len()) }).into();
    assert_eq!(append.record.to_json().len(), usize::try_from(RECORD_MAX).unwrap());
    let sequence = bed.put(&append).await;
    assert_eq!(bed.tail("large", sequence).await.stored.record, append.record);
}

pub(super) async fn whoever_reads_while_others_write_sees_no_gap(bed: &Bed) {
    let bed = Arc::new(bed.clone());
    let started = bed.start("busy").await;
    let writing = {
        let bed = Arc::clone(&bed);
        tokio::spawn(async move {
            let mut tail = started;
            for step in ["flight", "hotel", "papers"] {
                let sequence = bed.put(&bed.next(&tail, done(step))).await;
                tail = bed.tail("busy", sequence).await;
            }
        })
    };
    loop {
        let is_over = writing.is_finished();
        let history = bed.history("busy").await;
        let numbers: Vec<u64> = history.iter().map(|it| it.record.n).collect();
        assert_eq!(numbers, (1..=u64::try_from(history.len()).unwrap()).collect::<Vec<_>>());
        if is_over {
            assert_eq!(numbers.len(), 4);
            break;
        }
        // A log in memory never waits.
        tokio::task::yield_now().await;
    }
    writing.await.unwrap();
}

//! Reads whole histories where the stream alone does not tell: missing events, unknown definitions,
//! records that could not be checked as they came.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::book::Seen;
use super::entry::waits_of;
use super::office::{Audit, Office, Why};
use crate::audit::fold;
use crate::log::{NEWEST, Stored};
use crate::wishes::AlarmKind;

/// Folds what it is asked to until the coordinator stops.
pub(super) async fn witness(office: Arc<Office>, mut audits: mpsc::Receiver<Audit>) {
    loop {
        let audit = tokio::select! {
            () = office.stop.cancelled() => return,
            audit = audits.recv() => audit,
        };
        let Some(audit) = audit else { return };
        if let Err(error) = look(&office, &audit).await {
            tracing::warn!(saga = audit.id, error, "a history could not be folded again");
        }
    }
}

/// Folds whatever waits to be folded.
pub(super) async fn drain(office: &Office, audits: &mut mpsc::Receiver<Audit>) {
    while let Ok(audit) = audits.try_recv() {
        if let Err(error) = look(office, &audit).await {
            tracing::warn!(saga = audit.id, error, "a history could not be folded again");
        }
    }
}

async fn look(office: &Office, audit: &Audit) -> Result<(), String> {
    let (track, id) = (&audit.track, audit.id.as_str());
    let Some(any) = office.engine.newest(&track.saga_type) else { return Ok(()) };
    let log = office.engine.log();
    let history = log.history(&any, id, NEWEST).await.map_err(|error| error.to_string())?;
    let Some(last) = history.last() else { return Ok(()) };
    let Some(plan) = office.plan_of(&last.record).await else { return Ok(()) };
    metrics::counter!("saga_histories_folded_total").increment(1);
    if let Err(finding) = fold(&plan, &history) {
        let (kind, detail) = (AlarmKind::Lying, finding.to_string());
        office.alarms.raise(kind, &track.saga_type, id, last.at_ms, detail);
    }
    match audit.why {
        Why::Unproven => return Ok(()),
        // Where the history went on behind it, nothing is missing: it slipped past the check.
        Why::Gap { sequence, n } if last.sequence < sequence => {
            let detail = format!(
                "event {n} (message {sequence}) does not follow from event {} (message {}), the \
                 last one before it: a message is missing",
                last.record.n, last.sequence
            );
            office.alarms.raise(AlarmKind::Gap, &track.saga_type, id, last.at_ms, detail);
        }
        Why::Gap { .. } | Why::Unplanned => {}
    }
    let events = history.iter().map(|stored| (&stored.record, stored.at_ms));
    let waits = waits_of(&plan, events);
    let mut book = track.book();
    let holds = office.holds(&track.saga_type);
    // One that ended behind a gap stays ended: nobody goes on with it.
    let Some(sequence) = book.open(id).map(|entry| entry.sequence) else { return Ok(()) };
    if history.iter().any(|stored| stored.sequence == sequence) {
        book.replan(id, sequence, waits, &holds);
    } else if last.sequence < sequence {
        // Readers go on from the last event that chains, so the coordinator does too.
        let started_ms = history.first().map_or(last.at_ms, |first| first.at_ms);
        book.adopt(&seen(last), started_ms, waits, &holds);
    }
    drop(book);
    track.changed.notify_one();
    Ok(())
}

fn seen(stored: &Stored) -> Seen {
    Seen {
        record: Arc::new(stored.record.clone()),
        size: stored.record.to_json().len(),
        sequence: stored.sequence,
        at_ms: stored.at_ms,
    }
}

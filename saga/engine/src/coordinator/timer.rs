//! Does what is due: appends time-outs, expiries and timers' ends, raises alarms for what is late.

use std::sync::Arc;
use std::time::Duration;

use saga_core::{Author, Change, Event, WaitingFor};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::book::Due;
use super::clock::millis;
use super::entry::Wait;
use super::office::{Office, Track};
use crate::log::Tail;
use crate::log::advance::{AdvanceError, Advanced, advance};
use crate::wishes::AlarmKind;

/// Code of the reason that a time-out writes.
pub(super) const TIMEOUT: &str = "timeout";
/// Longest sleep: holds, a new clock and the like are noticed after that.
const NAP: Duration = Duration::from_millis(250);
/// Something that was tried is tried again after this, if the saga has not moved by then.
const AGAIN: Duration = Duration::from_secs(2);

/// Does what is due in one stream until the coordinator stops. At most
/// [`super::Options::appends_in_flight`] appends are in flight, however much is due at once.
pub(super) async fn keep_time(office: Arc<Office>, track: Arc<Track>, room: Arc<Semaphore>) {
    loop {
        let nap = match take(&office, &track) {
            Taken::Due(due) => {
                let Some(permit) = permit(&office, &room).await else { return };
                let task = fire(Arc::clone(&office), Arc::clone(&track), due, permit);
                office.in_hand.spawn(task);
                continue;
            }
            Taken::Nothing(nap) => nap,
        };
        tokio::select! {
            biased;
            () = office.stop.cancelled() => return,
            () = track.changed.notified() => {}
            () = tokio::time::sleep(nap) => {}
        }
    }
}

async fn permit(office: &Office, room: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    tokio::select! {
        biased;
        () = office.stop.cancelled() => None,
        permit = Arc::clone(room).acquire_owned() => permit.ok(),
    }
}

enum Taken {
    Due(Due),
    Nothing(Duration),
}

fn take(office: &Office, track: &Track) -> Taken {
    let Some(now_ms) = office.clock.now_ms() else { return Taken::Nothing(NAP) };
    let holds = office.holds(&track.saga_type);
    if holds.since().is_some() || office.stop.is_cancelled() {
        return Taken::Nothing(NAP);
    }
    let mut book = track.book();
    // What was not read yet may have ended what seems to be due.
    if !book.is_caught_up {
        return Taken::Nothing(NAP);
    }
    if let Some(due) = book.take_due(now_ms, &holds) {
        return Taken::Due(due);
    }
    let next = book.next_due().map(|due_ms| due_ms.saturating_sub(now_ms));
    let next = next.and_then(|left_ms| u64::try_from(left_ms).ok()).map(Duration::from_millis);
    Taken::Nothing(next.map_or(NAP, |next| next.clamp(Duration::from_millis(1), NAP)))
}

async fn fire(office: Arc<Office>, track: Arc<Track>, due: Due, permit: OwnedSemaphorePermit) {
    if !due.wait.appends {
        late(&office, &track, &due);
        return;
    }
    let outcome = append(&office, &track, &due).await;
    drop(permit);
    match outcome {
        Ok(is_appended) => {
            if is_appended {
                let labels = [("type", track.saga_type.clone()), ("kind", kind(&due.wait))];
                metrics::counter!("saga_due_total", &labels).increment(1);
            }
        }
        Err(error) => {
            tracing::warn!(saga = due.id, step = due.wait.step, %error, "due, and not appended");
        }
    }
    // The event itself comes by the stream; if it does not, it was not appended.
    let at_ms = office.now_or(0).saturating_add(millis(AGAIN));
    track.book().put_back(&due, at_ms);
}

fn kind(wait: &Wait) -> String {
    event(wait).change.kind().to_string()
}

/// What an overdue wait makes happen.
fn event(wait: &Wait) -> Event {
    let step = wait.step.as_str();
    let limit_ms = wait.limit_ms.unwrap_or_default();
    let change = match wait.what {
        WaitingFor::Deadline => Change::Expired,
        WaitingFor::Timer => Change::done(step, json!({})),
        WaitingFor::Run => {
            Change::timedout(step, TIMEOUT, &format!("no answer within {limit_ms} ms"))
        }
        WaitingFor::Signal => {
            Change::timedout(step, TIMEOUT, &format!("no signal within {limit_ms} ms"))
        }
        WaitingFor::Undo => {
            Change::undofailed(step, TIMEOUT, &format!("not undone within {limit_ms} ms"))
        }
    };
    Event::new(Author::Coordinator, change)
}

/// Appends what is due on the saga's last record; `false`: the saga had moved on.
async fn append(office: &Office, track: &Track, due: &Due) -> Result<bool, AdvanceError> {
    let Some(any) = office.engine.newest(&track.saga_type) else { return Ok(false) };
    let log = office.engine.log().as_ref();
    let Some(tail) = log.last(&any, &due.id, due.sequence).await? else {
        // Gone by retention: there is nothing to wait for any more.
        track.book().forget(&due.id);
        return Ok(false);
    };
    if tail.stored.sequence != due.sequence {
        return Ok(false);
    }
    move_on(office, &tail, event(&due.wait)).await
}

async fn move_on(office: &Office, tail: &Tail, event: Event) -> Result<bool, AdvanceError> {
    let Some(plan) = office.plan_of(&tail.stored.record).await else { return Ok(false) };
    let log = office.engine.log().as_ref();
    match advance(log, &plan, tail, event).await? {
        Advanced::Appended(_) => Ok(true),
        // Somebody else was first, a service or another coordinator: their event comes by the
        // stream, and what is due then is worked out anew.
        Advanced::Moved(_) | Advanced::Gone => Ok(false),
    }
}

fn late(office: &Office, track: &Track, due: &Due) {
    let about = format!("{}/{}", due.id, due.wait.step);
    let limit_ms = due.wait.limit_ms.unwrap_or_default();
    let detail = format!(
        "step {} is ready for more than {limit_ms} ms, and nothing is undone any more: it is \
         tried until it works",
        due.wait.step
    );
    let now_ms = office.now_or(due.wait.since_ms);
    office.alarms.raise(AlarmKind::Late, &track.saga_type, &about, now_ms, detail);
}

//! The outcome table of an append: acknowledged, conflict, no answer.

use std::time::Duration;

use saga_core::{Event, Plan, Record, Refusal};

use super::{Append, AppendError, Log, NEWEST, ReadError, Stored, Tail, Trace};

/// How often an append without an answer is published again before the caller is told.
const PUBLISHES: u32 = 5;
/// Pause after "in flight" and between publishes without an answer; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(2);

/// What came of trying to move a saga on.
#[derive(Debug, Clone, PartialEq)]
pub enum Advanced {
    /// Our event is the saga's new tail.
    Appended(Tail),
    /// Somebody else moved the saga: decide anew on this.
    Moved(Tail),
    /// There is no such saga any more: retention took it.
    Gone,
}

/// Why a saga could not be moved on. Whoever holds a trigger does not acknowledge it.
#[derive(Debug, thiserror::Error)]
pub enum AdvanceError {
    /// The event does not follow from the record.
    #[error(transparent)]
    Impossible(#[from] Refusal),
    /// Still no answer after several publishes: it may have been stored.
    #[error("no answer from the stream; the event may have been stored: {0}")]
    Unanswered(String),
    /// The server refused the append.
    #[error("the stream refused the append: {0}")]
    Refused(String),
    /// The saga could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Appends `event` to the saga whose tail is `tail`.
pub async fn advance(
    log: &dyn Log,
    plan: &Plan,
    tail: &Tail,
    event: Event,
) -> Result<Advanced, AdvanceError> {
    let record = tail.stored.record.next(plan, tail.stored.sequence, event)?;
    let trace = tail.stored.trace.clone();
    append(log, plan, record, tail.last_sequence, trace).await
}

/// Appends `started`.
pub async fn start(
    log: &dyn Log,
    plan: &Plan,
    record: Record,
    trace: Trace,
) -> Result<Advanced, AdvanceError> {
    append(log, plan, record, 0, trace).await
}

async fn append(
    log: &dyn Log,
    plan: &Plan,
    record: Record,
    expected: u64,
    trace: Trace,
) -> Result<Advanced, AdvanceError> {
    let append_id = uuid::Uuid::new_v4().simple().to_string();
    let append = Append { record, expected, append_id, trace };
    let mut pause = FIRST_PAUSE;
    let mut unanswered = String::new();
    for _ in 0..PUBLISHES {
        match log.append(plan, &append).await {
            Ok(sequence) => return Ok(Advanced::Appended(appended(append, sequence).into())),
            Err(AppendError::Refused(why)) => return Err(AdvanceError::Refused(why)),
            Err(AppendError::Unanswered(why)) => unanswered = why,
            Err(AppendError::Conflict) => return found(log, plan, append).await,
            Err(AppendError::InFlight) => {
                // On a replicated stream the leader's bookkeeping may lag behind its own
                // acknowledgement: the same append often passes a moment later.
                unanswered = AppendError::InFlight.to_string();
                tokio::time::sleep(pause).await;
                let moved = log.last(plan, &append.record.id, append.expected).await?;
                if moved.map_or(0, |tail| tail.last_sequence) != append.expected {
                    return found(log, plan, append).await;
                }
                pause *= 2;
                continue;
            }
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    // Either it was stored although nobody said so, or it was not: the log knows.
    match found(log, plan, append).await? {
        Advanced::Moved(tail) if tail.last_sequence == expected => {
            Err(AdvanceError::Unanswered(unanswered))
        }
        Advanced::Gone => Err(AdvanceError::Unanswered(unanswered)),
        other => Ok(other),
    }
}

fn appended(append: Append, sequence: u64) -> Stored {
    Stored {
        record: append.record,
        sequence,
        // The server's time of our own append is not in its acknowledgement; whoever measures
        // durations reads the stream.
        at_ms: 0,
        append_id: Some(append.append_id),
        trace: append.trace,
    }
}

/// What the log says after a publish that was not acknowledged.
async fn found(log: &dyn Log, plan: &Plan, append: Append) -> Result<Advanced, AdvanceError> {
    let id = &append.record.id;
    // Something was stored after what was expected, or this is to be found out: a replica that has
    // not heard of it yet is no witness. Whoever starts a saga that is there is told where it is
    // now, however far it went.
    let beyond = if append.expected == 0 { NEWEST } else { append.expected.saturating_add(1) };
    let Some(tail) = log.last(plan, id, beyond).await? else {
        return Ok(Advanced::Gone);
    };
    if tail.stored.append_id.as_deref() == Some(&append.append_id) {
        return Ok(Advanced::Appended(tail));
    }
    // Ours may have been stored and others may have followed it: then it is in the history.
    if tail.stored.record.n > append.record.n {
        let history = log.history(plan, id, tail.last_sequence).await?;
        let ours = |stored: &&Stored| stored.append_id.as_deref() == Some(&append.append_id);
        if history.iter().any(|stored| ours(&stored)) {
            return Ok(Advanced::Appended(tail));
        }
    }
    Ok(Advanced::Moved(tail))
}

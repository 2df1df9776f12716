//! Pausing a type: its consumers deliver nothing, its time-outs do not run. The state lies in a
//! bucket, so that every coordinator sees it.

use std::sync::Arc;
use std::time::Duration;

use async_nats::datetime::{self, DateTime};
use async_nats::jetstream::kv::{self, UpdateErrorKind};
use futures::{StreamExt as _, TryStreamExt as _};

use super::holds::Holds;
use super::office::{Office, Track};
use crate::topology;

/// How often the bucket is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// A hold has no end of its own: the server wants one, so it is this far away.
const FOR_EVER: Duration = Duration::from_hours(100 * 365 * 24);
/// How a hold ends: by a pause that is over in a moment. The server wakes a consumer when the time
/// of its pause has come, and leaves one asleep whose pause is taken back: whoever has asked it for
/// messages would wait until he asks again.
const MOMENT: Duration = Duration::from_millis(500);
/// How often a change that met another one is tried.
const TRIES: u32 = 5;

fn key(saga_type: &str) -> String {
    format!("pause.{saga_type}")
}

/// Keeps up with the bucket until the coordinator stops: at once when the server tells of a change,
/// and now and then in any case.
pub(super) async fn watch(office: Arc<Office>) {
    let mut changes = None;
    loop {
        if let Err(error) = look(&office).await {
            tracing::warn!(error, "the bucket of holds cannot be read");
        }
        if changes.is_none() {
            changes = watching(&office).await.ok();
        }
        let change = async {
            match &mut changes {
                Some(changes) => changes.next().await.is_some_and(|change| change.is_ok()),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = office.stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
            is_well = change => {
                if !is_well {
                    // It is asked for again; the looks in between go on.
                    changes = None;
                    if !office.pause(LOOK).await {
                        return;
                    }
                }
            }
        }
    }
}

async fn watching(office: &Office) -> Result<kv::Watch, String> {
    let changes = bucket(office).await?.watch(key(">")).await;
    changes.map_err(|error| error.to_string())
}

/// Reads all holds once.
pub(super) async fn look(office: &Office) -> Result<(), String> {
    let bucket = bucket(office).await?;
    for saga_type in office.types() {
        let (holds, _) = read(&bucket, &saga_type).await?;
        office.set_holds(&saga_type, &holds);
    }
    Ok(())
}

async fn bucket(office: &Office) -> Result<kv::Store, String> {
    let found = office.engine.jetstream().get_key_value(topology::CHECKPOINTS).await;
    found.map_err(|error| error.to_string())
}

async fn read(bucket: &kv::Store, saga_type: &str) -> Result<(Holds, u64), String> {
    let entry = bucket.entry(key(saga_type)).await.map_err(|error| error.to_string())?;
    match entry {
        None => Ok((Holds::default(), 0)),
        Some(entry) if entry.operation != kv::Operation::Put => {
            Ok((Holds::default(), entry.revision))
        }
        Some(entry) => {
            let holds = serde_json::from_slice(&entry.value).map_err(|error| error.to_string())?;
            Ok((holds, entry.revision))
        }
    }
}

/// Begins or ends a hold. Answers with the holds, and whether anything changed.
pub(super) async fn change(
    office: &Office,
    saga_type: &str,
    mut change: impl FnMut(&mut Holds) -> bool,
) -> Result<(Holds, bool), String> {
    let bucket = bucket(office).await?;
    for _ in 0..TRIES {
        let (mut holds, revision) = read(&bucket, saga_type).await?;
        let is_changed = change(&mut holds);
        if is_changed {
            let json = serde_json::to_vec(&holds).map_err(|error| error.to_string())?;
            match bucket.update(key(saga_type), json.into(), revision).await {
                Ok(_) => {}
                Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => continue,
                Err(error) => return Err(error.to_string()),
            }
        }
        office.set_holds(saga_type, &holds);
        for track in office.tracks_of(saga_type) {
            apply(office, track, holds.since().is_some()).await?;
        }
        return Ok((holds, is_changed));
    }
    Err("others change the same hold at this moment".to_owned())
}

/// Makes the server's consumers of a stream stand still, or deliver again.
pub(super) async fn apply(office: &Office, track: &Track, is_held: bool) -> Result<(), String> {
    let context = office.engine.jetstream();
    let stream =
        context.get_stream_no_info(&track.stream).await.map_err(|error| error.to_string())?;
    let consumers: Vec<_> =
        stream.consumers().try_collect().await.map_err(|error| error.to_string())?;
    for consumer in consumers.iter().filter(|consumer| consumer.config.durable_name.is_some()) {
        let left = consumer.pause_remaining.unwrap_or_default();
        if (consumer.paused && left > MOMENT) == is_held {
            continue;
        }
        let pause = if is_held { FOR_EVER } else { MOMENT };
        let until = from_now(office, pause)?;
        let done = stream.pause_consumer(&consumer.name, until).await;
        done.map_err(|error| format!("consumer {}: {error}", consumer.name))?;
        tracing::info!(stream = track.stream, consumer = consumer.name, is_held, "consumer");
    }
    Ok(())
}

fn from_now(office: &Office, pause: Duration) -> Result<DateTime, String> {
    let now_ms = office.clock.now_ms().ok_or("the server's time is not known yet")?;
    let now = datetime::from_nanos(i128::from(now_ms) * 1_000_000);
    now.map(|now| now + pause).map_err(|error| error.to_string())
}

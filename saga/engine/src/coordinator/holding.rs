//! Pausing a type: its consumers deliver nothing, its time-outs do not run. The state lies in a
//! bucket, so that every coordinator sees it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::datetime::{self, DateTime};
use async_nats::jetstream::consumer;
use async_nats::jetstream::kv;
use async_nats::jetstream::stream::Stream;
use futures::future::try_join_all;
use futures::{StreamExt as _, TryStreamExt as _};

use super::holds::Holds;
use super::office::{Office, Track};
use crate::bucket::{WriteError, newest, write};
use crate::topology;

/// How often the bucket is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// A hold has no end of its own: the server wants one, so it is this far away.
const FOR_EVER: Duration = Duration::from_hours(100 * 365 * 24);
/// How a hold ends: by a pause that is over in a moment. The server wakes a consumer when the time
/// of its pause has come, and leaves one asleep whose pause is taken back: whoever has asked it for
/// messages would wait until he asks again. Where it was over before the server came to it, the
/// next one is twice as long.
const MOMENT: Duration = Duration::from_millis(500);
/// The longest such moment.
const LONG_MOMENT: Duration = Duration::from_secs(8);
/// How long a server may take to do as it has answered.
const DONE: Duration = Duration::from_secs(10);
/// How often it is asked whether it has.
const ASK: Duration = Duration::from_millis(25);
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
                    if !office.wait(LOOK).await {
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

/// The holds of a type as the bucket's leader has them, and their revision: a replica that lags may
/// not know yet of a change that was answered.
async fn read(bucket: &kv::Store, saga_type: &str) -> Result<(Holds, u64), String> {
    let entry = newest(bucket, &key(saga_type)).await.map_err(|error| error.to_string())?;
    let Some(json) = entry.value else { return Ok((Holds::default(), entry.revision)) };
    let holds = serde_json::from_slice(&json).map_err(|error| error.to_string())?;
    Ok((holds, entry.revision))
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
            match write(&bucket, &key(saga_type), json.into(), revision).await {
                Ok(()) => {}
                Err(WriteError::Raced) => continue,
                Err(WriteError::Unavailable(why)) => return Err(why),
            }
        }
        obey(office, &bucket, saga_type).await?;
        return Ok((holds, is_changed));
    }
    Err("others change the same hold at this moment".to_owned())
}

/// Makes the consumers of a held type stand still that do not: they were made since.
pub(super) async fn keep(office: &Office, track: &Track) -> Result<(), String> {
    let stream = office.engine.jetstream().get_stream_no_info(&track.stream).await;
    let stream = stream.map_err(|error| error.to_string())?;
    if durable(&stream).await?.iter().all(is_held_now) {
        return Ok(());
    }
    obey(office, &bucket(office).await?, &track.saga_type).await
}

/// Makes the server's consumers of a type do as the bucket says, and once more if it says something
/// else by then: whoever obeyed an older word may have come last.
async fn obey(office: &Office, bucket: &kv::Store, saga_type: &str) -> Result<(), String> {
    loop {
        let (holds, revision) = read(bucket, saga_type).await?;
        office.set_holds(saga_type, &holds);
        for track in office.tracks_of(saga_type) {
            if holds.since().is_some() {
                pause(office, track, FOR_EVER).await?;
                continue;
            }
            let mut moment = MOMENT;
            while !pause(office, track, moment).await? && moment < LONG_MOMENT {
                moment *= 2;
            }
        }
        if read(bucket, saga_type).await?.1 == revision {
            return Ok(());
        }
    }
}

/// Pauses all consumers of a stream for so long, and waits until the server has done it: a cluster
/// answers as soon as it has made up its mind. `false`: by then a pause was over already.
async fn pause(office: &Office, track: &Track, lasts: Duration) -> Result<bool, String> {
    let until = from_now(office, lasts)?;
    let is_held = lasts == FOR_EVER;
    let stream = office.engine.jetstream().get_stream_no_info(&track.stream).await;
    let stream = stream.map_err(|error| error.to_string())?;
    let names: BTreeSet<String> =
        durable(&stream).await?.into_iter().map(|consumer| consumer.name).collect();
    // At once: a moment is soon over.
    try_join_all(names.iter().map(async |name| {
        let done = stream.pause_consumer(name, until).await;
        done.map_err(|error| format!("consumer {name}: {error}"))
    }))
    .await?;
    tracing::info!(stream = track.stream, is_held, "consumers are paused or go on");
    let deadline = Instant::now() + DONE;
    loop {
        let mut consumers = durable(&stream).await?;
        consumers.retain(|consumer| names.contains(&consumer.name));
        let Some(behind) = consumers.iter().find(|consumer| is_held_now(consumer) != is_held)
        else {
            return Ok(consumers.iter().all(|consumer| consumer.paused));
        };
        if Instant::now() > deadline {
            let name = &behind.name;
            let late = DONE.as_secs();
            return Err(format!("consumer {name} has not obeyed within {late} s: ask again"));
        }
        tokio::time::sleep(ASK).await;
    }
}

/// The consumers of a stream that stay where nobody asks them.
async fn durable(stream: &Stream<()>) -> Result<Vec<consumer::Info>, String> {
    let all: Result<Vec<consumer::Info>, _> = stream.consumers().try_collect().await;
    let mut all = all.map_err(|error| error.to_string())?;
    all.retain(|consumer| consumer.config.durable_name.is_some());
    Ok(all)
}

/// Whether it stands still for longer than the moment in which a hold ends.
fn is_held_now(consumer: &consumer::Info) -> bool {
    consumer.paused && consumer.pause_remaining.is_some_and(|left| left > LONG_MOMENT)
}

fn from_now(office: &Office, pause: Duration) -> Result<DateTime, String> {
    let now_ms = office.clock.now_ms().ok_or("the server's time is not known yet")?;
    let now = datetime::from_nanos(i128::from(now_ms) * 1_000_000);
    now.map(|now| now + pause).map_err(|error| error.to_string())
}

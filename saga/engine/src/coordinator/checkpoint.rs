//! What a coordinator remembers, kept in a bucket, so that a restart reads only what came since.
//!
//! Key `<stream>` holds the head: the stream's creation time, the sequence up to which it was read,
//! and where the parts are; keys `<stream>.<generation>.<part>` hold the entries. The head is
//! written after its parts, so that it never names what is not there. A checkpoint that cannot be
//! used for any reason is left aside: reading the stream from its start gives the same.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::jetstream::kv;
use serde::{Deserialize, Serialize};

use super::book::{Book, Ended};
use super::clock::StreamFacts;
use super::entry::Entry;
use super::holds::Holds;
use super::office::{Office, Track};
use super::retention::{Marks, Swept};
use crate::bucket::{newest, written_once};
use crate::topology;

/// Version of a checkpoint's form.
const FORM: u32 = 1;
/// Bytes of JSON per part, about.
const PART: usize = 256 * 1024;
/// A checkpoint is written at most for one part in so many of the time.
const SHARE: u32 = 20;

#[derive(Debug, Serialize, Deserialize)]
struct Head {
    form: u32,
    /// Creation time of the stream.
    created: String,
    /// Last sequence that was read.
    sequence: u64,
    generation: String,
    parts: u32,
    swept: Swept,
    #[serde(default)]
    marks: Marks,
    /// Messages that could not be read.
    #[serde(default)]
    unread: Vec<u64>,
}

/// A line of a part: an open saga or an ended one, with its id.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Open(String, Entry),
    Ended(String, Ended),
    /// An ended saga whose history is still there because it was open for long: when it ended, and
    /// at which sequence.
    Elder(String, i64, u64),
}

fn part_key(stream: &str, generation: &str, part: u32) -> String {
    format!("{stream}.{generation}.{part}")
}

async fn bucket(office: &Office) -> Result<kv::Store, String> {
    let found = office.engine.jetstream().get_key_value(topology::CHECKPOINTS).await;
    found.map_err(|error| error.to_string())
}

/// Writes a checkpoint of each stream now and then, and a last one when the coordinator stops.
pub(super) async fn keep(office: Arc<Office>) {
    let mut written = vec![0; office.tracks.len()];
    let mut pause = office.options.checkpoint_every;
    while office.wait(pause).await {
        let begun = Instant::now();
        save_all(&office, &mut written).await;
        // With very many open sagas a checkpoint is large: it never takes more than a small part
        // of the time.
        pause = office.options.checkpoint_every.max(begun.elapsed() * SHARE);
    }
}

/// Writes a checkpoint of each stream that was read further than what `written` says.
pub(super) async fn save_all(office: &Office, written: &mut [u64]) {
    for (track, written) in office.tracks.iter().zip(written) {
        let sequence = track.book().last_seen;
        if sequence == *written {
            continue;
        }
        match save(office, track).await {
            Ok(()) => *written = sequence,
            Err(error) => tracing::warn!(stream = track.stream, error, "no checkpoint"),
        }
    }
}

/// Writes a checkpoint of one stream.
pub(super) async fn save(office: &Office, track: &Track) -> Result<(), String> {
    let bucket = bucket(office).await?;
    let (created, sequence, (open, ended), elders, unread) = {
        let book = track.book();
        (book.created.clone(), book.last_seen, book.entries(), book.elders(), book.unread())
    };
    if created.is_empty() {
        return Ok(());
    }
    let before = newest(&bucket, &track.stream).await.map_err(|error| error.to_string())?;
    let generation = uuid::Uuid::new_v4().simple().to_string();
    let open = open.into_iter().map(|(id, entry)| Line::Open(id, entry));
    let ended = ended.into_iter().map(|(id, ended)| Line::Ended(id, ended));
    let elders = elders.into_iter().map(|(id, at_ms, sequence)| Line::Elder(id, at_ms, sequence));
    let parts = split(open.chain(ended).chain(elders))?;
    let mut number = 0;
    for part in parts {
        let key = part_key(&track.stream, &generation, number);
        bucket.put(key, part.into()).await.map_err(|error| error.to_string())?;
        number += 1;
    }
    let (swept, marks) = (track.swept(), track.marks().clone());
    let form = FORM;
    let head = Head { form, created, sequence, generation, parts: number, swept, marks, unread };
    let json = serde_json::to_vec(&head).map_err(|error| error.to_string())?;
    if bucket.update(&track.stream, json.into(), before.revision).await.is_err() {
        // Another coordinator was faster: its checkpoint is as good as this one.
        remove(&bucket, &track.stream, &head).await;
        return Ok(());
    }
    if let Some(before) = before.value.and_then(|json| head_of(&json)) {
        remove(&bucket, &track.stream, &before).await;
    }
    metrics::counter!("saga_checkpoints_total").increment(1);
    Ok(())
}

fn head_of(json: &[u8]) -> Option<Head> {
    serde_json::from_slice(json).ok()
}

/// Takes away the parts of a checkpoint that no head names any more.
async fn remove(bucket: &kv::Store, stream: &str, head: &Head) {
    for part in 0..head.parts {
        let key = part_key(stream, &head.generation, part);
        if let Err(error) = bucket.purge(key).await {
            tracing::debug!(stream, %error, "a part of an old checkpoint stays");
        }
    }
}

/// Lines of JSON, put together to parts of a size that the server takes.
fn split(lines: impl Iterator<Item = Line>) -> Result<Vec<Vec<u8>>, String> {
    let mut parts: Vec<Vec<u8>> = Vec::new();
    for line in lines {
        let json = serde_json::to_vec(&line).map_err(|error| error.to_string())?;
        match parts.last_mut().filter(|part| part.len() + json.len() < PART) {
            Some(part) => {
                part.push(b'\n');
                part.extend(json);
            }
            None => parts.push(json),
        }
    }
    Ok(parts)
}

/// The memory of a stream from its checkpoint; `None`: there is none that fits this stream.
pub(super) async fn load(
    office: &Office,
    track: &Track,
    facts: &StreamFacts,
    holds: &Holds,
) -> Option<Book> {
    match try_load(office, track, facts, holds).await {
        Ok(book) => book,
        Err(error) => {
            tracing::warn!(stream = track.stream, error, "the checkpoint cannot be used");
            None
        }
    }
}

async fn try_load(
    office: &Office,
    track: &Track,
    facts: &StreamFacts,
    holds: &Holds,
) -> Result<Option<Book>, String> {
    let bucket = bucket(office).await?;
    let entry = newest(&bucket, &track.stream).await.map_err(|error| error.to_string())?;
    let Some(head) = entry.value.and_then(|json| head_of(&json)) else { return Ok(None) };
    if head.form != FORM {
        return Ok(None);
    }
    if head.created != facts.created || head.sequence > facts.last_sequence {
        tracing::info!(stream = track.stream, "the checkpoint is of another stream");
        return Ok(None);
    }
    let (mut open, mut ended, mut elders) = (Vec::new(), Vec::new(), Vec::new());
    for part in 0..head.parts {
        let key = part_key(&track.stream, &head.generation, part);
        let json = written_once(&bucket, &key).await?;
        let json = json.ok_or_else(|| format!("its part {key} is missing"))?;
        for line in json.split(|&byte| byte == b'\n') {
            match serde_json::from_slice(line).map_err(|error| error.to_string())? {
                Line::Open(id, entry) => open.push((id, entry)),
                Line::Ended(id, entry) => ended.push((id, entry)),
                Line::Elder(id, at_ms, sequence) => elders.push((id, at_ms, sequence)),
            }
        }
    }
    tracing::info!(
        stream = track.stream,
        sequence = head.sequence,
        open = open.len(),
        "goes on from the checkpoint"
    );
    track.set_swept(head.swept);
    *track.marks() = head.marks;
    let mut book = Book::from_entries(head.created, head.sequence, (open, ended), holds);
    for (id, at_ms, sequence) in elders {
        book.note_elder(id, at_ms, sequence);
    }
    for sequence in head.unread {
        book.note_unread(sequence);
    }
    Ok(Some(book))
}

/// How long a final checkpoint may take.
pub(super) const LAST: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use saga_core::Status;

    use super::*;

    #[test]
    fn a_large_checkpoint_is_cut_into_parts_that_the_server_takes() {
        let ended = |number: u32| Ended {
            sequence: number.into(),
            at_ms: 1_795_427_115_938,
            started_ms: 1_795_427_115_002,
            n: 5,
            status: Status::Completed,
            cause: None,
        };
        let lines = (0..10_000).map(|number| Line::Ended(format!("saga-{number}"), ended(number)));
        let parts = split(lines).unwrap();
        assert!(parts.len() > 1 && parts.iter().all(|part| part.len() <= PART), "{}", parts.len());
        let read = parts.iter().flat_map(|part| part.split(|&byte| byte == b'\n'));
        let ids = read.map(|line| match serde_json::from_slice(line).unwrap() {
            Line::Ended(id, found) => (id, u32::try_from(found.sequence).unwrap()),
            Line::Open(id, ..) | Line::Elder(id, ..) => panic!("{id} has ended just now"),
        });
        assert!(ids.eq((0..10_000).map(|number| (format!("saga-{number}"), number))));
    }

    #[test]
    fn no_sagas_make_no_parts() {
        assert_eq!(split(std::iter::empty()).unwrap(), Vec::<Vec<u8>>::new());
    }
}

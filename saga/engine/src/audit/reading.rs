//! Reads a stream once and tells where each of its sagas stands.

use std::collections::HashMap;
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, Consumer, DeliverPolicy, pull};
use async_nats::jetstream::{Message, stream};
use futures::StreamExt as _;
use saga_core::{Record, subject};

use super::ask::Asked;
use crate::engine::Engine;
use crate::log::ReadError;
use crate::log::jetstream::milliseconds;

/// Messages per pull.
const BATCH: usize = 500;
/// The server forgets a consumer that nobody asks for this long; participants may take their time
/// between two pulls.
const INACTIVE: Duration = Duration::from_mins(10);
/// How often reading goes on after something was lost, without having come any further.
const TRIES: u32 = 5;
/// Pause before that.
const PAUSE: Duration = Duration::from_millis(200);

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// Messages.
    pub(super) events: u64,
    /// Sagas that have ended.
    pub(super) ended: u64,
    /// Sagas that have not, as they stand.
    pub(super) open: Vec<Asked>,
}

/// Reads a stream from its first message to the one that is its last now. Sagas that ended are
/// handed to `ended`, as they come. What readers of a history leave out is left out here, too.
pub(super) async fn read(
    engine: &Engine,
    stream: &str,
    mut ended: impl AsyncFnMut(Asked),
) -> Result<Read, ReadError> {
    let unavailable = |why: String| ReadError::Unavailable(format!("{stream}: {why}"));
    let found = engine.jetstream().get_stream(stream).await;
    let found = found.map_err(|error| unavailable(error.to_string()))?;
    let last = found.cached_info().state.last_sequence;
    let (mut next, mut tries) = (1, 0);
    let mut read = Read::default();
    let mut sagas: HashMap<String, Option<Asked>> = HashMap::new();
    while next <= last {
        let before = next;
        let mut take = async |message: &Message, sequence: u64, at_ms: i64| {
            read.events += 1;
            if let Some(asked) = accepted(&mut sagas, message, sequence, at_ms) {
                read.ended += 1;
                ended(asked).await;
            }
        };
        let why = match pass(&found, last, &mut next, &mut take).await {
            Ok(()) => break,
            Err(why) => why,
        };
        tries = if next > before { 0 } else { tries + 1 };
        if tries >= TRIES {
            return Err(unavailable(why));
        }
        tracing::debug!(stream, why, "reading goes on");
        tokio::time::sleep(PAUSE).await;
    }
    read.open = sagas.into_values().flatten().collect();
    read.open.sort_by_key(|asked| asked.sequence);
    Ok(read)
}

/// Reads from `next` on, as far as nothing is lost.
async fn pass(
    stream: &stream::Stream,
    last: u64,
    next: &mut u64,
    take: &mut impl AsyncFnMut(&Message, u64, i64),
) -> Result<(), String> {
    let consumer = consumer(stream, *next).await?;
    if consumer.cached_info().num_pending == 0 {
        return Ok(());
    }
    let mut delivered = 0;
    loop {
        let batch = consumer.fetch().max_messages(BATCH).messages().await;
        let mut batch = batch.map_err(|error| error.to_string())?;
        let before = delivered;
        while let Some(message) = batch.next().await {
            let message = message.map_err(|error| error.to_string())?;
            let info = message.info().map_err(|error| error.to_string())?;
            delivered += 1;
            if info.consumer_sequence != delivered {
                return Err(format!("a delivery was lost before {}", info.stream_sequence));
            }
            let (sequence, is_last) = (info.stream_sequence, info.pending == 0);
            if sequence > last {
                return Ok(());
            }
            take(&message, sequence, milliseconds(info.published)).await;
            *next = sequence + 1;
            if is_last || sequence == last {
                return Ok(());
            }
        }
        if delivered == before {
            return Err("messages are there, and none is delivered".to_owned());
        }
    }
}

async fn consumer(
    stream: &stream::Stream,
    start_sequence: u64,
) -> Result<Consumer<pull::Config>, String> {
    let config = pull::Config {
        description: Some("an auditor reads the stream".to_owned()),
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence },
        ack_policy: AckPolicy::None,
        max_deliver: 1,
        memory_storage: true,
        num_replicas: 1,
        inactive_threshold: INACTIVE,
        ..pull::Config::default()
    };
    stream.create_consumer(config).await.map_err(|error| error.to_string())
}

/// Takes note of a message; answers with its saga if it ends by it.
fn accepted(
    sagas: &mut HashMap<String, Option<Asked>>,
    message: &Message,
    sequence: u64,
    at_ms: i64,
) -> Option<Asked> {
    let record = Record::from_json(&message.payload).ok()?;
    let parsed = subject::parse(message.subject.as_str()).ok()?;
    if subject::of(&parsed.type_token, &record) != message.subject.as_str() {
        return None;
    }
    let follows = match sagas.get(&record.id) {
        // The first message of a history stands for itself.
        None => true,
        // Nothing follows an end.
        Some(None) => false,
        Some(Some(before)) => {
            let is_next = record.base == before.sequence && record.n == before.record.n + 1;
            // Behind a missing message an end still is one, and says how the whole saga ended.
            let is_behind = record.base > before.sequence && record.n > before.record.n;
            is_next || (is_behind && record.status.is_end())
        }
    };
    if !follows {
        return None;
    }
    let (id, is_end) = (record.id.clone(), record.status.is_end());
    let asked = Asked { sequence, at_ms, record };
    if is_end {
        sagas.insert(id, None);
        return Some(asked);
    }
    sagas.insert(id, Some(asked));
    None
}

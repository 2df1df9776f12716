//! Looks at the streams' consumers: does every step have one, and do they move?

use std::collections::BTreeMap;
use std::sync::Arc;

use async_nats::jetstream::consumer;
use futures::TryStreamExt as _;
use saga_core::Plan;

use super::holding;
use super::office::{Office, Track, Why};
use crate::topology::Topology;
use crate::wishes::AlarmKind;

/// What a consumer had delivered at the last look.
type Progress = BTreeMap<(String, String), (u64, u64)>;

/// Looks now and then, until the coordinator stops.
pub(super) async fn watch(office: Arc<Office>) {
    let mut progress = Progress::new();
    loop {
        for track in &office.tracks {
            if let Err(error) = look(&office, track, &mut progress).await {
                tracing::warn!(stream = track.stream, error, "consumers cannot be looked at");
            }
            count(track);
            again(&office, track);
        }
        if !office.wait(office.options.watch_every).await {
            return;
        }
    }
}

async fn look(office: &Office, track: &Track, progress: &mut Progress) -> Result<(), String> {
    let is_held = office.holds(&track.saga_type).since().is_some();
    if is_held {
        holding::keep(office, track).await?;
    }
    let context = office.engine.jetstream();
    let stream =
        context.get_stream_no_info(&track.stream).await.map_err(|error| error.to_string())?;
    let consumers: Vec<consumer::Info> =
        stream.consumers().try_collect().await.map_err(|error| error.to_string())?;
    if let Some(plan) = office.engine.newest(&track.saga_type) {
        served(office, track, &plan, &consumers);
    }
    let durable = consumers.iter().filter(|consumer| consumer.config.durable_name.is_some());
    for consumer in durable {
        moving(office, track, consumer, is_held, progress);
    }
    Ok(())
}

/// Whether every step's events are delivered to its service.
fn served(office: &Office, track: &Track, plan: &Plan, consumers: &[consumer::Info]) {
    let wanted = Topology::of(&[plan], &[], 1).consumers;
    for wanted in wanted.iter().filter(|wanted| wanted.stream == track.stream) {
        let found = consumers.iter().find(|found| found.name == wanted.name);
        let why = match found {
            None => "there is no such consumer".to_owned(),
            Some(found) => match wanted.filters.iter().find(|filter| !covers(found, filter)) {
                None => {
                    office.alarms.clear(AlarmKind::Unserved, &track.saga_type, &wanted.name);
                    continue;
                }
                Some(filter) => format!("it does not deliver {filter}"),
            },
        };
        let detail = format!(
            "consumer {} of stream {}, for service {}: {why}",
            wanted.name, track.stream, wanted.service
        );
        let now_ms = office.now_or(0);
        let kind = AlarmKind::Unserved;
        office.alarms.raise(kind, &track.saga_type, &wanted.name, now_ms, detail);
    }
}

fn covers(found: &consumer::Info, wanted: &str) -> bool {
    let config = &found.config;
    let is_all = config.filter_subject.is_empty() && config.filter_subjects.is_empty();
    is_all
        || subject_covers(&config.filter_subject, wanted)
        || config.filter_subjects.iter().any(|filter| subject_covers(filter, wanted))
}

/// Whether every subject that `wanted` matches is matched by `filter`, too.
fn subject_covers(filter: &str, wanted: &str) -> bool {
    let mut wanted = wanted.split('.');
    for token in filter.split('.') {
        match (token, wanted.next()) {
            (">", Some(_)) => return true,
            ("*", Some(other)) if other != ">" => {}
            (token, Some(other)) if token == other => {}
            _ => return false,
        }
    }
    wanted.next().is_none()
}

/// Whether a consumer moves while messages wait for it.
fn moving(
    office: &Office,
    track: &Track,
    consumer: &consumer::Info,
    is_held: bool,
    progress: &mut Progress,
) {
    let key = (track.stream.clone(), consumer.name.clone());
    let now = (consumer.delivered.consumer_sequence, consumer.ack_floor.consumer_sequence);
    let before = progress.insert(key, now);
    // One that only works long on what it has does not stand still.
    let is_left = consumer.num_ack_pending > 0 && consumer.num_waiting == 0;
    let waits = consumer.num_pending > 0 || is_left;
    let kind = AlarmKind::Stalled;
    if is_held || !waits || before != Some(now) {
        office.alarms.clear(kind, &track.saga_type, &consumer.name);
        return;
    }
    let why = if consumer.paused {
        "it is paused, though the type is not"
    } else if consumer.num_waiting == 0 {
        "nobody asks for its messages"
    } else {
        "it has not moved since the last look"
    };
    let detail = format!(
        "consumer {} of stream {}: {} messages wait, {} are in hand, and {why}",
        consumer.name, track.stream, consumer.num_pending, consumer.num_ack_pending
    );
    office.alarms.raise(kind, &track.saga_type, &consumer.name, office.now_or(0), detail);
}

fn count(track: &Track) {
    let (open, stuck) = track.book().count();
    let gauge = |name: &'static str, value: usize| {
        let value = u32::try_from(value).unwrap_or(u32::MAX);
        metrics::gauge!(name, "stream" => track.stream.clone()).set(f64::from(value));
    };
    gauge("saga_open", open);
    gauge("saga_stuck", stuck);
}

/// Sagas whose definition was not known: perhaps it is registered by now.
fn again(office: &Office, track: &Arc<Track>) {
    let unplanned = track.book().unplanned();
    for id in unplanned {
        office.audit(track, &id, Why::Unplanned);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_covers_what_it_matches_entirely() {
        for (filter, wanted, expected) in [
            ("a.>", "a.b.c", true),
            ("a.>", "a", false),
            ("a.*.c", "a.b.c", true),
            ("a.*.c", "a.*.c", true),
            ("a.b.c", "a.*.c", false),
            ("a.*", "a.>", false),
            ("a.*", "a.b.c", false),
            ("a.b.c", "a.b", false),
        ] {
            assert_eq!(subject_covers(filter, wanted), expected, "{filter} over {wanted}");
        }
    }
}

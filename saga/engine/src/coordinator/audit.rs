//! Reads whole streams once and checks every message, without doing anything about it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use saga_core::Plan;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::office::{Office, Track};
use super::{Options, clock, follower, tracks, witness};
use crate::engine::Engine;
use crate::log::ReadError;
use crate::wishes::Alarm;

/// Histories that may wait to be folded: as many as one audit ever finds fault with.
const AUDITS: usize = 1 << 20;
/// How often it is looked whether all was read.
const LOOK: Duration = Duration::from_millis(20);
/// A stream of which nothing comes for so long, though there is more, cannot be read.
const SILENCE: Duration = Duration::from_mins(1);

/// See [`crate::audit::streams`].
pub(crate) async fn audit(engine: &Engine, plans: &[Arc<Plan>]) -> Result<Vec<Alarm>, ReadError> {
    for plan in plans {
        engine.know(Arc::clone(plan));
    }
    let (audits, mut to_audit) = mpsc::channel(AUDITS);
    let tracks = tracks(plans);
    let mut office = Office::new(engine.clone(), Options::default(), tracks, audits);
    office.only_audits = true;
    let office = Arc::new(office);
    for track in &office.tracks {
        // A missing stream is an error here, where the follower would wait for it.
        let known = clock::ask(engine.jetstream(), &track.stream, &office.clock).await;
        known.map_err(ReadError::Unavailable)?;
        let reading = tokio::spawn(follower::follow(Arc::clone(&office), Arc::clone(track)));
        let reading = AbortOnDropHandle::new(reading);
        until_read(track).await?;
        drop(reading);
        witness::drain(&office, &mut to_audit).await;
    }
    Ok(office.alarms.list(None, usize::MAX).0)
}

async fn until_read(track: &Track) -> Result<(), ReadError> {
    let (mut read, mut since) = (0, Instant::now());
    loop {
        let (is_caught_up, last_seen) = {
            let book = track.book();
            (book.is_caught_up, book.last_seen)
        };
        // The last messages themselves may be gone by retention: caught up is all there is.
        if is_caught_up {
            return Ok(());
        }
        if last_seen > read {
            (read, since) = (last_seen, Instant::now());
        } else if since.elapsed() > SILENCE {
            let (stream, limit) = (&track.stream, SILENCE.as_secs());
            let why = format!("{stream}: nothing came after message {read} for {limit} s");
            return Err(ReadError::Unavailable(why));
        }
        tokio::time::sleep(LOOK).await;
    }
}

//! Holds participants at a point until a test lets them go.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use saga_engine::testing::{Fault, Faults, Place, Point};
use tokio::sync::watch;

use crate::runtime::world::until;

/// Which time a saga comes to a point with its step, and which with the undo of it.
const STEP: u32 = 1;
const UNDO: u32 = 2;

/// Holds every saga, or one, at one point, once.
#[derive(Clone)]
pub(super) struct Hold {
    point: Point,
    id: Option<String>,
    /// Which time the saga comes to the point, from 1.
    pass: u32,
    held: Arc<Mutex<BTreeSet<String>>>,
    open: Arc<watch::Sender<bool>>,
}

impl Hold {
    /// Where a participant first comes to the point with a saga: with the step, not with its undo.
    pub(super) fn step(point: Point) -> Self {
        Self::at(point, STEP)
    }

    /// Where it comes there for the second time: with the undo of its step.
    pub(super) fn undo(point: Point) -> Self {
        Self::at(point, UNDO)
    }

    fn at(point: Point, pass: u32) -> Self {
        let open = Arc::new(watch::Sender::new(false));
        Self { point, id: None, pass, held: Arc::default(), open }
    }

    /// [`Hold::step`] of one saga alone.
    pub(super) fn of(point: Point, id: &str) -> Self {
        Self { id: Some(id.to_owned()), ..Self::step(point) }
    }

    /// Waits until so many sagas stand here.
    pub(super) async fn until_held(&self, count: usize) {
        until(&format!("{count} stand at {}", self.point.name()), async || {
            let held = self.held.lock().unwrap().clone();
            (held.len() == count, held)
        })
        .await;
    }

    /// They go on, and nobody is held here any more.
    pub(super) fn let_go(&self) {
        self.open.send_replace(true);
    }

    async fn hold(&self, id: String) {
        self.held.lock().unwrap().insert(id);
        self.open.subscribe().wait_for(|&is_open| is_open).await.unwrap();
    }
}

/// What a participant asks so that these hold it.
pub(super) fn holding(holds: &[&Hold]) -> Faults {
    let holds: Vec<Hold> = holds.iter().map(|&hold| hold.clone()).collect();
    let passes: Arc<Mutex<BTreeMap<(String, Point), u32>>> = Arc::default();
    Faults::new(move |place: Place| {
        let pass = {
            let mut passes = passes.lock().unwrap();
            let pass = passes.entry((place.saga_id.clone(), place.point)).or_default();
            *pass += 1;
            *pass
        };
        let is_it = |hold: &&Hold| {
            let is_meant = hold.id.as_ref().is_none_or(|id| *id == place.saga_id);
            // An undo that is delivered once more while it stands here stands beside itself.
            let is_again = hold.pass == UNDO && pass > UNDO && place.attempt > 1;
            is_meant && hold.point == place.point && (hold.pass == pass || is_again)
        };
        let hold = holds.iter().find(is_it).cloned();
        async move {
            if let Some(hold) = hold {
                hold.hold(place.saga_id).await;
            }
            Fault::Proceed
        }
    })
}

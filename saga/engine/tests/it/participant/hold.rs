//! Holds participants at a point until a test lets them go.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use saga_core::Lane;
use saga_engine::testing::{Fault, Faults, Place, Point};
use tokio::sync::watch;

use crate::runtime::world::until;

/// Holds every saga, or one, at one point with the first message that brings it there in this lane.
#[derive(Clone)]
pub(super) struct Hold {
    point: Point,
    lane: Lane,
    id: Option<String>,
    /// The sequence of that message, by the saga's id.
    held: Arc<Mutex<BTreeMap<String, u64>>>,
    open: Arc<watch::Sender<bool>>,
}

impl Hold {
    /// Where a participant comes to the point with a step.
    pub(super) fn step(point: Point) -> Self {
        Self::at(point, Lane::Forward)
    }

    /// Where it comes there with the undo of a step.
    pub(super) fn undo(point: Point) -> Self {
        Self::at(point, Lane::Backward)
    }

    fn at(point: Point, lane: Lane) -> Self {
        let open = Arc::new(watch::Sender::new(false));
        Self { point, lane, id: None, held: Arc::default(), open }
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

    /// Whether this is to be held; a message that is delivered once more stands beside itself.
    fn holds(&self, place: &Place) -> bool {
        let is_meant = self.id.as_ref().is_none_or(|id| *id == place.saga_id);
        if !is_meant || self.point != place.point || place.lane != Some(self.lane) {
            return false;
        }
        let mut held = self.held.lock().unwrap();
        *held.entry(place.saga_id.clone()).or_insert(place.message) == place.message
    }

    async fn until_let_go(&self) {
        self.open.subscribe().wait_for(|&is_open| is_open).await.unwrap();
    }
}

/// What a participant asks so that these hold it.
pub(super) fn holding(holds: &[&Hold]) -> Faults {
    let holds: Vec<Hold> = holds.iter().map(|&hold| hold.clone()).collect();
    Faults::new(move |place: Place| {
        let hold = holds.iter().find(|hold| hold.holds(&place)).cloned();
        async move {
            if let Some(hold) = hold {
                hold.until_let_go().await;
            }
            Fault::Proceed
        }
    })
}

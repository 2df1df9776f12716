//! Fail-points: named places in a participant where a test comes between.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use saga_core::Lane;

/// A place in a participant's handling of one action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Point {
    /// The action was decided; nothing was read, called or committed.
    BeforeEffect,
    /// An effect outside the database is about to be called: its `begun` is committed.
    BeforeCall,
    /// The effect is committed; nothing was appended.
    AfterEffect,
    /// The event was appended.
    AfterAppend,
    /// Nothing is left to do but to acknowledge the message.
    BeforeAck,
}

impl Point {
    /// Its name on a command line: `after-effect`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BeforeEffect => "before-effect",
            Self::BeforeCall => "before-call",
            Self::AfterEffect => "after-effect",
            Self::AfterAppend => "after-append",
            Self::BeforeAck => "before-ack",
        }
    }

    /// Every point, in the order in which they are passed.
    pub const ALL: [Self; 5] = [
        Self::BeforeEffect,
        Self::BeforeCall,
        Self::AfterEffect,
        Self::AfterAppend,
        Self::BeforeAck,
    ];
}

/// Where a participant is when it asks the hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The point.
    pub point: Point,
    /// The service.
    pub service: String,
    /// The saga's id.
    pub saga_id: String,
    /// The step; `saga` at [`Point::BeforeAck`] and for a mirrored ending.
    pub step: String,
    /// Which way the message asks to go: whether the step is run, or undone or closed. `None` for a
    /// mirrored ending.
    pub lane: Option<Lane>,
    /// The sequence of the message.
    pub message: u64,
    /// Which delivery of the message this is, from 1.
    pub attempt: u32,
}

/// What happens at a fail-point. A hook that only wants to delay awaits and answers
/// [`Fault::Proceed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Go on.
    Proceed,
    /// As if the process died here: the message is neither acknowledged nor handed back, so it
    /// comes again when the consumer's `ack_wait` has passed.
    Die,
    /// As [`Fault::Die`], but the message is handed back, to come again after this pause.
    HandBack(Duration),
}

/// A hook that is asked at every [`Point`]. Unset it costs one comparison.
#[derive(Clone, Default)]
pub struct Faults(Option<Arc<dyn Fn(Place) -> BoxFuture<'static, Fault> + Send + Sync>>);

impl Faults {
    /// Asks `hook` at every point.
    pub fn new<F, R>(hook: F) -> Self
    where
        F: Fn(Place) -> R + Send + Sync + 'static,
        R: Future<Output = Fault> + Send + 'static,
    {
        Self(Some(Arc::new(move |place| Box::pin(hook(place)))))
    }

    /// Asks the hook, if there is one.
    pub(crate) async fn ask(&self, place: impl FnOnce() -> Place) -> Fault {
        match &self.0 {
            None => Fault::Proceed,
            Some(hook) => hook(place()).await,
        }
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Faults").field(&self.0.is_some()).finish()
    }
}

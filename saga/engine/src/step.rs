//! What a service author writes: one [`Step`] per step, and a [`Mirror`] for endings.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use saga_core::{Cause, Json, Reason};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// One step of a saga, as its service performs it.
///
/// A *local* step decides from what it loads and answers with [`Step::Work`], which the engine
/// commits together with the barrier row: it does nothing else. An *outside* step
/// ([`Step::outside`]) calls somebody else; the engine commits `begun` before the call.
pub trait Step: Send + Sync + 'static {
    /// The saga's input.
    type Input: DeserializeOwned + Send + Sync + 'static;
    /// What the step puts out.
    type Output: Serialize + DeserializeOwned + Send + Sync + 'static;
    /// The business change in the terms of the participant's [`crate::Barrier`].
    type Work: Send + Sync + Default + 'static;

    /// For an effect outside the participant's database: how long one call may take at most, its
    /// own time-out included. `None`: the effect is the [`Step::Work`].
    fn outside(&self) -> Option<Duration> {
        None
    }

    /// Runs the step.
    fn run(
        &self,
        job: &Job<Self::Input>,
    ) -> impl Future<Output = Answer<Self::Output, Self::Work>> + Send;

    /// Runs the step for several sagas whose work is committed in one transaction: override it to
    /// load what all of them need at once and to decide each in order over what was loaded. One
    /// answer per job, in their order.
    fn run_all(
        &self,
        jobs: &[Job<Self::Input>],
    ) -> impl Future<Output = Vec<Answer<Self::Output, Self::Work>>> + Send {
        futures::future::join_all(jobs.iter().map(|job| self.run(job)))
    }

    /// Undoes the step. Must succeed when nothing happened (`job.output` is then unknown), and must
    /// make a late arrival of the effect harmless. Never called for pivot and retriable steps.
    fn undo(
        &self,
        job: &Undo<Self::Input, Self::Output>,
    ) -> impl Future<Output = UndoAnswer<Self::Work>> + Send;

    /// [`Step::run_all`] for undos.
    fn undo_all(
        &self,
        jobs: &[Undo<Self::Input, Self::Output>],
    ) -> impl Future<Output = Vec<UndoAnswer<Self::Work>>> + Send {
        futures::future::join_all(jobs.iter().map(|job| self.undo(job)))
    }

    /// Finds out what became of a call outside whose answer was lost.
    fn resolve(
        &self,
        _job: &Job<Self::Input>,
    ) -> impl Future<Output = Resolution<Self::Output, Self::Work>> + Send {
        async { Resolution::Unknown("this step has no way to ask".to_owned()) }
    }

    /// For an audit: compares what the service keeps of this step's effects with what the log says
    /// of them. One list of findings per check, in their order and in words; an empty one, or none
    /// at all, says that nothing is wrong. Changes nothing.
    ///
    /// # Errors
    /// Why it could not be looked at.
    fn audit(
        &self,
        _checks: &[Check<Self::Input, Self::Output>],
    ) -> impl Future<Output = Result<Vec<Vec<String>>, String>> + Send {
        async { Ok(Vec::new()) }
    }

    /// For an audit: checks what concerns no single saga, such as sums over all of them. Changes
    /// nothing.
    ///
    /// # Errors
    /// Why it could not be looked at.
    fn audit_sums(&self) -> impl Future<Output = Result<Vec<String>, String>> + Send {
        async { Ok(Vec::new()) }
    }
}

/// A step of a saga, to be compared with what its service keeps of it.
#[derive(Debug, Clone)]
pub struct Check<I, O> {
    /// The saga type.
    pub saga_type: String,
    /// The saga's id.
    pub saga_id: String,
    /// The step.
    pub step: String,
    /// The effect's idempotency key `<type>.<id>.<step>`.
    pub effect_id: String,
    /// The saga's input.
    pub input: I,
    /// What there has to be.
    pub expected: Expected<O>,
}

/// What a service has to keep of a step's effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected<O> {
    /// The whole effect, with this output: the step is done and was not undone.
    Held(O),
    /// Nothing: the step was refused, undone, or never run.
    Nothing,
    /// Either, or something between: the saga has not ended, or a person settled the step. Only
    /// what contradicts itself is wrong.
    Open,
}

/// A step to run.
#[derive(Debug, Clone)]
pub struct Job<I> {
    /// The saga type.
    pub saga_type: String,
    /// The saga's id.
    pub saga_id: String,
    /// The step.
    pub step: String,
    /// The effect's idempotency key `<type>.<id>.<step>`, to be handed on outside.
    pub effect_id: String,
    /// Which delivery of its trigger this is, from 1.
    pub attempt: u32,
    /// Time left until the step's time-out; zero when it has passed or is not known.
    pub left: Duration,
    /// When the saga's event that made the step ready was stored: milliseconds since the epoch, by
    /// the server's clock.
    pub at_ms: i64,
    /// The saga's input.
    pub input: I,
    /// Outputs of all steps that are done or skipped.
    pub outputs: BTreeMap<String, Json>,
    /// W3C trace context of the saga, for calls to others.
    pub traceparent: Option<String>,
}

impl<I> Job<I> {
    /// The output of an earlier step.
    ///
    /// # Errors
    /// When there is none, or it is not a `T`.
    pub fn output_of<T: DeserializeOwned>(&self, step: &str) -> Result<T, serde_json::Error> {
        T::deserialize(self.outputs.get(step).map_or(&Value::Null, |output| output))
    }
}

/// A step to undo.
#[derive(Debug, Clone)]
pub struct Undo<I, O> {
    /// The step as it was run. `effect_id` is the *run's* key; `attempt` counts the undo's.
    pub job: Job<I>,
    /// The undo's own idempotency key `<type>.<id>.<step>.undo`.
    pub undo_id: String,
    /// What the step put out; `None` when nobody knows whether it happened.
    pub output: Option<O>,
    /// Why the saga rolls back: the step that began it, code and detail; as in the record.
    pub cause: Option<Cause>,
}

/// What came of running a step.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer<O, W> {
    /// The output and the work to commit with it.
    Done(O, W),
    /// A business no: nothing remains, the saga rolls back. The work is committed with the refusal.
    Refused(Reason, W),
    /// Transient; nothing remains. Comes again after the step's backoff, or after this pause.
    Again(Option<Duration>, String),
    /// It may have happened: [`Step::resolve`] is asked next. Only for outside steps.
    Unknown(String),
}

impl<O, W: Default> Answer<O, W> {
    /// [`Answer::Refused`] without work.
    pub fn refused(code: &str, detail: &str) -> Self {
        Self::Refused(Reason::new(code, detail), W::default())
    }

    /// [`Answer::Again`] after the step's own backoff.
    pub fn again(why: impl std::fmt::Display) -> Self {
        Self::Again(None, why.to_string())
    }
}

/// What came of undoing a step.
#[derive(Debug, Clone, PartialEq)]
pub enum UndoAnswer<W> {
    /// Nothing of the effect remains once this work is committed.
    Undone(W),
    /// Transient. Comes again after the step's backoff, or after this pause.
    Again(Option<Duration>, String),
    /// It cannot be undone: a person is needed.
    GiveUp(Reason),
}

/// What became of a call outside.
#[derive(Debug, Clone, PartialEq)]
pub enum Resolution<O, W> {
    /// It happened.
    Done(O, W),
    /// It was refused.
    Refused(Reason, W),
    /// It did not happen: it may be called again under the same effect id.
    NotHappened,
    /// Still unknown.
    Unknown(String),
}

/// Follows the endings of sagas into a service's own database (an order's status, a mail).
pub trait Mirror: Send + Sync + 'static {
    /// The saga's input.
    type Input: DeserializeOwned + Send + Sync + 'static;
    /// As [`Step::Work`].
    type Work: Send + Sync + Default + 'static;

    /// Whether endings with this status are taken note of; others cost no transaction and leave no
    /// row. It must not change, or what came before the change was never noted.
    fn concerns(&self, _status: saga_core::Status) -> bool {
        true
    }

    /// Takes note of endings (completed, rolled back, or stuck). One answer per ending, in their
    /// order; each is committed once, and never after a later one of the same saga.
    fn ended(
        &self,
        endings: &[Ending<Self::Input>],
    ) -> impl Future<Output = Vec<MirrorAnswer<Self::Work>>> + Send;

    /// For an audit: compares what the service keeps with these endings, all of which it took note
    /// of, or that do not concern it. One list of findings per ending, in their order and in words; an empty one, or none at
    /// all, says that nothing is wrong. Changes nothing.
    ///
    /// # Errors
    /// Why it could not be looked at.
    fn audit(
        &self,
        _endings: &[Ending<Self::Input>],
    ) -> impl Future<Output = Result<Vec<Vec<String>>, String>> + Send {
        async { Ok(Vec::new()) }
    }
}

/// A saga that ended or got stuck.
#[derive(Debug, Clone)]
pub struct Ending<I> {
    /// The saga's last record.
    pub record: saga_core::Record,
    /// Its input.
    pub input: I,
    /// When its last event was stored: milliseconds since the epoch, by the server's clock.
    pub at_ms: i64,
    /// An idempotency key for effects outside: `<type>.<id>.<status>`.
    pub effect_id: String,
    /// W3C trace context of the saga.
    pub traceparent: Option<String>,
}

/// What came of mirroring an ending.
#[derive(Debug, Clone, PartialEq)]
pub enum MirrorAnswer<W> {
    /// Commit this.
    Commit(W),
    /// Not now. Comes again after a growing pause, or after this one.
    Again(Option<Duration>, String),
}

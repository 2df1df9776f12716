//! Steps and mirrors of any type behind one object-safe face that speaks JSON.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt as _;
use saga_core::{Json, Reason};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::step::{
    Answer, Check, Ending, Expected, Job, Mirror, MirrorAnswer, Resolution, Step, Undo, UndoAnswer,
};

/// The reason of a step whose input its service cannot read.
pub(crate) const BAD_INPUT: &str = "input_mismatch";
/// The reason of an undo whose step's output its service cannot read any more.
const BAD_OUTPUT: &str = "output_mismatch";

/// A [`Step`] of any type.
#[async_trait]
pub(crate) trait Handler<W>: Send + Sync {
    fn outside(&self) -> Option<Duration>;
    fn reads_input(&self, input: &Value) -> Result<(), String>;
    fn reads_output(&self, output: &Value) -> Result<(), String>;
    async fn run_all(&self, jobs: &[&Job<Json>]) -> Vec<Answer<Value, W>>;
    async fn undo_all(&self, jobs: &[&Undo<Json, Value>]) -> Vec<UndoAnswer<W>>;
    async fn resolve(&self, job: &Job<Json>) -> Resolution<Value, W>;
    async fn audit(&self, checks: &[&Check<Json, Json>]) -> Audited;
    async fn audit_sums(&self) -> Result<Vec<String>, String>;
}

/// Findings, one list for each thing that was looked at, or why it could not be looked at.
pub(crate) type Audited = Result<Vec<Vec<String>>, String>;

/// A [`Mirror`] of any type.
#[async_trait]
pub(crate) trait Endings<W>: Send + Sync {
    fn reads_input(&self, input: &Value) -> Result<(), String>;
    fn concerns(&self, status: saga_core::Status) -> bool;
    async fn ended(&self, endings: &[&Ending<Json>]) -> Vec<MirrorAnswer<W>>;
    async fn audit(&self, endings: &[&Ending<Json>]) -> Audited;
}

pub(crate) struct Typed<S>(pub(crate) S);

#[async_trait]
impl<S: Step> Handler<S::Work> for Typed<S> {
    fn outside(&self) -> Option<Duration> {
        self.0.outside()
    }

    fn reads_input(&self, input: &Value) -> Result<(), String> {
        read::<S::Input>(input).map(drop)
    }

    fn reads_output(&self, output: &Value) -> Result<(), String> {
        read::<S::Output>(output).map(drop)
    }

    async fn run_all(&self, jobs: &[&Job<Json>]) -> Vec<Answer<Value, S::Work>> {
        let (jobs, mut slots) =
            readable(jobs, typed::<S::Input>, |why| Answer::refused(BAD_INPUT, &why));
        let answers = if jobs.is_empty() { Vec::new() } else { self.0.run_all(&jobs).await };
        fill(&mut slots, answers.into_iter().map(written));
        all(slots, || Answer::again("run_all gave fewer answers than there were jobs"))
    }

    async fn undo_all(&self, jobs: &[&Undo<Json, Value>]) -> Vec<UndoAnswer<S::Work>> {
        let (jobs, mut slots) = readable(jobs, typed_undo::<S>, UndoAnswer::GiveUp);
        let answers = if jobs.is_empty() { Vec::new() } else { self.0.undo_all(&jobs).await };
        fill(&mut slots, answers.into_iter());
        let why = "undo_all gave fewer answers than there were jobs";
        all(slots, || UndoAnswer::Again(None, why.to_owned()))
    }

    async fn resolve(&self, job: &Job<Json>) -> Resolution<Value, S::Work> {
        match typed::<S::Input>(job) {
            Err(why) => Resolution::Unknown(why),
            Ok(job) => match self.0.resolve(&job).await {
                Resolution::Done(output, work) => match serde_json::to_value(output) {
                    Ok(output) => Resolution::Done(output, work),
                    Err(error) => Resolution::Unknown(unwritable(&error)),
                },
                Resolution::Refused(reason, work) => Resolution::Refused(reason, work),
                Resolution::NotHappened => Resolution::NotHappened,
                Resolution::Unknown(why) => Resolution::Unknown(why),
            },
        }
    }

    async fn audit(&self, checks: &[&Check<Json, Json>]) -> Audited {
        let (checks, mut slots) = readable(checks, typed_check::<S>, |why: String| vec![why]);
        let found = if checks.is_empty() { Vec::new() } else { self.0.audit(&checks).await? };
        fill(&mut slots, found.into_iter());
        Ok(all(slots, Vec::new))
    }

    async fn audit_sums(&self) -> Result<Vec<String>, String> {
        self.0.audit_sums().await
    }
}

#[async_trait]
impl<M: Mirror> Endings<M::Work> for Typed<M> {
    fn reads_input(&self, input: &Value) -> Result<(), String> {
        read::<M::Input>(input).map(drop)
    }

    fn concerns(&self, status: saga_core::Status) -> bool {
        self.0.concerns(status)
    }

    async fn ended(&self, endings: &[&Ending<Json>]) -> Vec<MirrorAnswer<M::Work>> {
        let (endings, mut slots) =
            readable(endings, typed_ending::<M>, |why| MirrorAnswer::Again(None, why));
        let answers = if endings.is_empty() { Vec::new() } else { self.0.ended(&endings).await };
        fill(&mut slots, answers.into_iter());
        let why = "ended gave fewer answers than there were endings";
        all(slots, || MirrorAnswer::Again(None, why.to_owned()))
    }

    async fn audit(&self, endings: &[&Ending<Json>]) -> Audited {
        let (endings, mut slots) = readable(endings, typed_ending::<M>, |why: String| vec![why]);
        let found = if endings.is_empty() { Vec::new() } else { self.0.audit(&endings).await? };
        fill(&mut slots, found.into_iter());
        Ok(all(slots, Vec::new))
    }
}

/// Calls a handler with a bound; a panic or a time-out is a reason to try again.
pub(crate) async fn guarded<A>(
    limit: Duration,
    call: impl Future<Output = A> + Send,
) -> Result<A, String> {
    match tokio::time::timeout(limit, AssertUnwindSafe(call).catch_unwind()).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(panic)) => {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            Err(format!("the handler panicked: {}", text.unwrap_or_default()))
        }
        Err(_elapsed) => Err(format!("the handler took longer than {} ms", limit.as_millis())),
    }
}

fn read<T: DeserializeOwned>(value: &Value) -> Result<T, String> {
    T::deserialize(value).map_err(|error| error.to_string())
}

fn typed<I: DeserializeOwned>(job: &Job<Json>) -> Result<Job<I>, String> {
    Ok(Job {
        input: read::<I>(&job.input)?,
        saga_type: job.saga_type.clone(),
        saga_id: job.saga_id.clone(),
        step: job.step.clone(),
        effect_id: job.effect_id.clone(),
        attempt: job.attempt,
        left: job.left,
        at_ms: job.at_ms,
        outputs: job.outputs.clone(),
        traceparent: job.traceparent.clone(),
    })
}

fn typed_undo<S: Step>(undo: &Undo<Json, Value>) -> Result<Undo<S::Input, S::Output>, Reason> {
    let job = typed(&undo.job).map_err(|why| Reason::new(BAD_INPUT, &why))?;
    let output = undo.output.as_ref().map(read::<S::Output>).transpose();
    let output = output.map_err(|why| Reason::new(BAD_OUTPUT, &why))?;
    Ok(Undo { job, undo_id: undo.undo_id.clone(), output, cause: undo.cause.clone() })
}

fn typed_ending<M: Mirror>(ending: &Ending<Json>) -> Result<Ending<M::Input>, String> {
    Ok(Ending {
        input: read::<M::Input>(&ending.input)?,
        record: ending.record.clone(),
        at_ms: ending.at_ms,
        effect_id: ending.effect_id.clone(),
        traceparent: ending.traceparent.clone(),
    })
}

fn typed_check<S: Step>(check: &Check<Json, Json>) -> Result<Check<S::Input, S::Output>, String> {
    Ok(Check {
        saga_type: check.saga_type.clone(),
        saga_id: check.saga_id.clone(),
        step: check.step.clone(),
        effect_id: check.effect_id.clone(),
        input: read::<S::Input>(&check.input)?,
        expected: match &check.expected {
            Expected::Held(output) => Expected::Held(read::<S::Output>(output)?),
            Expected::Nothing => Expected::Nothing,
            Expected::Open => Expected::Open,
        },
    })
}

/// Those that can be read, and one slot per job that holds the answer of those that cannot.
fn readable<J, T, E, A>(
    jobs: &[&J],
    read: impl Fn(&J) -> Result<T, E>,
    refuse: impl Fn(E) -> A,
) -> (Vec<T>, Vec<Option<A>>) {
    let mut good = Vec::with_capacity(jobs.len());
    let slots = jobs.iter().map(|job| match read(job) {
        Ok(job) => {
            good.push(job);
            None
        }
        Err(why) => Some(refuse(why)),
    });
    let slots = slots.collect();
    (good, slots)
}

fn fill<A>(slots: &mut [Option<A>], mut answers: impl Iterator<Item = A>) {
    for slot in slots.iter_mut().filter(|slot| slot.is_none()) {
        *slot = answers.next();
    }
}

fn all<A>(slots: Vec<Option<A>>, missing: impl Fn() -> A) -> Vec<A> {
    slots.into_iter().map(|slot| slot.unwrap_or_else(&missing)).collect()
}

fn written<O: Serialize, W>(answer: Answer<O, W>) -> Answer<Value, W> {
    match answer {
        Answer::Done(output, work) => match serde_json::to_value(output) {
            Ok(output) => Answer::Done(output, work),
            Err(error) => Answer::Again(None, unwritable(&error)),
        },
        Answer::Refused(reason, work) => Answer::Refused(reason, work),
        Answer::Again(pause, why) => Answer::Again(pause, why),
        Answer::Unknown(why) => Answer::Unknown(why),
    }
}

fn unwritable(error: &serde_json::Error) -> String {
    format!("the output is not JSON: {error}")
}

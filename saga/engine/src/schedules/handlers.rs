//! What services do: steps with an effect in their database or at a provider, and a mirror.

use std::sync::Arc;
use std::time::Duration;

use saga_core::{Kind, Reason};
use serde_json::Value;

use super::cases::Flaw;
use super::ledger::{Effect, Promise};
use super::stage::{Adrift, Process, Stage};
use super::store::Work;
use super::weather::{Gate, Luck};
use crate::step::{Answer, Ending, Job, Mirror, MirrorAnswer, Resolution, Step, Undo, UndoAnswer};

/// How long a call of the provider may take.
const CALL: Duration = Duration::from_secs(2);

/// Who performs a step in one process.
#[derive(Clone)]
pub(super) struct Performer {
    pub(super) stage: Arc<Stage>,
    pub(super) process: Process,
    pub(super) is_outside: bool,
    pub(super) kind: Kind,
}

fn refusal() -> Reason {
    Reason::new("refused", "not today")
}

impl Performer {
    async fn touch(&self, gate: Gate, effect: &str) -> Luck {
        let luck = self.stage.touch(self.process, gate, || effect.to_owned()).await;
        self.allowed(luck)
    }

    /// Not every step may do everything.
    fn allowed(&self, luck: Luck) -> Luck {
        match luck {
            Luck::Refused if self.kind == Kind::Retriable => Luck::Fails,
            // Nobody could ever get rid of it.
            Luck::Huge if self.kind != Kind::Compensable => Luck::Good,
            luck => luck,
        }
    }

    fn output(&self, job: &Job<Value>, luck: Luck) -> Value {
        let is_big = job.input["big"].as_bool().unwrap_or(false);
        self.stage.state().output(is_big, luck)
    }

    async fn run_here(&self, job: &Job<Value>) -> Answer<Value, Work> {
        let effect = job.effect_id.clone();
        match self.touch(Gate::Run, &effect).await {
            Luck::Refused => Answer::Refused(refusal(), Work::Nothing),
            Luck::Fails => Answer::again("not now"),
            luck => {
                let output = self.output(job, luck);
                Answer::Done(output.clone(), Work::Happens(effect, output))
            }
        }
    }

    async fn call(&self, job: &Job<Value>) -> Answer<Value, Work> {
        let effect = &job.effect_id;
        let output = self.output(job, Luck::Good);
        let adrift = || Adrift::Call(effect.clone(), output.clone());
        let (label, late) = (|| effect.clone(), || Some(adrift()));
        let luck = self.stage.touch_late(self.process, Gate::Call, label, late).await;
        let luck = self.allowed(luck);
        let is_known = self.stage.state().ledger.effect(effect) != Effect::Never;
        match luck {
            Luck::Fails if !is_known => return Answer::again("not now"),
            Luck::Adrift => {
                self.stage.state().adrift.push(adrift());
                return Answer::Unknown("nobody answers".to_owned());
            }
            _ => {}
        }
        let known = {
            let mut state = self.stage.state();
            let known = match luck {
                Luck::Refused => state.ledger.refuse(effect),
                Luck::Huge => {
                    let is_big = job.input["big"].as_bool().unwrap_or(false);
                    let output = state.output(is_big, luck);
                    state.ledger.call(effect, output)
                }
                _ => state.ledger.call(effect, output),
            };
            state.say(|| format!("  at the provider {effect} is {known:?}"));
            known
        };
        if luck == Luck::Silent {
            return Answer::Unknown("nobody answers".to_owned());
        }
        self.stage.touch(self.process, Gate::Answer, || "of the provider".to_owned()).await;
        match known {
            Effect::Live(output) => Answer::Done(output, Work::Nothing),
            _ if self.kind == Kind::Retriable => Answer::again("refused"),
            _ => Answer::Refused(refusal(), Work::Nothing),
        }
    }

    async fn undo_here(&self, job: &Undo<Value, Value>) -> UndoAnswer<Work> {
        let effect = job.job.effect_id.clone();
        match self.touch(Gate::Undo, &effect).await {
            Luck::Fails => UndoAnswer::Again(None, "not now".to_owned()),
            Luck::GivesUp => UndoAnswer::GiveUp(Reason::new("hopeless", "it is too late")),
            _ => {
                self.knows_output(&effect, job.output.as_ref());
                UndoAnswer::Undone(Work::Unhappens(effect))
            }
        }
    }

    /// An undo is told what the run put out.
    fn knows_output(&self, effect: &str, told: Option<&Value>) {
        let mut state = self.stage.state();
        if let Effect::Live(output) = state.ledger.effect(effect)
            && told.is_some_and(|told| *told != output)
        {
            let why = format!("the undo of {effect} is told {told:?}, not {output}");
            state.check(Err((Promise::Agrees, why)));
        }
    }

    async fn call_undo(&self, job: &Undo<Value, Value>) -> UndoAnswer<Work> {
        let effect = &job.job.effect_id;
        let luck = self.touch(Gate::CallUndo, effect).await;
        match luck {
            Luck::Fails => return UndoAnswer::Again(None, "not now".to_owned()),
            Luck::GivesUp => {
                return UndoAnswer::GiveUp(Reason::new("hopeless", "it is too late"));
            }
            _ => {}
        }
        self.knows_output(effect, job.output.as_ref());
        {
            let mut state = self.stage.state();
            let is_unheard_of = state.ledger.effect(effect) == Effect::Never;
            if !(is_unheard_of && state.flaw == Flaw::BelievesProvider) {
                let found = state.ledger.cancel(effect);
                state.check(found);
                let known = state.ledger.effect(effect);
                state.say(|| format!("  at the provider {effect} is {known:?}"));
            }
        }
        if luck == Luck::Silent {
            return UndoAnswer::Again(None, "nobody answers".to_owned());
        }
        self.stage.touch(self.process, Gate::Answer, || "of the provider".to_owned()).await;
        UndoAnswer::Undone(Work::Nothing)
    }
}

impl Step for Performer {
    type Input = Value;
    type Output = Value;
    type Work = Work;

    fn outside(&self) -> Option<Duration> {
        self.is_outside.then_some(CALL)
    }

    async fn run(&self, job: &Job<Value>) -> Answer<Value, Work> {
        if self.is_outside { self.call(job).await } else { self.run_here(job).await }
    }

    async fn undo(&self, job: &Undo<Value, Value>) -> UndoAnswer<Work> {
        if self.is_outside { self.call_undo(job).await } else { self.undo_here(job).await }
    }

    async fn resolve(&self, job: &Job<Value>) -> Resolution<Value, Work> {
        let effect = &job.effect_id;
        if self.touch(Gate::Resolve, effect).await == Luck::Unknown {
            return Resolution::Unknown("nobody answers".to_owned());
        }
        match self.stage.state().ledger.effect(effect) {
            Effect::Never => Resolution::NotHappened,
            Effect::Live(output) => Resolution::Done(output, Work::Nothing),
            _ if self.kind == Kind::Retriable => Resolution::NotHappened,
            _ => Resolution::Refused(refusal(), Work::Nothing),
        }
    }
}

impl Mirror for Performer {
    type Input = Value;
    type Work = Work;

    async fn ended(&self, endings: &[Ending<Value>]) -> Vec<MirrorAnswer<Work>> {
        let mut answers = Vec::with_capacity(endings.len());
        for ending in endings {
            let (id, n) = (ending.record.id.clone(), ending.record.n);
            let luck = self.touch(Gate::Run, &ending.effect_id).await;
            answers.push(match luck {
                Luck::Fails => MirrorAnswer::Again(None, "not now".to_owned()),
                _ => MirrorAnswer::Commit(Work::Mirrored(id, n)),
            });
        }
        answers
    }
}

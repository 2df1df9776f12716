//! A local step that does what the saga's input tells it to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use saga_core::Reason;
use saga_engine::{Answer, Job, Step, Undo, UndoAnswer};
use serde_json::{Value, json};

use crate::runtime::books::Entry;

/// Answers as `input.run.<step>` and `input.undo.<step>` say, one word per attempt; after the last
/// word, and without any, it works.
#[derive(Debug, Clone, Default)]
pub(super) struct Acts {
    is_healed: Arc<AtomicBool>,
}

impl Acts {
    /// From now on the undo of a step that is `input.stubborn` works, which was given up before.
    pub(super) fn heal(&self) {
        self.is_healed.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_stubborn(&self, input: &Value, step: &str) -> bool {
        input["stubborn"] == step && !self.is_healed.load(Ordering::SeqCst)
    }
}

/// The word of the script for this attempt (or call), from 1.
pub(super) fn word<'a>(input: &'a Value, part: &str, step: &str, number: usize) -> &'a str {
    input[part][step][number - 1].as_str().unwrap_or("works")
}

/// Why an undo was given up.
pub(super) fn stubborn() -> Reason {
    Reason::new("stubborn", "it stays as it is")
}

impl Step for Acts {
    type Input = Value;
    type Output = Value;
    type Work = Entry;

    async fn run(&self, job: &Job<Value>) -> Answer<Value, Entry> {
        let attempt = usize::try_from(job.attempt).unwrap();
        match word(&job.input, "run", &job.step, attempt) {
            "again" => Answer::again("not yet"),
            "refused" => Answer::refused("full", "no room"),
            "panic" => panic!("{} cannot bear it", job.effect_id),
            "works" => {
                let saw: Vec<&String> = job.outputs.keys().collect();
                Answer::Done(json!({ "of": job.step, "saw": saw }), Entry::Did)
            }
            other => panic!("no such word: {other}"),
        }
    }

    async fn undo(&self, undo: &Undo<Value, Value>) -> UndoAnswer<Entry> {
        let job = &undo.job;
        assert_eq!(undo.output.as_ref().unwrap()["of"], job.step, "{}", undo.undo_id);
        if self.is_stubborn(&job.input, &job.step) {
            return UndoAnswer::GiveUp(stubborn());
        }
        let attempt = usize::try_from(job.attempt).unwrap();
        match word(&job.input, "undo", &job.step, attempt) {
            "again" => UndoAnswer::Again(None, "not yet".to_owned()),
            "works" => UndoAnswer::Undone(Entry::Undid),
            other => panic!("no such word: {other}"),
        }
    }
}

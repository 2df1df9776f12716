//! Somebody outside who keeps effects by their id, and a step that calls him.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use saga_core::Reason;
use saga_engine::{Answer, Job, Resolution, Step, Undo, UndoAnswer};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::acts::{Acts, stubborn, word};
use crate::runtime::books::Entry;

/// What stands outside under one effect id.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Standing {
    #[default]
    Nothing,
    Stands,
    /// For good: an effect that arrives later is turned away.
    Cancelled,
    Declined,
}

/// What was asked about one effect id, and what came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) standing: Standing,
    pub(super) calls: usize,
    pub(super) asks: usize,
    pub(super) cancels: usize,
    /// How often the effect came to stand, and how often it was taken away.
    pub(super) made: usize,
    pub(super) taken: usize,
}

/// Idempotent by effect id, as the engine asks of whoever is called. Clones are the same one.
#[derive(Clone)]
pub(super) struct Provider {
    accounts: Arc<Mutex<BTreeMap<String, Account>>>,
    /// How many of its gates are open: that of calls first, then that of undos.
    open: Arc<watch::Sender<usize>>,
}

impl Default for Provider {
    fn default() -> Self {
        Self { accounts: Arc::default(), open: Arc::new(watch::Sender::new(0)) }
    }
}

impl Provider {
    /// What is known of a saga's step.
    pub(super) fn account(&self, id: &str, step: &str) -> Account {
        let effect_id = format!("trip.{id}.{step}");
        self.accounts.lock().unwrap().get(&effect_id).cloned().unwrap_or_default()
    }

    /// Lets those go on who wait in the middle of a call.
    pub(super) fn open_calls(&self) {
        self.open.send_replace(1);
    }

    /// Lets those go on who wait in the middle of an undo.
    pub(super) fn open_undos(&self) {
        self.open.send_replace(2);
    }

    async fn until_open(&self, gate: usize) {
        self.open.subscribe().wait_for(|&open| open >= gate).await.unwrap();
    }

    fn change<T>(&self, effect_id: &str, change: impl FnOnce(&mut Account) -> T) -> T {
        change(self.accounts.lock().unwrap().entry(effect_id.to_owned()).or_default())
    }

    fn make(&self, effect_id: &str) -> Standing {
        self.change(effect_id, |account| {
            if account.standing == Standing::Nothing {
                account.made += 1;
                account.standing = Standing::Stands;
            }
            account.standing
        })
    }

    fn take(&self, effect_id: &str) {
        self.change(effect_id, |account| {
            account.taken += usize::from(account.standing == Standing::Stands);
            account.standing = Standing::Cancelled;
        });
    }
}

/// Calls the provider, as `input.run.<step>` (by call), `input.ask.<step>` (by question) and
/// `input.undo.<step>` (by undo) say; after the last word, and without any, it works.
#[derive(Clone)]
pub(super) struct Abroad {
    pub(super) provider: Provider,
    pub(super) acts: Acts,
    pub(super) limit: Duration,
}

fn receipt() -> Value {
    json!({ "receipt": 1 })
}

impl Step for Abroad {
    type Input = Value;
    type Output = Value;
    type Work = Entry;

    fn outside(&self) -> Option<Duration> {
        Some(self.limit)
    }

    async fn run(&self, job: &Job<Value>) -> Answer<Value, Entry> {
        let id = &job.effect_id;
        let number = self.provider.change(id, |account| {
            account.calls += 1;
            account.calls
        });
        let lost = || Answer::Unknown("the connection broke".to_owned());
        match word(&job.input, "run", &job.step, number) {
            "again" => return Answer::again("too busy"),
            "later" => return Answer::Again(Some(Duration::from_millis(300)), "busy".to_owned()),
            "refused" => return Answer::refused("full", "no room"),
            "unsent" => return lost(),
            "declined" => {
                self.provider.change(id, |account| account.standing = Standing::Declined);
                return lost();
            }
            "gated" => self.provider.until_open(1).await,
            _ => {}
        }
        if self.provider.make(id) != Standing::Stands {
            return Answer::refused("cancelled", "it was called off");
        }
        match word(&job.input, "run", &job.step, number) {
            "lost" => lost(),
            "silent" => std::future::pending().await,
            "panic" => panic!("{id} cannot bear the answer"),
            "works" | "gated" => Answer::Done(receipt(), Entry::Did),
            other => panic!("no such word: {other}"),
        }
    }

    async fn resolve(&self, job: &Job<Value>) -> Resolution<Value, Entry> {
        let (number, standing) = self.provider.change(&job.effect_id, |account| {
            account.asks += 1;
            (account.asks, account.standing)
        });
        if word(&job.input, "ask", &job.step, number) == "unknown" {
            return Resolution::Unknown("nobody answers".to_owned());
        }
        let refused = |code: &str| Resolution::Refused(Reason::new(code, ""), Entry::Nothing);
        match standing {
            Standing::Nothing => Resolution::NotHappened,
            Standing::Stands => Resolution::Done(receipt(), Entry::Did),
            Standing::Cancelled => refused("cancelled"),
            Standing::Declined => refused("declined"),
        }
    }

    async fn undo(&self, undo: &Undo<Value, Value>) -> UndoAnswer<Entry> {
        let job = &undo.job;
        let number = self.provider.change(&job.effect_id, |account| {
            account.cancels += 1;
            account.cancels
        });
        if self.acts.is_stubborn(&job.input, &job.step) {
            return UndoAnswer::GiveUp(stubborn());
        }
        let again = || UndoAnswer::Again(None, "no answer".to_owned());
        match word(&job.input, "undo", &job.step, number) {
            "again" => return again(),
            "gated" => self.provider.until_open(2).await,
            _ => {}
        }
        self.provider.take(&job.effect_id);
        match word(&job.input, "undo", &job.step, number) {
            "lost" => again(),
            "works" | "gated" => UndoAnswer::Undone(Entry::Undid),
            other => panic!("no such word: {other}"),
        }
    }
}

//! Where everything meets that a schedule decides about: whoever touches the world outside waits
//! here until the schedule lets it go on, and how.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use saga_core::Plan;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::cases::Flaw;
use super::dice::Dice;
use super::ledger::{Ledger, Promise};
use super::post::Post;
use super::weather::{Gate, Luck, Weather};
use crate::log::{Append, Stored};

/// When schedules begin: milliseconds since the epoch.
const BEGIN_MS: i64 = 1_800_000_000_000;

/// A process: what dies at once.
pub(super) type Process = u32;

/// What is on its way, though nobody waits for it any more.
#[derive(Debug)]
pub(super) enum Adrift {
    Append(Box<Append>),
    Call(String, Value),
}

/// Somebody who waits.
#[derive(Debug)]
pub(super) struct Waiting {
    process: Process,
    gate: Gate,
    label: String,
    /// What arrives all the same if whoever waits dies or gives up.
    late: Option<Adrift>,
    go: oneshot::Sender<Luck>,
}

/// What a schedule knows.
pub(super) struct State {
    pub(super) dice: Dice,
    pub(super) weather: Weather,
    pub(super) flaw: Flaw,
    /// Nothing goes wrong any more.
    pub(super) is_calm: bool,
    pub(super) waiting: Vec<Waiting>,
    pub(super) adrift: Vec<Adrift>,
    pub(super) ledger: Ledger,
    pub(super) post: Post,
    /// Every message of the log, in order.
    pub(super) stored: Vec<Arc<Stored>>,
    /// Acknowledged appends: sequence and id of the attempt.
    pub(super) acknowledged: Vec<(u64, String)>,
    pub(super) broken: Option<(Promise, String)>,
    /// What happened, if somebody wants to read it.
    pub(super) trace: Option<Vec<String>>,
    living: BTreeSet<Process>,
    processes: Process,
    /// Tells one output from another.
    outputs: u64,
}

impl State {
    pub(super) fn say(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            let line = line();
            trace.push(line);
        }
    }

    /// Notes what is broken; the first of it counts.
    pub(super) fn check(&mut self, found: Result<(), (Promise, String)>) {
        if let Err((promise, why)) = found {
            self.say(|| format!("BROKEN {promise:?}: {why}"));
            self.broken.get_or_insert((promise, why));
        }
    }

    /// A new process, with a name for the trace.
    pub(super) fn spawn(&mut self, name: &str) -> Process {
        self.processes += 1;
        let process = self.processes;
        self.living.insert(process);
        self.say(|| format!("#{process} is {name}"));
        process
    }

    /// A process dies, and whatever waits in it never goes on.
    pub(super) fn kill(&mut self, process: Process) {
        self.say(|| format!("#{process} dies"));
        self.living.remove(&process);
        let mut index = 0;
        while index < self.waiting.len() {
            if self.waiting[index].process == process {
                let waiting = self.waiting.remove(index);
                self.adrift.extend(waiting.late);
            } else {
                index += 1;
            }
        }
    }

    /// Whoever gave up waiting does not wait any more.
    pub(super) fn tidy(&mut self) {
        if self.waiting.iter().any(|waiting| waiting.go.is_closed()) {
            let (gone, rest): (Vec<_>, Vec<_>) =
                self.waiting.drain(..).partition(|waiting| waiting.go.is_closed());
            self.waiting = rest;
            self.adrift.extend(gone.into_iter().filter_map(|waiting| waiting.late));
        }
    }

    /// Lets one of those who wait go on.
    pub(super) fn release(&mut self, index: usize) {
        let waiting = self.waiting.remove(index);
        let luck =
            if self.is_calm { Luck::Good } else { self.weather.luck(waiting.gate, &mut self.dice) };
        let Waiting { process, gate, label, go, .. } = waiting;
        self.say(|| format!("#{process} {gate:?} {label}: {luck:?}"));
        // Whoever waited may have given up at this very moment.
        go.send(luck).unwrap_or_default();
    }

    /// The last event of a saga.
    pub(super) fn last(&self, id: &str) -> Option<&Arc<Stored>> {
        self.stored.iter().rev().find(|stored| stored.record.id == id)
    }

    /// An output that no other effect has.
    pub(super) fn output(&mut self, is_big: bool, luck: Luck) -> Value {
        self.outputs += 1;
        let filler = if luck == Luck::Huge { "x".repeat(400) } else { String::new() };
        serde_json::json!({ "number": self.outputs, "big": is_big, "filler": filler })
    }
}

/// Shared by everything in a schedule.
pub(super) struct Stage {
    pub(super) plan: Arc<Plan>,
    state: Mutex<State>,
    began: Instant,
}

impl Stage {
    pub(super) fn new(plan: Arc<Plan>, flaw: Flaw, mut dice: Dice, is_traced: bool) -> Self {
        let weather = Weather::draw(&mut dice);
        let mut state = State {
            dice,
            flaw,
            weather,
            is_calm: false,
            waiting: Vec::new(),
            adrift: Vec::new(),
            ledger: Ledger::default(),
            post: Post::default(),
            stored: Vec::new(),
            acknowledged: Vec::new(),
            broken: None,
            trace: is_traced.then(Vec::new),
            living: BTreeSet::new(),
            processes: 0,
            outputs: 0,
        };
        let weather = format!("{:?}", state.weather);
        state.say(|| weather);
        Self { plan, state: Mutex::new(state), began: Instant::now() }
    }

    /// Held only for a moment, never across an await.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now_ms(&self) -> i64 {
        let passed = self.began.elapsed().as_millis();
        BEGIN_MS + i64::try_from(passed).unwrap_or(0)
    }

    /// Waits until the schedule says how it goes on; for ever in a process that is dead.
    pub(super) async fn touch(
        &self,
        process: Process,
        gate: Gate,
        label: impl FnOnce() -> String,
    ) -> Luck {
        self.touch_late(process, gate, label, || None).await
    }

    /// The same for something that may arrive though nobody waits for it any more.
    pub(super) async fn touch_late(
        &self,
        process: Process,
        gate: Gate,
        label: impl FnOnce() -> String,
        late: impl FnOnce() -> Option<Adrift>,
    ) -> Luck {
        let gone = {
            let mut state = self.state();
            if state.living.contains(&process) {
                let label = if state.trace.is_some() { label() } else { String::new() };
                let may_be_late = !state.is_calm && state.dice.chance(300);
                let late = if may_be_late { late() } else { None };
                let (go, gone) = oneshot::channel();
                state.waiting.push(Waiting { process, gate, label, late, go });
                Some(gone)
            } else {
                None
            }
        };
        match gone {
            Some(gone) => match gone.await {
                Ok(luck) => luck,
                Err(_died) => std::future::pending().await,
            },
            None => std::future::pending().await,
        }
    }
}

//! Everybody who takes part in a schedule: services, coordinators, clients and operators; how they
//! are started, told, and killed.

use std::collections::BTreeMap;
use std::sync::Arc;

use saga_core::{Kind, StepState};
use serde_json::{Value, json};
use tokio::task::AbortHandle;

use super::cases::{Case, Flaw};
use super::handlers::Performer;
use super::ledger::Promise;
use super::post::Post;
use super::stage::{Adrift, Process, Stage};
use super::store::{Store, Work};
use super::weather::{Gate, Luck};
use super::wire::{Wire, store};
use crate::client::{Sagas, StartError};
use crate::coordinator::detached::{Detached, Memory, Wish};
use crate::engine::Engine;
use crate::log::Trace;
use crate::participant::Participant;
use crate::participant::worker::{Delivery, Verdict, Worker};
use crate::testing::{MemoryBarrier, MemoryLog};

/// One copy of a service.
pub(super) struct Host {
    service: String,
    process: Process,
    worker: Arc<Worker<Store>>,
    /// What it has in hand: inbox, sequence, and the task.
    hands: Vec<(usize, u64, AbortHandle)>,
}

/// One coordinator.
pub(super) struct Clerk {
    process: Process,
    pub(super) rig: Arc<Detached>,
    /// What the stream had when it was started.
    backlog: u64,
    wishes: Vec<AbortHandle>,
}

/// All of them.
pub(super) struct World {
    pub(super) stage: Arc<Stage>,
    pub(super) case: &'static Case,
    pub(super) log: MemoryLog,
    pub(super) databases: BTreeMap<String, MemoryBarrier<Work>>,
    pub(super) hosts: Vec<Host>,
    pub(super) clerks: Vec<Clerk>,
    pub(super) starts: Vec<tokio::task::JoinHandle<()>>,
    pub(super) sagas: Vec<String>,
    client: async_nats::Client,
    checkpoint: Option<Memory>,
    wishes: u64,
}

impl World {
    /// Everybody is there, and clients start sagas.
    pub(super) fn new(stage: Arc<Stage>, case: &'static Case, client: async_nats::Client) -> Self {
        let clock = Arc::clone(&stage);
        let log = MemoryLog::new(move || clock.now_ms());
        let mut world = Self {
            stage,
            case,
            log,
            databases: BTreeMap::new(),
            hosts: Vec::new(),
            clerks: Vec::new(),
            starts: Vec::new(),
            sagas: Vec::new(),
            client,
            checkpoint: None,
            wishes: 0,
        };
        let (copies, clerks, sagas) = {
            let mut held = world.stage.state();
            held.post = Post::of(&case.plan, case.mirror);
            (held.dice.within(1, 2), held.dice.within(0, 2), held.dice.within(1, 3))
        };
        for service in case.plan.services() {
            world.databases.insert(service.to_owned(), MemoryBarrier::default());
            for _ in 0..copies {
                world.open_host(service);
            }
        }
        for _ in 0..clerks {
            world.open_clerk();
        }
        for id in ["a", "b", "c"].into_iter().zip(0..sagas).map(|(id, _)| id) {
            world.start(id);
        }
        world
    }

    fn wire(&self, process: Process) -> Wire {
        Wire { stage: Arc::clone(&self.stage), process, log: self.log.clone() }
    }

    fn engine(&self, process: Process) -> Engine {
        Engine::with_log(self.client.clone(), Arc::new(self.wire(process)))
    }

    fn open_host(&mut self, service: &str) {
        let process = self.stage.state().spawn(service);
        let rows = self.databases.entry(service.to_owned()).or_default().clone();
        let barrier = Store { stage: Arc::clone(&self.stage), process, rows };
        let plan = &self.case.plan;
        let mut participant = Participant::detached(service, barrier).saga(Arc::clone(plan));
        let performer = |is_outside: bool, kind: Kind| {
            let stage = Arc::clone(&self.stage);
            Performer { stage, process, is_outside, kind }
        };
        for step in plan.steps().iter().filter(|it| it.kind.has_effect() && it.service == service) {
            let is_outside = self.case.outside.contains(&step.name.as_str());
            participant = participant.step(&step.name, performer(is_outside, step.kind));
        }
        if self.case.mirror == Some(service) {
            participant = participant.on_end(performer(false, Kind::Retriable));
        }
        let (clock, dice) = (Arc::clone(&self.stage), Arc::clone(&self.stage));
        let clock = Arc::new(move || clock.now_ms());
        let jitter = Arc::new(move |most: u64| dice.state().dice.within(1, most));
        let worker = Arc::new(participant.worker(clock, jitter, Arc::new(self.wire(process))));
        self.hosts.push(Host { service: service.to_owned(), process, worker, hands: Vec::new() });
    }

    /// A coordinator starts: with a checkpoint, if one was written.
    pub(super) fn open_clerk(&mut self) {
        let process = self.stage.state().spawn("a coordinator");
        let memory = self.checkpoint.take();
        let backlog = self.stage.state().stored.len();
        let rig =
            Detached::start(self.engine(process), &self.case.plan, self.stage.now_ms(), memory);
        let backlog = u64::try_from(backlog).unwrap_or(u64::MAX);
        if rig.last_seen() >= backlog {
            rig.catch_up();
        }
        self.clerks.push(Clerk { process, rig: Arc::new(rig), backlog, wishes: Vec::new() });
    }

    /// A client starts a saga, and does not stop before it has an answer.
    fn start(&mut self, id: &'static str) {
        self.sagas.push(id.to_owned());
        let process = self.stage.state().spawn("a client");
        let is_big = self.stage.state().dice.chance(500);
        let repeats = self.stage.state().dice.below(2);
        let sagas = Sagas::new(self.engine(process), Arc::clone(&self.case.plan));
        let stage = Arc::clone(&self.stage);
        self.starts.push(tokio::spawn(async move {
            let input = json!({ "big": is_big });
            let mut left = 1 + repeats;
            while left > 0 {
                match sagas.start(id, input.clone(), Trace::default()).await {
                    Ok(_) => left -= 1,
                    Err(StartError::Log(error)) => {
                        stage.state().say(|| format!("  not started: {error}"));
                        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                    }
                    Err(error) => {
                        let found = Err((Promise::Kept, format!("{id}: {error}")));
                        stage.state().check(found);
                        return;
                    }
                }
            }
        }));
    }

    /// One of the copies of a service.
    fn host_of(&self, service: &str) -> usize {
        let of_it = |(index, host): (usize, &Host)| (host.service == service).then_some(index);
        let all: Vec<usize> = self.hosts.iter().enumerate().filter_map(of_it).collect();
        all[self.stage.state().dice.index(all.len())]
    }

    /// A message comes to a copy of its service.
    pub(super) fn deliver(&mut self, (inbox, sequence): (usize, u64)) {
        let service = self.stage.state().post.inboxes[inbox].service.clone();
        let host = self.host_of(&service);
        let host = &mut self.hosts[host];
        let process = host.process;
        let delivery = {
            let mut state = self.stage.state();
            let role = state.post.inboxes[inbox].role;
            let Some(letter) = state.post.letter(inbox, sequence) else { return };
            letter.attempts += 1;
            letter.in_hand += 1;
            let (stored, attempt) = ((*letter.stored).clone(), letter.attempts);
            let (id, n) = (&stored.record.id, stored.record.n);
            state.say(|| format!("#{process} {service} gets {id}.{n} ({role:?}, {attempt})"));
            if state.flaw == Flaw::AckFirst {
                state.post.acknowledge(inbox, sequence);
            }
            Delivery { stored, role, attempt }
        };
        let (worker, stage) = (Arc::clone(&host.worker), Arc::clone(&self.stage));
        let task = tokio::spawn(async move {
            let label = format!("{}.{}", delivery.stored.record.id, delivery.stored.record.n);
            let verdict = Box::pin(worker.handle(delivery)).await;
            let label = || format!("{verdict:?} of {label}");
            let luck = stage.touch(process, Gate::Ack, label).await;
            conclude(&stage, (inbox, sequence), verdict, luck);
        });
        host.hands.retain(|(_, _, task)| !task.is_finished());
        host.hands.push((inbox, sequence, task.abort_handle()));
    }

    /// A coordinator reads the next message.
    pub(super) async fn feed(&mut self, clerk: usize) {
        let clerk = &self.clerks[clerk];
        let next = usize::try_from(clerk.rig.last_seen()).unwrap_or(usize::MAX);
        let stored = self.stage.state().stored.get(next).cloned();
        let Some(stored) = stored else { return };
        let (process, id, n) = (clerk.process, &stored.record.id, stored.record.n);
        self.stage.state().say(|| format!("#{process} reads {id}.{n}"));
        clerk.rig.note(&stored).await;
        if clerk.rig.last_seen() >= clerk.backlog {
            clerk.rig.catch_up();
        }
        if self.stage.state().dice.chance(100) {
            self.checkpoint = Some(clerk.rig.memory());
        }
    }

    /// Coordinators that have not read everything.
    pub(super) fn behind(&self) -> Vec<usize> {
        let all = u64::try_from(self.stage.state().stored.len()).unwrap_or(u64::MAX);
        let is_behind =
            |(index, clerk): (usize, &Clerk)| (clerk.rig.last_seen() < all).then_some(index);
        self.clerks.iter().enumerate().filter_map(is_behind).collect()
    }

    /// A process dies, and another one takes its place.
    pub(super) fn crash(&mut self) {
        let all = self.hosts.len() + self.clerks.len();
        let victim = self.stage.state().dice.index(all);
        if victim < self.hosts.len() {
            let host = self.hosts.remove(victim);
            let mut state = self.stage.state();
            state.kill(host.process);
            for (inbox, sequence, task) in host.hands {
                if !task.is_finished() {
                    task.abort();
                    if let Some(letter) = state.post.letter(inbox, sequence) {
                        letter.in_hand = letter.in_hand.saturating_sub(1);
                    }
                }
            }
            drop(state);
            self.open_host(&host.service);
        } else {
            self.close_clerk(victim - self.hosts.len());
            self.open_clerk();
        }
    }

    pub(super) fn close_clerk(&mut self, clerk: usize) {
        let clerk = self.clerks.remove(clerk);
        self.stage.state().kill(clerk.process);
        clerk.wishes.iter().for_each(AbortHandle::abort);
    }

    /// Something arrives that nobody waits for any more.
    pub(super) async fn arrive(&mut self, index: usize) {
        let adrift = self.stage.state().adrift.swap_remove(index);
        match adrift {
            Adrift::Append(append) => {
                self.stage.state().say(|| "an append arrives late".to_owned());
                let unheard = store(&self.stage, &self.log, &append).await;
                drop(unheard);
            }
            Adrift::Call(effect, output) => {
                let mut state = self.stage.state();
                let known = state.ledger.call(&effect, output);
                state.say(|| format!("the call of {effect} arrives late: {known:?}"));
            }
        }
    }

    /// Somebody wishes something of a saga.
    pub(super) fn wish(&mut self, id: &str, wish: Wish) {
        if self.clerks.is_empty() {
            return;
        }
        let clerk = self.stage.state().dice.index(self.clerks.len());
        let clerk = &mut self.clerks[clerk];
        self.wishes += 1;
        let (number, id, process) = (self.wishes, id.to_owned(), clerk.process);
        let (stage, rig) = (Arc::clone(&self.stage), Arc::clone(&clerk.rig));
        let task = tokio::spawn(async move {
            stage.state().say(|| format!("#{process} is asked to {wish:?} {id}"));
            let granted = rig.grant(&id, wish, format!("wish {number}")).await;
            stage.state().say(|| format!("#{process} answers wish {number}: {granted:?}"));
        });
        clerk.wishes.retain(|task| !task.is_finished());
        clerk.wishes.push(task.abort_handle());
    }

    /// Any wish, of any saga.
    pub(super) fn wish_anything(&mut self) {
        let (id, wish) = {
            let mut state = self.stage.state();
            let id = self.sagas[state.dice.index(self.sagas.len())].clone();
            let steps = self.case.plan.steps();
            let step = &steps[state.dice.index(steps.len())];
            let name = step.name.clone();
            let wish = match state.dice.below(5) {
                0 => Wish::Cancel,
                1 => Wish::Nudge(name),
                2 => Wish::Settle(name),
                _ if step.kind == Kind::Signal => Wish::Signal(name, by_hand()),
                3 => Wish::Skip(name, by_hand()),
                _ => Wish::Nudge(name),
            };
            (id, wish)
        };
        self.wish(&id, wish);
    }

    /// A person helps a saga that cannot end by itself.
    pub(super) fn help(&mut self, id: &str) {
        let wish = {
            let mut state = self.stage.state();
            let Some(last) = state.last(id).cloned() else { return };
            let nudges = state.dice.chance(500);
            let stuck = last.record.steps.iter();
            let stuck = stuck.filter(|(_, it)| it.state == StepState::Undofailed);
            let stuck: Vec<&String> = stuck.map(|(name, _)| name).collect();
            let mut waiting = saga_core::waiting(&self.case.plan, &last.record).into_iter();
            let signal = waiting.find(|it| it.what == saga_core::WaitingFor::Signal);
            match (stuck.first(), signal) {
                (Some(step), _) if nudges => Wish::Nudge((*step).clone()),
                (Some(step), _) => Wish::Settle((*step).clone()),
                (None, Some(signal)) if nudges => Wish::Signal(signal.step, by_hand()),
                _ => return,
            }
        };
        self.wish(id, wish);
    }
}

/// What a person puts in a step's place.
fn by_hand() -> Value {
    json!({ "number": 0, "big": false })
}

/// What becomes of a message.
fn conclude(stage: &Stage, (inbox, sequence): (usize, u64), verdict: Verdict, luck: Luck) {
    let now_ms = stage.now_ms();
    let mut held = stage.state();
    let is_heard = luck == Luck::Good;
    // What was not heard comes again when its time in hand has passed, whenever that is.
    let some_time = i64::try_from(held.dice.below(500)).unwrap_or(0);
    let Some(letter) = held.post.letter(inbox, sequence) else { return };
    letter.in_hand = letter.in_hand.saturating_sub(1);
    letter.ready_ms = now_ms + some_time;
    match verdict {
        Verdict::Ack if is_heard => held.post.acknowledge(inbox, sequence),
        Verdict::Nak(pause) if is_heard => {
            letter.ready_ms = now_ms + i64::try_from(pause.as_millis()).unwrap_or(0);
        }
        Verdict::Dead(code, why) => {
            held.check(Err((Promise::NoDeadLetter, format!("{code}: {why}"))));
        }
        Verdict::Ack | Verdict::Nak(_) | Verdict::Died => {}
    }
}

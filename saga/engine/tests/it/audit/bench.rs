//! Services whose rows and effects can be damaged, and who compare their effects when asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use saga_core::barrier::{Key, Row};
use saga_core::{Plan, Reason, Record, Status};
use saga_engine::audit::{self, Report};
use saga_engine::{
    Answer, Barrier, Change, Check, CommitError, Ending, Engine, Expected, Job, Mirror,
    MirrorAnswer, Participant, ParticipantHandle, Step, Undo, UndoAnswer,
};
use serde_json::{Value, json};

use super::super::runtime::books::Entry;
use super::super::runtime::world::{SERVICES, World, trip, until};

type Place = (String, String);

/// Rows and effects of all services. Clones are the same database.
#[derive(Clone, Default)]
struct Ledger(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    rows: BTreeMap<Key, Row>,
    effects: BTreeMap<Place, Vec<Entry>>,
    /// Sagas whose input says that they wait for it, find no answer at the hotel.
    hotel_is_shut: bool,
}

impl Ledger {
    fn with<A>(&self, look: impl FnOnce(&mut Kept) -> A) -> A {
        look(&mut self.0.lock().unwrap())
    }

    fn of(&self, id: &str, step: &str) -> Vec<Entry> {
        let place = (id.to_owned(), step.to_owned());
        self.with(|kept| kept.effects.get(&place).cloned().unwrap_or_default())
    }
}

impl Barrier for Ledger {
    type Work = Entry;

    async fn read(&self, keys: &[Key]) -> Result<Vec<Option<Row>>, CommitError> {
        Ok(self.with(|kept| keys.iter().map(|key| kept.rows.get(key).cloned()).collect()))
    }

    async fn commit(&self, changes: Vec<Change<Entry>>) -> Vec<Result<(), CommitError>> {
        let commit = |kept: &mut Kept, change: Change<Entry>| {
            if kept.rows.get(&change.key) != change.seen.as_ref() {
                return Err(CommitError::Raced);
            }
            let place = (change.key.id.clone(), change.key.step.clone());
            kept.rows.insert(change.key, change.row);
            if change.work != Entry::Nothing {
                kept.effects.entry(place).or_default().push(change.work);
            }
            Ok(())
        };
        self.with(|kept| changes.into_iter().map(|change| commit(kept, change)).collect())
    }
}

/// A step that knows how to compare what it keeps.
struct Deed {
    step: String,
    ledger: Ledger,
}

impl Step for Deed {
    type Input = Value;
    type Output = Value;
    type Work = Entry;

    async fn run(&self, job: &Job<Value>) -> Answer<Value, Entry> {
        if job.input["full"] == job.step {
            return Answer::refused("full", "no room");
        }
        if job.input["waits"] == job.step && self.ledger.with(|kept| kept.hotel_is_shut) {
            return Answer::again("nobody is there");
        }
        Answer::Done(json!({ "of": job.saga_id }), Entry::Did)
    }

    async fn undo(&self, undo: &Undo<Value, Value>) -> UndoAnswer<Entry> {
        if undo.job.input["stays"] == undo.job.step {
            return UndoAnswer::GiveUp(Reason::new("stays", "it cannot be given back"));
        }
        UndoAnswer::Undone(Entry::Undid)
    }

    async fn audit(&self, checks: &[Check<Value, Value>]) -> Result<Vec<Vec<String>>, String> {
        let look = |check: &Check<Value, Value>| {
            let entries = self.ledger.of(&check.saga_id, &check.step);
            let stands = entries == [Entry::Did];
            let is_gone = entries.is_empty() || entries == [Entry::Did, Entry::Undid];
            let why = match &check.expected {
                Expected::Held(output) if output["of"] != check.saga_id.as_str() => {
                    "another's output"
                }
                Expected::Held(_) if !stands => "its effect has to be",
                Expected::Nothing if !is_gone => "nothing may be",
                Expected::Open if !stands && !is_gone => "it contradicts itself",
                _ => return Vec::new(),
            };
            vec![format!("{entries:?} where {why}")]
        };
        Ok(checks.iter().map(look).collect())
    }

    async fn audit_sums(&self) -> Result<Vec<String>, String> {
        if self.step != "hotel" {
            return Ok(Vec::new());
        }
        let (taken, guests) = self.ledger.with(|kept| {
            let of_hotel = |place: &Place| place.1 == "hotel";
            let effects = kept.effects.iter().filter(|(place, _)| of_hotel(place));
            let taken: usize = effects.map(|(_, entries)| entries.len()).sum();
            let has_room = |(key, row): &(&Key, &Row)| {
                key.step == "hotel" && row.state == saga_core::barrier::State::Done
            };
            (taken, kept.rows.iter().filter(has_room).count())
        });
        let why = format!("{taken} rooms are taken for {guests} guests");
        Ok(if taken == guests { Vec::new() } else { vec![why] })
    }
}

/// A mirror that knows how to compare what it keeps.
struct Desk(Ledger);

impl Mirror for Desk {
    type Input = Value;
    type Work = Entry;

    async fn ended(&self, endings: &[Ending<Value>]) -> Vec<MirrorAnswer<Entry>> {
        let saw = |ending: &Ending<Value>| Entry::Saw(ending.record.status);
        endings.iter().map(|ending| MirrorAnswer::Commit(saw(ending))).collect()
    }

    async fn audit(&self, endings: &[Ending<Value>]) -> Result<Vec<Vec<String>>, String> {
        let look = |ending: &Ending<Value>| {
            let entries = self.0.of(&ending.record.id, "saga");
            let wanted = Entry::Saw(ending.record.status);
            let is_right = entries.last() == Some(&wanted);
            let why = format!("{entries:?} where {:?} has to be", ending.record.status);
            if is_right { Vec::new() } else { vec![why] }
        };
        Ok(endings.iter().map(look).collect())
    }
}

/// A world with its services.
pub(crate) struct Bench {
    pub(crate) world: World,
    ledger: Ledger,
    services: BTreeMap<String, ParticipantHandle>,
}

impl Bench {
    pub(super) async fn open() -> Self {
        Self::of(World::new(trip()).await).await
    }

    /// All services of [`trip`], and one that mirrors.
    pub(crate) async fn of(world: World) -> Self {
        let (ledger, mut services) = (Ledger::default(), BTreeMap::new());
        let participant = |service: &str| {
            let engine = Engine::new(world.client.clone());
            Participant::new(engine, service, ledger.clone()).saga(Arc::clone(&world.plan))
        };
        for service in SERVICES {
            let own = world.plan.steps().iter().filter(|step| step.service == service);
            let deed = |step: &str| Deed { step: step.to_owned(), ledger: ledger.clone() };
            let with_steps =
                own.fold(participant(service), |it, step| it.step(&step.name, deed(&step.name)));
            services.insert(service.to_owned(), with_steps.start().await.unwrap());
        }
        let desk = participant("desk").on_end(Desk(ledger.clone()));
        services.insert("desk".to_owned(), desk.start().await.unwrap());
        Self { world, ledger, services }
    }

    pub(crate) fn engine(&self) -> Engine {
        Engine::new(self.world.client.clone())
    }

    pub(crate) fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.world.plan)
    }

    pub(super) async fn audit(&self) -> Report {
        audit::world(&self.engine(), &[self.plan()]).await.unwrap()
    }

    /// Sagas, of which every fifth finds no hotel, to their very end.
    pub(super) async fn play(&self, count: usize) {
        self.wave("s", count).await;
        self.drained().await;
    }

    /// Waits until nobody has anything left to do.
    pub(crate) async fn drained(&self) {
        for service in SERVICES {
            self.world.drained_backward(service).await;
        }
        self.world.drained_endings().await;
    }

    /// Sagas of this name, until they end.
    pub(super) async fn wave(&self, name: &str, count: usize) {
        for id in self.world.start_many(name, count).await {
            self.world.end(&id).await;
        }
    }

    pub(super) async fn start(&self, id: &str, input: Value) {
        self.world.start(id, input).await;
    }

    pub(super) async fn until_status(&self, id: &str, wanted: Status) {
        until(&format!("{id} is {wanted}"), async || {
            let found = self.world.get(id).await;
            (found.as_ref().is_some_and(|record| record.status == wanted), found)
        })
        .await;
        self.world.drained_endings().await;
    }

    pub(super) async fn slip(&self, record: &Record) {
        self.world.slip(record).await;
        self.world.drained_endings().await;
    }

    /// Takes an event out of a saga's history.
    pub(super) async fn take_out(&self, id: &str, n: u64) {
        let stream = self.world.context().get_stream("SAGA_TRIP").await.unwrap();
        let purged =
            stream.purge().filter(self.world.subject(id, &format!("{n:03}.>"))).await.unwrap();
        assert_eq!(purged.purged, 1);
    }

    /// Whether sagas with the input `waits: hotel` wait.
    pub(crate) fn shut_hotel(&self, is_shut: bool) {
        self.ledger.with(|kept| kept.hotel_is_shut = is_shut);
    }

    pub(super) async fn stop(&mut self, service: &str) {
        self.services.remove(service).unwrap().shutdown(Duration::from_secs(5)).await;
    }

    pub(super) async fn delete_stream(&self) {
        self.world.context().delete_stream("SAGA_TRIP").await.unwrap();
    }

    /// Changes a row behind its service's back.
    pub(super) async fn damage(&self, id: &str, step: &str, damage: impl FnOnce(&mut Row)) {
        let key = Key::new("trip", id, step);
        let seen = self.ledger.read(std::slice::from_ref(&key)).await.unwrap().remove(0).unwrap();
        let mut row = seen.clone();
        damage(&mut row);
        assert_ne!(row, seen, "nothing was damaged");
        let change = Change { key, seen: Some(seen), row, work: Entry::Nothing };
        self.ledger.commit(vec![change]).await.remove(0).unwrap();
    }

    /// Loses a row.
    pub(super) fn lose(&self, id: &str, step: &str) {
        let lost = self.ledger.with(|kept| kept.rows.remove(&Key::new("trip", id, step)));
        lost.unwrap();
    }

    fn effects(&self, id: &str, step: &str, change: impl FnOnce(&mut Vec<Entry>)) {
        let place = (id.to_owned(), step.to_owned());
        self.ledger.with(|kept| change(kept.effects.get_mut(&place).unwrap()));
    }

    /// Loses all effects of a step, together with what the sum of them is compared with.
    pub(super) fn forget(&self, id: &str, step: &str) {
        self.effects(id, step, Vec::clear);
    }

    pub(super) fn forget_last(&self, id: &str, step: &str) {
        self.effects(id, step, |entries| entries.truncate(1));
    }

    pub(super) fn repeat(&self, id: &str, step: &str) {
        self.effects(id, step, |entries| entries.push(Entry::Did));
    }
}

/// Every finding as a line, sorted.
pub(super) fn told(report: &Report) -> Vec<String> {
    let line = |found: &audit::Found| {
        let or = |it: &Option<String>| it.clone().unwrap_or_else(|| "-".to_owned());
        let (kind, about, step) = (found.kind.as_str(), or(&found.about), or(&found.step));
        format!("{kind} {about}/{step} by {}: {}", or(&found.service), found.detail)
    };
    let mut lines: Vec<String> = report.findings.iter().map(line).collect();
    lines.sort();
    lines
}

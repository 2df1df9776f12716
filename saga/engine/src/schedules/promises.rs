//! What is asserted of a schedule: now and then on its way, and at its end.

use saga_core::barrier::{Key, contradiction, mirror_contradiction};
use saga_core::{Author, Record, Status, StepState, WaitingFor, event::SAGA, waiting};

use super::ledger::{Effect, Promise};
use super::world::World;
use crate::log::Log as _;
use crate::wishes::AlarmKind;

type Found = Result<(), (Promise, String)>;

impl World {
    fn record(&self, id: &str) -> Option<Record> {
        self.stage.state().last(id).map(|stored| stored.record.clone())
    }

    /// Rows are ahead of the log by what is committed and not appended yet, and never otherwise.
    pub(super) fn rows_agree(&self, is_settled: bool) -> Found {
        for id in &self.sagas {
            let Some(record) = self.record(id) else { continue };
            for step in self.case.plan.steps().iter().filter(|step| step.kind.has_effect()) {
                let key = Key::new(&record.saga_type, id, &step.name);
                let row = self.databases.get(&step.service).and_then(|rows| rows.row(&key));
                let plan = &self.case.plan;
                let found = contradiction(plan, &record, &step.name, row.as_ref(), is_settled);
                if let Some(why) = found {
                    return Err((Promise::Agrees, format!("{id}.{}: {why}", step.name)));
                }
            }
        }
        Ok(())
    }

    /// Services alone have done all that there is for them to do.
    pub(super) fn turns_are_kept(&self) -> Found {
        for id in &self.sagas {
            let Some(record) = self.record(id) else {
                return Err((Promise::Kept, format!("{id} was never started")));
            };
            let others = [WaitingFor::Signal, WaitingFor::Timer];
            let mut waits = waiting(&self.case.plan, &record).into_iter();
            let is_given_up = record.steps.values().any(|it| {
                it.state == StepState::Undofailed && matches!(it.by, Some(Author::Service(_)))
            });
            let is_done = record.status.is_end()
                || record.status == Status::Stuck && is_given_up
                || record.status == Status::Running && waits.any(|it| others.contains(&it.what));
            if !is_done {
                let why = format!("{id} is {} and nobody does anything about it", record.status);
                return Err((Promise::TurnKept, why));
            }
        }
        Ok(())
    }

    /// Those that have not ended.
    pub(super) fn open_sagas(&self) -> Vec<String> {
        let is_open = |id: &&String| self.record(id).is_none_or(|it| !it.status.is_end());
        self.sagas.iter().filter(is_open).cloned().collect()
    }

    /// Everything that is promised of a schedule that is over.
    pub(super) async fn at_the_end(&self) -> Found {
        for id in &self.sagas {
            let Some(record) = self.record(id) else { continue };
            let history = self.log.history(&self.case.plan, id, 0).await.unwrap_or_default();
            if let Err(lie) = crate::audit::fold(&self.case.plan, &history) {
                return Err((Promise::Folded, lie.to_string()));
            }
            self.effects_fit(&record)?;
            self.is_mirrored(&record)?;
        }
        self.rows_agree(true)?;
        let state = self.stage.state();
        for (sequence, append_id) in &state.acknowledged {
            let index = usize::try_from(sequence - 1).unwrap_or(usize::MAX);
            let found = state.stored.get(index).and_then(|stored| stored.append_id.as_ref());
            if found != Some(append_id) {
                return Err((Promise::Kept, format!("message {sequence} is another one")));
            }
        }
        drop(state);
        self.nothing_is_odd()
    }

    fn effects_fit(&self, record: &Record) -> Found {
        for step in self.case.plan.steps().iter().filter(|step| step.kind.has_effect()) {
            let key = Key::new(&record.saga_type, &record.id, &step.name);
            let effect = self.stage.state().ledger.effect(&key.effect_id());
            let is_live = matches!(effect, Effect::Live(_));
            let say = |promise: Promise| {
                let known = record.steps.get(&step.name).map_or("waiting", |it| it.state.as_str());
                let status = record.status;
                let id = key.effect_id();
                Err((promise, format!("the saga is {status}, {id} is {known}, and {effect:?}")))
            };
            let known = record.steps.get(&step.name);
            let state = known.map(|it| it.state);
            if record.status == Status::RolledBack && is_live {
                return say(Promise::Clean);
            }
            let output = known.and_then(|it| it.output.clone());
            let is_whole = match state {
                Some(StepState::Done) => output.is_some_and(|it| effect == Effect::Live(it.into())),
                Some(StepState::Omitted) => effect == Effect::Never,
                Some(StepState::Skipped) => true,
                _ => false,
            };
            if record.status == Status::Completed && !is_whole {
                return say(Promise::Whole);
            }
            if state == Some(StepState::Failed) && is_live {
                return say(Promise::Clean);
            }
        }
        Ok(())
    }

    fn is_mirrored(&self, record: &Record) -> Found {
        let Some(mirror) = self.case.mirror else { return Ok(()) };
        let key = Key::new(&record.saga_type, &record.id, SAGA);
        let row = self.databases.get(mirror).and_then(|rows| rows.row(&key));
        if let Some(why) = mirror_contradiction(record, row.as_ref(), true) {
            return Err((Promise::Mirrored, why));
        }
        let mirrored = self.stage.state().ledger.mirrored(&record.id);
        if mirrored != Some(record.n) {
            let why = format!("event {} is the last one, and {mirrored:?} is mirrored", record.n);
            return Err((Promise::Mirrored, why));
        }
        Ok(())
    }

    /// Whoever follows the stream sees nothing that should not be there.
    fn nothing_is_odd(&self) -> Found {
        let odd = [
            AlarmKind::Slipped,
            AlarmKind::Lying,
            AlarmKind::Gap,
            AlarmKind::Unreadable,
            AlarmKind::UnknownDefinition,
            AlarmKind::Stuck,
            AlarmKind::Late,
        ];
        for clerk in &self.clerks {
            if let Some(alarm) = clerk.rig.alarms().into_iter().find(|it| odd.contains(&it.kind)) {
                let why = format!("{}: {} ({})", alarm.kind.as_str(), alarm.about, alarm.detail);
                return Err((Promise::Folded, why));
            }
        }
        Ok(())
    }
}

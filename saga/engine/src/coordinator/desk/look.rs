//! The wishes that only look, and the two that hold a type.

use saga_core::{Plan, WaitingFor};

use super::{No, wished};
use crate::coordinator::book::Place;
use crate::coordinator::entry::{Wait, waits_of, word_of};
use crate::coordinator::holding;
use crate::coordinator::holds::Holds;
use crate::coordinator::office::Office;
use crate::log::Stored;
use crate::wishes::{
    Alarms, AlarmsFound, Found, Get, History, List, Listed, Next, Pause, Paused, Resume, Story,
    Told,
};

/// Sagas on a page, unless the wish says otherwise, and at most.
const PAGE: (u32, u32) = (100, 1_000);
/// Most alarms in an answer.
const ALARMS: usize = 1_000;

impl Office {
    pub(in crate::coordinator) async fn get(&self, wish: &Get) -> Result<Found, No> {
        let stored = self.tail(&wish.saga_type, &wish.id).await?.stored;
        Ok(Found { record: stored.record, sequence: stored.sequence, at_ms: stored.at_ms })
    }

    pub(in crate::coordinator) fn list(&self, wish: &List) -> Result<Listed, No> {
        let limit = wish.limit.unwrap_or(PAGE.0);
        if !(1..=PAGE.1).contains(&limit) {
            return Err(No::Malformed(format!("the limit must be 1 to {}", PAGE.1)));
        }
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let after = match wish.cursor.as_deref() {
            None => None,
            Some(cursor) => Some(
                Place::parse(cursor)
                    .ok_or_else(|| No::Malformed("the cursor is not one of ours".to_owned()))?,
            ),
        };
        if let Some(saga_type) = &wish.saga_type {
            self.any_plan(saga_type)?;
        }
        let wanted = wish.saga_type.as_deref();
        let tracks =
            self.tracks.iter().filter(|track| wanted.is_none_or(|it| it == track.saga_type));
        let mut sagas: Vec<_> = tracks
            .flat_map(|track| {
                track.book().list(&track.saga_type, &wish.status, after.as_ref(), limit + 1)
            })
            .collect();
        sagas.sort_by_key(|saga| std::cmp::Reverse(Place::of(saga)));
        let has_more = sagas.len() > limit;
        sagas.truncate(limit);
        let last = sagas.last().filter(|_| has_more);
        let cursor = last.map(|last| Place::of(last).cursor());
        Ok(Listed { sagas, cursor })
    }

    pub(in crate::coordinator) async fn history(&self, wish: &History) -> Result<Story, No> {
        let tail = self.tail(&wish.saga_type, &wish.id).await?;
        let any = self.any_plan(&wish.saga_type)?;
        let log = self.engine.log();
        let events = log.history(&any, &wish.id, tail.last_sequence).await?;
        // Retention may have taken it between the two reads: the last message is in hand.
        let events = if events.is_empty() { vec![tail.stored] } else { events };
        let Some(last) = events.last() else {
            return Err(super::unknown(&wish.saga_type, &wish.id));
        };
        let plan = self.engine.plan_of(&last.record).await?;
        let waits = waits_of(&plan, events.iter().map(|stored| (&stored.record, stored.at_ms)));
        let holds = self.holds(&wish.saga_type);
        Ok(Story {
            saga_type: last.record.saga_type.clone(),
            id: last.record.id.clone(),
            definition: last.record.definition.clone(),
            status: last.record.status,
            next: waits.iter().map(|wait| next(&plan, wait, &holds)).collect(),
            // Our reckoning may be behind the server by an answer's way.
            now_ms: self.now_or(last.at_ms).max(last.at_ms),
            events: events.iter().map(told).collect(),
        })
    }

    pub(in crate::coordinator) fn alarms_now(&self, wish: &Alarms) -> AlarmsFound {
        let (alarms, total) = self.alarms.list(wish.saga_type.as_deref(), ALARMS);
        AlarmsFound { alarms, total: u64::try_from(total).unwrap_or(u64::MAX) }
    }

    pub(in crate::coordinator) async fn hold(&self, wish: &Pause) -> Result<Paused, No> {
        let Pause { saga_type, actor, reason } = wish;
        let now_ms = self.may_hold(saga_type, actor, reason)?;
        let begin = |holds: &mut Holds| holds.begin(now_ms, actor, reason);
        self.held(saga_type, begin).await
    }

    pub(in crate::coordinator) async fn let_go(&self, wish: &Resume) -> Result<Paused, No> {
        let Resume { saga_type, actor, reason } = wish;
        let now_ms = self.may_hold(saga_type, actor, reason)?;
        let end = |holds: &mut Holds| holds.end(now_ms, actor, reason);
        self.held(saga_type, end).await
    }

    fn may_hold(&self, saga_type: &str, actor: &str, reason: &str) -> Result<i64, No> {
        wished(actor, reason)?;
        if self.tracks_of(saga_type).next().is_none() {
            return Err(No::UnknownType(saga_type.to_owned()));
        }
        let now_ms = self.clock.now_ms();
        now_ms.ok_or_else(|| No::Unavailable("the server's time is not known yet".to_owned()))
    }

    async fn held(
        &self,
        saga_type: &str,
        change: impl FnMut(&mut Holds) -> bool,
    ) -> Result<Paused, No> {
        let (holds, is_changed) =
            holding::change(self, saga_type, change).await.map_err(No::Unavailable)?;
        let (saga_type, since_ms) = (saga_type.to_owned(), holds.since());
        Ok(Paused { saga_type, since_ms, repeated: !is_changed })
    }
}

fn told(stored: &Stored) -> Told {
    let record = &stored.record;
    let step = record.steps.get(&record.event.step);
    Told {
        n: record.n,
        sequence: stored.sequence,
        at_ms: stored.at_ms,
        event: record.event.clone(),
        status: record.status,
        state: step.map(|step| step.state),
        output: step.and_then(|step| step.output.clone()).map(Into::into),
        reason: step.and_then(|step| step.reason.clone()),
    }
}

fn next(plan: &Plan, wait: &Wait, holds: &Holds) -> Next {
    let has_service = matches!(wait.what, WaitingFor::Run | WaitingFor::Undo);
    let step = plan.step(&wait.step).filter(|_| has_service);
    Next {
        step: wait.step.clone(),
        what: word_of(wait.what).to_owned(),
        service: step.map(|step| step.service.clone()),
        since_ms: wait.since_ms,
        due_ms: wait.due(holds),
        appends: wait.appends,
    }
}

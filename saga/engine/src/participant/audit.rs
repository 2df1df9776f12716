//! A participant's part in an audit: its rows and its own world against what the log says.
//!
//! It only reads. What has ended stands still, so whatever differs there is wrong; what is open may
//! have moved meanwhile, and is looked at again before anything is said of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::PullConsumer;
use async_nats::service::Service;
use futures::StreamExt as _;
use saga_core::barrier::Key;
use saga_core::{Json, Plan, Record, event::SAGA, limits, subject};
use tokio_util::sync::CancellationToken;

use super::handler::{Audited, guarded};
use super::worker::{Role, Worker};
use super::{Barrier, consumers};
use crate::audit::ask::{Ask, Asked, ENDPOINT, Finding, Kind, Told};
use crate::log::NEWEST;
use crate::step::{Check, Ending};

mod look;

use look::{Floors, Look, of, whole};

/// How long a handler may look at one request's sagas, or at its sums.
const LOOK: Duration = Duration::from_secs(100);
/// How often an open saga that keeps moving is looked at again before it is left alone.
const MOVES: u32 = 5;
/// Findings in one answer; more are only counted.
const FINDINGS_MAX: usize = 400;
/// Bytes of one finding's text.
const DETAIL_MAX: usize = 1_024;

/// Answers on `<name>.audit`.
pub(super) async fn serve<B: Barrier<Work: Default>>(
    service: &Service,
    name: &str,
    stop: &CancellationToken,
    worker: Arc<Worker<B>>,
) -> Result<(), String> {
    let builder = service.endpoint_builder().name(ENDPOINT);
    let added = builder.add(format!("{name}.{ENDPOINT}")).await;
    let mut requests = added.map_err(|error| error.to_string())?;
    let stop = stop.clone();
    tokio::spawn(async move {
        let serving = async {
            while let Some(request) = requests.next().await {
                let answer = match serde_json::from_slice::<Ask>(&request.message.payload) {
                    Err(error) => Err(async_nats::service::error::Error {
                        status: format!("not a request for an audit: {error}"),
                        code: 400,
                    }),
                    Ok(ask) => {
                        let told = worker.audit(&ask).await;
                        // Strings and numbers: it always is JSON.
                        Ok(serde_json::to_vec(&told).unwrap_or_default().into())
                    }
                };
                if let Err(error) = request.respond(answer).await {
                    tracing::debug!(%error, "an answer was not sent");
                }
            }
        };
        stop.run_until_cancelled(serving).await.unwrap_or_default();
    });
    Ok(())
}

impl<B: Barrier<Work: Default>> Worker<B> {
    /// Compares what this service keeps with what it is told of the log.
    pub(crate) async fn audit(&self, ask: &Ask) -> Told {
        let mut told = Told::default();
        if let Err(why) = self.look_at(&ask.sagas, &mut told).await {
            told.findings.push(whole(Kind::Unchecked, why));
        }
        if ask.sums {
            self.sums(&mut told).await;
        }
        for finding in &mut told.findings {
            finding.detail = limits::cut(&finding.detail, DETAIL_MAX);
        }
        let left_out = told.findings.len().saturating_sub(FINDINGS_MAX);
        told.findings.truncate(FINDINGS_MAX);
        told.more = u64::try_from(left_out).unwrap_or(u64::MAX);
        told
    }

    async fn look_at(&self, sagas: &[Asked], told: &mut Told) -> Result<(), String> {
        // First how far the service came, then its rows: so nothing is missed that was to come.
        let floors = self.floors(sagas).await?;
        let mut looks = Vec::with_capacity(sagas.len());
        for asked in sagas {
            let record = &asked.record;
            let Some(plan) = self.plans.iter().find(|plan| plan.serves(record)) else {
                let version = record.definition.version;
                let why = format!("the service does not know {}.{version}", record.saga_type);
                told.findings.push(of(record, SAGA, Kind::Unchecked, why));
                continue;
            };
            let stream = subject::stream(plan.name(), plan.shard(&record.id));
            let floors = floors.get(&stream).copied().unwrap_or_default();
            looks.push(Look::new(asked, plan, floors));
        }
        self.read_rows(&mut looks).await?;
        for look in &looks {
            told.rows += look.rows();
            told.behind += u64::from(!look.is_settled());
            let findings = look.contradictions();
            if findings.is_empty() || look.asked.record.status.is_end() {
                told.findings.extend(findings);
            } else {
                told.findings.extend(self.look_again(look).await?);
            }
        }
        self.effects(&looks, told).await;
        self.endings(&looks, told).await;
        Ok(())
    }

    /// An open saga that seemed wrong, as it is by now.
    async fn look_again(&self, look: &Look<'_>) -> Result<Vec<Finding>, String> {
        let (id, mut sequence) = (&look.asked.record.id, look.asked.sequence);
        for _ in 0..MOVES {
            let before = self.log.last(look.plan, id, NEWEST).await.map_err(|e| e.to_string())?;
            let Some(before) = before.map(|tail| tail.stored) else { return Ok(Vec::new()) };
            let asked =
                Asked { sequence: before.sequence, at_ms: before.at_ms, record: before.record };
            let Some(plan) = self.plans.iter().find(|plan| plan.serves(&asked.record)) else {
                return Ok(Vec::new());
            };
            let mut looks = [Look::new(&asked, plan, Floors::default())];
            self.read_rows(&mut looks).await?;
            let findings = looks[0].contradictions();
            let after = self.log.last(look.plan, id, NEWEST).await.map_err(|e| e.to_string())?;
            sequence = asked.sequence;
            if findings.is_empty() || after.is_some_and(|after| after.stored.sequence == sequence) {
                return Ok(findings);
            }
        }
        tracing::debug!(saga = id, sequence, "it moves too fast to be looked at");
        Ok(Vec::new())
    }

    /// Reads the rows of all of them at once.
    async fn read_rows(&self, looks: &mut [Look<'_>]) -> Result<(), String> {
        let mut keys = Vec::new();
        for look in looks.iter() {
            let record = &look.asked.record;
            let key = |step: &str| Key::new(&record.saga_type, &record.id, step);
            keys.extend(self.own(look.plan).map(key));
            keys.extend(self.bench.mirror.as_ref().map(|_| key(SAGA)));
        }
        let rows = if keys.is_empty() {
            Vec::new()
        } else {
            let read = self.bench.barrier.read(&keys).await;
            read.map_err(|error| format!("the barrier's rows cannot be read: {error}"))?
        };
        let mut rows = rows.into_iter();
        for look in looks {
            look.steps =
                self.own(look.plan).map(|step| (step.to_owned(), rows.next().flatten())).collect();
            if let Some(mirror) = &self.bench.mirror {
                look.ending = rows.next().flatten();
                look.has_mirror = mirror.concerns(look.asked.record.status);
            }
        }
        Ok(())
    }

    /// This service's steps with an effect.
    fn own<'a>(&'a self, plan: &'a Plan) -> impl Iterator<Item = &'a str> {
        let is_own =
            |step: &&saga_core::Step| step.kind.has_effect() && step.service == self.service;
        plan.steps().iter().filter(is_own).map(|step| step.name.as_str())
    }

    /// Asks each step's handler what it keeps of those that ended, and of the others whether it
    /// contradicts itself.
    async fn effects(&self, looks: &[Look<'_>], told: &mut Told) {
        for (step, handler) in &self.bench.steps {
            let checks: Vec<_> = looks.iter().filter_map(|look| look.check(step)).collect();
            let refs: Vec<&Check<Json, Json>> = checks.iter().map(|(check, _)| check).collect();
            let records = checks.iter().map(|(_, record)| *record);
            let found = flat(guarded(LOOK, handler.audit(&refs)).await);
            tell(told, records, step, found);
        }
    }

    /// Asks the mirror what it keeps of endings that it has taken note of, or that do not concern it.
    async fn endings(&self, looks: &[Look<'_>], told: &mut Told) {
        let Some(mirror) = &self.bench.mirror else { return };
        let seen = looks.iter().filter(|look| look.is_mirrored());
        let endings: Vec<Ending<Json>> = seen.map(Look::as_ending).collect();
        let refs: Vec<&Ending<Json>> = endings.iter().collect();
        let found = flat(guarded(LOOK, mirror.audit(&refs)).await);
        tell(told, endings.iter().map(|ending| &ending.record), SAGA, found);
    }

    async fn sums(&self, told: &mut Told) {
        for (step, handler) in &self.bench.steps {
            let found = match guarded(LOOK, handler.audit_sums()).await {
                Ok(Ok(found)) => found.into_iter().map(|it| whole(Kind::Sum, it)).collect(),
                Ok(Err(why)) | Err(why) => vec![whole(Kind::Unchecked, why)],
            };
            let of_step = |finding| Finding { step: Some(step.clone()), ..finding };
            told.findings.extend(found.into_iter().map(of_step));
        }
    }

    /// How far each of their streams is acknowledged.
    async fn floors(&self, sagas: &[Asked]) -> Result<BTreeMap<String, Floors>, String> {
        let mut found = BTreeMap::new();
        for asked in sagas {
            let record = &asked.record;
            let Some(plan) = self.plans.iter().find(|plan| plan.serves(record)) else { continue };
            let stream = subject::stream(plan.name(), plan.shard(&record.id));
            if found.contains_key(&stream) {
                continue;
            }
            let mut floors = Floors { backward: u64::MAX, ending: u64::MAX };
            for (role, is_wanted, floor) in [
                (Role::Backward, !self.bench.steps.is_empty(), &mut floors.backward),
                (Role::Ending, self.bench.mirror.is_some(), &mut floors.ending),
            ] {
                // Those that another version of the definition needs, too: they share the stream.
                let of_type = self.plans.iter().filter(|it| it.name() == plan.name());
                let names = is_wanted.then(|| consumers(role, &self.service, of_type));
                for name in names.into_iter().flatten() {
                    *floor = (*floor).min(self.floor(&stream, &name).await?);
                }
            }
            found.insert(stream, floors);
        }
        Ok(found)
    }

    async fn floor(&self, stream: &str, consumer: &str) -> Result<u64, String> {
        // Without a server there is the saga kit, which delivers everything before it asks.
        let Some(engine) = &self.engine else { return Ok(u64::MAX) };
        let found = engine.jetstream().get_consumer_from_stream(consumer, stream).await;
        let found: PullConsumer = found.map_err(|error| {
            format!("the consumer {consumer} of {stream} cannot be read: {error}")
        })?;
        let info = found.cached_info();
        let is_done = info.num_pending == 0 && info.num_ack_pending == 0;
        Ok(if is_done { u64::MAX } else { info.ack_floor.stream_sequence })
    }
}

fn flat(looked: Result<Audited, String>) -> Audited {
    looked.and_then(|audited| audited)
}

fn tell<'a>(
    told: &mut Told,
    records: impl Iterator<Item = &'a Record>,
    step: &str,
    found: Audited,
) {
    match found {
        Ok(found) => {
            for (record, findings) in records.zip(found) {
                let finding = |why| of(record, step, Kind::Effect, why);
                told.findings.extend(findings.into_iter().map(finding));
            }
        }
        Err(why) => {
            let step = Some(step.to_owned());
            told.findings.push(Finding { step, ..whole(Kind::Unchecked, why) });
        }
    }
}

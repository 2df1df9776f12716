//! The whole audit: the log by itself, and every participant against the log.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_nats::client::{Request, RequestErrorKind};
use async_nats::service::{NATS_SERVICE_ERROR, NATS_SERVICE_ERROR_CODE};
use futures::TryStreamExt as _;
use futures::future::join_all;
use saga_core::{Plan, Status, subject};
use serde::{Deserialize, Serialize};

use super::ask::{self, Ask, Asked, Finding, Kind, SAGAS_MAX, Told};
use super::reading;
use crate::engine::Engine;
use crate::log::ReadError;
use crate::wishes::{Alarm, AlarmKind};

/// How long a participant may take for one request.
const ANSWER: Duration = Duration::from_mins(4);
/// Bytes of records in one request. One record always fits: it is smaller than this.
const BYTES_MAX: usize = 512 * 1024;

/// What an audit found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Messages that were read.
    pub events: u64,
    /// Sagas that were compared.
    pub sagas: u64,
    /// Those of them that have not ended.
    pub open: u64,
    /// Sagas that are stuck, as `<type>.<id>`: nothing contradicts itself there, but a person is
    /// needed.
    pub stuck: Vec<String>,
    /// Every service that takes part in them.
    pub services: BTreeMap<String, ServiceReport>,
    /// What is wrong. Empty: all is well.
    pub findings: Vec<Found>,
}

/// What a service was asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceReport {
    /// Barrier rows that were compared, absent ones included.
    pub rows: u64,
    /// Sagas of which it has messages left to acknowledge.
    pub behind: u64,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// What kind of thing.
    pub kind: FoundKind,
    /// The saga type, where it concerns one.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub saga_type: Option<String>,
    /// What it is about: a saga's id, or a definition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// The service that found it; absent for what the log itself shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The step; `saga` for what follows endings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// For people.
    pub detail: String,
}

/// What kind of thing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FoundKind {
    /// A record is not what its event makes of the record before.
    Lying,
    /// A write slipped past the server's check; readers ignore it.
    Slipped,
    /// Event numbers of a saga do not follow: a message is missing.
    Gap,
    /// A message on the stream is not a record that this program reads.
    Unreadable,
    /// A saga follows a definition that is not known.
    UnknownDefinition,
    /// A row of a service's barrier contradicts the log.
    Row,
    /// What a service keeps of an effect contradicts the log.
    Effect,
    /// A sum over all that a service keeps is wrong.
    Sum,
    /// Something could not be looked at.
    Unchecked,
}

impl FoundKind {
    /// The word in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lying => "lying",
            Self::Slipped => "slipped",
            Self::Gap => "gap",
            Self::Unreadable => "unreadable",
            Self::UnknownDefinition => "unknown_definition",
            Self::Row => "row",
            Self::Effect => "effect",
            Self::Sum => "sum",
            Self::Unchecked => "unchecked",
        }
    }
}

/// Reads all streams of `plans` ([`super::streams`]), and asks every participant whether its
/// barrier and what it keeps of its effects agree with the log. Nothing is changed, and sagas may
/// go on meanwhile.
///
/// # Errors
/// When a stream cannot be read. A participant that does not answer is a finding.
pub async fn world(engine: &Engine, plans: &[Arc<Plan>]) -> Result<Report, ReadError> {
    let mut auditor = Auditor::new(engine);
    for alarm in super::streams(engine, plans).await? {
        auditor.take_alarm(alarm);
    }
    let mut everybody = BTreeSet::new();
    for stream in streams_of(plans) {
        let services = services(engine, plans, &stream).await?;
        everybody.extend(services.iter().cloned());
        auditor.audit_stream(&stream, &services).await?;
    }
    auditor.ask_all(&everybody, Ask { sums: true, ..Ask::default() }).await;
    Ok(auditor.report)
}

/// A stream and its type.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Stream {
    name: String,
    saga_type: String,
}

/// Each once: versions of a type share them.
fn streams_of(plans: &[Arc<Plan>]) -> BTreeSet<Stream> {
    let of_plan = |plan: &Arc<Plan>| {
        let saga_type = plan.name().to_owned();
        plan.shards().into_iter().map(move |shard| Stream {
            name: subject::stream(&saga_type, shard),
            saga_type: saga_type.clone(),
        })
    };
    plans.iter().flat_map(of_plan).collect()
}

/// Who takes part: services of the definitions, and whoever has a consumer for endings.
async fn services(
    engine: &Engine,
    plans: &[Arc<Plan>],
    stream: &Stream,
) -> Result<BTreeSet<String>, ReadError> {
    let unavailable = |why: String| ReadError::Unavailable(format!("{}: {why}", stream.name));
    let of_type = plans.iter().filter(|plan| plan.name() == stream.saga_type);
    let mut found: BTreeSet<String> =
        of_type.flat_map(|plan| plan.services()).map(str::to_owned).collect();
    let known = engine.jetstream().get_stream_no_info(&stream.name).await;
    let known = known.map_err(|error| unavailable(error.to_string()))?;
    let names: Vec<String> = known
        .consumer_names()
        .try_collect()
        .await
        .map_err(|error| unavailable(error.to_string()))?;
    let [suffix, ..] = subject::consumer::endings("");
    let mirrors = names.iter().filter_map(|name| name.strip_suffix(&suffix));
    found.extend(mirrors.filter(|name| !name.is_empty()).map(str::to_owned));
    Ok(found)
}

struct Auditor<'a> {
    engine: &'a Engine,
    report: Report,
    /// Services that did not answer once.
    silent: BTreeSet<String>,
}

impl<'a> Auditor<'a> {
    fn new(engine: &'a Engine) -> Self {
        Self { engine, report: Report::default(), silent: BTreeSet::new() }
    }

    fn take_alarm(&mut self, alarm: Alarm) {
        let kind = match alarm.kind {
            // The participants' part tells of these as they stand.
            AlarmKind::Stuck => return,
            AlarmKind::Lying => FoundKind::Lying,
            AlarmKind::Slipped => FoundKind::Slipped,
            AlarmKind::Gap => FoundKind::Gap,
            AlarmKind::Unreadable => FoundKind::Unreadable,
            AlarmKind::UnknownDefinition => FoundKind::UnknownDefinition,
            AlarmKind::Late | AlarmKind::Unserved | AlarmKind::Stalled => FoundKind::Unchecked,
        };
        self.report.findings.push(Found {
            kind,
            saga_type: Some(alarm.saga_type),
            about: Some(alarm.about),
            service: None,
            step: None,
            detail: alarm.detail,
        });
    }

    async fn audit_stream(
        &mut self,
        stream: &Stream,
        services: &BTreeSet<String>,
    ) -> Result<(), ReadError> {
        let engine = self.engine;
        let mut batch = Batch::default();
        let read = reading::read(engine, &stream.name, async |asked| {
            if let Some(full) = batch.add(asked) {
                self.ask_all(services, full).await;
            }
        })
        .await?;
        let open = u64::try_from(read.open.len()).unwrap_or(u64::MAX);
        self.report.events += read.events;
        self.report.sagas += read.ended + open;
        self.report.open += open;
        for asked in read.open {
            if asked.record.status == Status::Stuck {
                let about = format!("{}.{}", asked.record.saga_type, asked.record.id);
                self.report.stuck.push(about);
            }
            if let Some(full) = batch.add(asked) {
                self.ask_all(services, full).await;
            }
        }
        if let Some(rest) = batch.take() {
            self.ask_all(services, rest).await;
        }
        Ok(())
    }

    /// Asks all of them at once, and takes down what they say.
    async fn ask_all(&mut self, services: &BTreeSet<String>, ask: Ask) {
        let asking: Vec<&String> =
            services.iter().filter(|service| !self.silent.contains(*service)).collect();
        let told = join_all(asking.iter().map(|service| self.ask(service, &ask))).await;
        for (service, told) in asking.into_iter().zip(told) {
            match told {
                Ok(told) => self.take(service, told),
                Err(why) => {
                    // Once is enough: it would cost its whole time each time.
                    self.silent.insert(service.clone());
                    self.report.services.entry(service.clone()).or_default();
                    let silence = "does not answer, so what it keeps is not checked";
                    self.unchecked(service, format!("service {service} {silence}: {why}"));
                }
            }
        }
    }

    async fn ask(&self, service: &str, ask: &Ask) -> Result<Told, String> {
        let payload = serde_json::to_vec(ask).map_err(|error| error.to_string())?;
        let request = Request::new().payload(payload.into()).timeout(Some(ANSWER));
        let answer = self.engine.client().send_request(ask::subject(service), request).await;
        let answer = answer.map_err(|error| match error.kind() {
            RequestErrorKind::NoResponders => "it does not run".to_owned(),
            _ => error.to_string(),
        })?;
        let header = |name| answer.headers.as_ref().and_then(|it| it.get(name));
        if header(NATS_SERVICE_ERROR_CODE).is_some() {
            let why = header(NATS_SERVICE_ERROR).map(ToString::to_string);
            return Err(why.unwrap_or_else(|| "it refused the request".to_owned()));
        }
        serde_json::from_slice(&answer.payload).map_err(|error| error.to_string())
    }

    fn take(&mut self, service: &str, told: Told) {
        let entry = self.report.services.entry(service.to_owned()).or_default();
        entry.rows += told.rows;
        entry.behind += told.behind;
        for finding in told.findings {
            let Finding { kind, saga_type, id, step, detail } = finding;
            let kind = match kind {
                Kind::Row => FoundKind::Row,
                Kind::Effect => FoundKind::Effect,
                Kind::Sum => FoundKind::Sum,
                Kind::Unchecked => FoundKind::Unchecked,
            };
            let service = Some(service.to_owned());
            let found = Found { kind, saga_type, about: id, service, step, detail };
            // One and the same mishap for every request need not be told a hundred times.
            if kind != FoundKind::Unchecked || !self.report.findings.contains(&found) {
                self.report.findings.push(found);
            }
        }
        if told.more > 0 {
            self.unchecked(service, format!("{} more findings are left out", told.more));
        }
    }

    fn unchecked(&mut self, service: &str, detail: String) {
        self.report.findings.push(Found {
            kind: FoundKind::Unchecked,
            saga_type: None,
            about: None,
            service: Some(service.to_owned()),
            step: None,
            detail,
        });
    }
}

/// Sagas that are asked about together.
#[derive(Debug, Default)]
struct Batch {
    sagas: Vec<Asked>,
    bytes: usize,
}

impl Batch {
    /// Adds one; answers with those before it when that is too much for one request.
    fn add(&mut self, asked: Asked) -> Option<Ask> {
        let bytes = asked.record.to_json().len();
        let is_full = self.sagas.len() >= SAGAS_MAX || self.bytes + bytes > BYTES_MAX;
        let full = if is_full { self.take() } else { None };
        self.bytes += bytes;
        self.sagas.push(asked);
        full
    }

    fn take(&mut self) -> Option<Ask> {
        self.bytes = 0;
        let sagas = std::mem::take(&mut self.sagas);
        (!sagas.is_empty()).then_some(Ask { sagas, sums: false })
    }
}

//! Subjects, stream names and consumer filters: the only place that writes or reads them.

use std::collections::BTreeSet;

use crate::event::{EventKind, SAGA};
use crate::plan::Plan;
use crate::record::{Record, Status};

/// A parsed subject `saga.<type>.<id>.<n>.<step>.<event>.<status>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The type token: the saga type, with `-<shard>` for a sharded one.
    pub type_token: String,
    /// The saga's id.
    pub id: String,
    /// The event's number.
    pub n: u64,
    /// The step, or `saga`.
    pub step: String,
    /// The event.
    pub event: EventKind,
    /// The status after the event.
    pub status: Status,
}

/// Why a subject is not one of a saga's event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not saga.<type>.<id>.<n>.<step>.<event>.<status>")]
pub struct NotASubject(pub String);

/// Reads a subject.
pub fn parse(subject: &str) -> Result<Subject, NotASubject> {
    read(subject).ok_or_else(|| NotASubject(subject.to_owned()))
}

fn read(subject: &str) -> Option<Subject> {
    let mut tokens = subject.split('.');
    if tokens.next()? != SAGA {
        return None;
    }
    let found = Subject {
        type_token: tokens.next().filter(|token| crate::limits::is_id(token))?.to_owned(),
        id: tokens.next().filter(|token| crate::limits::is_id(token))?.to_owned(),
        n: tokens.next()?.parse().ok()?,
        step: tokens.next().filter(|token| crate::limits::is_name(token))?.to_owned(),
        event: EventKind::parse(tokens.next()?)?,
        status: Status::parse(tokens.next()?)?,
    };
    tokens.next().is_none().then_some(found)
}

/// The token that stands for a type, and for a shard of it, in subjects.
pub fn type_token(name: &str, shard: Option<u32>) -> String {
    match shard {
        None => name.to_owned(),
        Some(shard) => format!("{name}-{shard}"),
    }
}

/// The type that a type token stands for: without the shard.
pub fn type_of_token(token: &str) -> &str {
    match token.rsplit_once('-') {
        Some((name, shard)) if !shard.is_empty() && shard.bytes().all(|b| b.is_ascii_digit()) => {
            name
        }
        _ => token,
    }
}

/// The subject of a record's event.
pub fn of(type_token: &str, record: &Record) -> String {
    let event = &record.event;
    format!(
        "{SAGA}.{type_token}.{}.{:03}.{}.{}.{}",
        record.id, record.n, event.step, event.kind, record.status
    )
}

/// All events of one saga. **Every guarded append uses exactly this spelling**: on a replicated
/// stream the server tracks appends in flight by the exact filter string.
pub fn filter(type_token: &str, id: &str) -> String {
    format!("{SAGA}.{type_token}.{id}.>")
}

/// All subjects of a stream.
pub fn all(type_token: &str) -> String {
    format!("{SAGA}.{type_token}.>")
}

/// The stream of a type, or of one shard of it.
pub fn stream(name: &str, shard: Option<u32>) -> String {
    let name = name.to_uppercase();
    match shard {
        None => format!("SAGA_{name}"),
        Some(shard) => format!("SAGA_{name}_{shard}"),
    }
}

/// How the server feeds a view bucket from the stream with the subject `all` (see [`all`]): its
/// events, and the key `<type>.<id>` of each in `bucket`. `None` for other subjects.
pub fn view(all: &str, bucket: &str) -> Option<(String, String)> {
    let token = all.strip_prefix(SAGA)?.strip_prefix('.')?.strip_suffix(".>")?;
    let name = type_of_token(token);
    let key = format!("$KV.{bucket}.{name}.{{{{wildcard(1)}}}}");
    Some((format!("{SAGA}.{token}.*.*.*.*.*"), key))
}

fn event_filter(type_token: &str, step: &str, event: &str, status: &str) -> String {
    format!("{SAGA}.{type_token}.*.*.{step}.{event}.{status}")
}

/// What a service's forward consumer filters: each event after which one of its steps may be ready.
///
/// **One filter for each step before its own**, so that there is one where steps follow one
/// another. The server remembers where the next message of a consumer with one filter is; for one
/// with several it walks all subjects of the stream each time that a block of it is full, and each
/// time that a stretch of it is purged. So a filter is wider than it must be (a nudge of the step
/// before asks nothing), and what is rare comes through the
/// [backward consumers](backward_consumers).
pub fn forward_filters(plan: &Plan, type_token: &str, service: &str) -> Vec<String> {
    let filter =
        |step: &str, event: &str| event_filter(type_token, step, event, Status::Running.as_str());
    let triggers = own_steps(plan, service).into_iter().flat_map(|(index, _)| plan.triggers(index));
    let found: BTreeSet<String> = triggers
        .map(|trigger| match trigger {
            None => filter(SAGA, EventKind::Started.as_str()),
            // `done` and `skipped`.
            Some(before) => filter(&plan.steps()[before].name, "*"),
        })
        .collect();
    found.into_iter().collect()
}

/// What may ask something of a service beside [`forward_filters`]: for each step that it may have to
/// undo how a rollback begins and what else may bring the step's turn; and what an operator wishes
/// of it, or did in its place. It comes through the [backward consumers](backward_consumers).
pub fn backward_filters(plan: &Plan, type_token: &str, service: &str) -> Vec<String> {
    let filter = |step: &str, event: EventKind, status: Status| {
        event_filter(type_token, step, event.as_str(), status.as_str())
    };
    let mut found = BTreeSet::new();
    for (index, step) in own_steps(plan, service) {
        found.insert(filter(step, EventKind::Nudged, Status::Running));
        found.insert(filter(step, EventKind::Skipped, Status::Running));
        found.insert(filter(step, EventKind::Skipped, Status::Completed));
        if !plan.is_undone(index) {
            continue;
        }
        found.extend([
            filter("*", EventKind::Timedout, Status::RollingBack),
            filter(SAGA, EventKind::Cancelled, Status::RollingBack),
            filter(SAGA, EventKind::Expired, Status::RollingBack),
            event_filter(type_token, "*", "*", Status::Stuck.as_str()),
            filter(step, EventKind::Nudged, Status::RollingBack),
            filter(step, EventKind::Settled, Status::RollingBack),
            filter(step, EventKind::Settled, Status::RolledBack),
        ]);
        if plan.is_undone_after_a_refusal(index) {
            found.insert(filter("*", EventKind::Failed, Status::RollingBack));
        }
        // It is undone once nothing after it is owed any more.
        for later in plan.undone_before(index) {
            found.insert(filter(later, EventKind::Undone, Status::RollingBack));
            found.insert(filter(later, EventKind::Settled, Status::RollingBack));
        }
    }
    found.into_iter().collect()
}

/// The consumers that bring a service what [`backward_filters`] names, with their filters: for what
/// an operator does, and if it undoes anything for rollbacks, for sagas that got stuck, and for
/// those that an operator settled. Each has one filter, for the reason that [`forward_filters`]
/// gives, and so brings what concerns other services as well.
pub fn backward_consumers(plan: &Plan, type_token: &str, service: &str) -> Vec<(String, String)> {
    let filter =
        |event: &str, status: Status| event_filter(type_token, "*", event, status.as_str());
    let mut found = vec![
        (consumer::nudged(service), filter(EventKind::Nudged.as_str(), Status::Running)),
        // The saga goes on or is complete.
        (
            consumer::skipped(service),
            event_filter(type_token, "*", EventKind::Skipped.as_str(), "*"),
        ),
    ];
    if own_steps(plan, service).into_iter().any(|(index, _)| plan.is_undone(index)) {
        found.extend([
            (consumer::undo(service), filter("*", Status::RollingBack)),
            (consumer::undo_stuck(service), filter("*", Status::Stuck)),
            (
                consumer::undo_settled(service),
                filter(EventKind::Settled.as_str(), Status::RolledBack),
            ),
        ]);
    }
    found
}

/// Whether an event that came through one of the [`backward_consumers`] is one of
/// [`backward_filters`]: the others ask nothing of the service.
pub fn asks_back(plan: &Plan, service: &str, record: &Record) -> bool {
    // The shard's token is the same on both sides, whichever it is.
    let subject = of(plan.name(), record);
    backward_filters(plan, plan.name(), service).iter().any(|filter| matches(filter, &subject))
}

/// The consumers of a service that mirrors endings, with their filters: sagas that completed, that
/// were rolled back, and that got stuck. Apart for the reason that [`forward_filters`] gives.
pub fn ending_filters(type_token: &str, service: &str) -> [(String, String); 3] {
    let [completed, rolled_back, stuck] = consumer::endings(service);
    let all = |status: Status| event_filter(type_token, "*", "*", status.as_str());
    [
        (completed, all(Status::Completed)),
        (rolled_back, all(Status::RolledBack)),
        (stuck, all(Status::Stuck)),
    ]
}

/// Whether a filter with `*` and `>` matches a subject, or everything that a narrower one matches.
pub fn matches(filter: &str, subject: &str) -> bool {
    let (mut filter, mut subject) = (filter.split('.'), subject.split('.'));
    loop {
        match (filter.next(), subject.next()) {
            (None, None) | (Some(">"), Some(_)) => return true,
            (Some("*"), Some(token)) if token != ">" => {}
            (Some(wanted), Some(found)) if wanted == found => {}
            _ => return false,
        }
    }
}

fn own_steps<'a>(plan: &'a Plan, service: &str) -> Vec<(usize, &'a str)> {
    let steps = plan.steps().iter().enumerate();
    steps
        .filter(|(_, step)| step.kind.has_effect() && step.service == service)
        .map(|(index, step)| (index, step.name.as_str()))
        .collect()
}

/// Names of a service's consumers on a stream.
pub mod consumer {
    /// Events after which a step may be ready.
    pub fn forward(service: &str) -> String {
        service.to_owned()
    }

    /// Rollbacks.
    pub fn undo(service: &str) -> String {
        format!("{service}-undo")
    }

    /// Sagas that got stuck, and steps that may still have to be undone.
    pub fn undo_stuck(service: &str) -> String {
        format!("{service}-undo-stuck")
    }

    /// Sagas that were rolled back by an operator's settlement.
    pub fn undo_settled(service: &str) -> String {
        format!("{service}-undo-settled")
    }

    /// Steps that an operator wants to be tried again.
    pub fn nudged(service: &str) -> String {
        format!("{service}-nudged")
    }

    /// Steps that an operator skipped.
    pub fn skipped(service: &str) -> String {
        format!("{service}-skipped")
    }

    /// Endings: sagas that completed, that were rolled back, that got stuck.
    pub fn endings(service: &str) -> [String; 3] {
        ["end", "back", "stuck"].map(|ending| format!("{service}-{ending}"))
    }
}

/// The stream for messages that nobody can act on, and its subjects.
pub mod dead {
    /// The dead-letter stream.
    pub const STREAM: &str = "SAGA_DEAD";
    /// Its subjects.
    pub const ALL: &str = "dead.>";

    /// The subject of a dead letter: who put it there, and from which stream it came.
    pub fn subject(stream: &str, consumer: &str) -> String {
        format!("dead.{stream}.{consumer}")
    }
}

/// Headers of saga messages.
pub mod header {
    /// A random id of one append attempt: tells one's own append from another's.
    pub const APPEND: &str = "Saga-Append";
    /// The sequence that must still be the last one of the filter.
    pub const EXPECTED_SEQUENCE: &str = "Nats-Expected-Last-Subject-Sequence";
    /// The filter.
    pub const EXPECTED_FILTER: &str = "Nats-Expected-Last-Subject-Sequence-Subject";
    /// The stream that must store it.
    pub const EXPECTED_STREAM: &str = "Nats-Expected-Stream";
    /// What a request of a consumer still had coming when it ended: messages.
    pub const PENDING: &str = "Nats-Pending-Messages";
    /// W3C trace context.
    pub const TRACEPARENT: &str = "traceparent";
    /// W3C trace state.
    pub const TRACESTATE: &str = "tracestate";
}

//! What an auditor asks participants, on the NATS service protocol: `saga-<service>.audit`.

use saga_core::Record;
use serde::{Deserialize, Serialize};

/// Last token of the subject.
pub const ENDPOINT: &str = "audit";
/// Most sagas in one request.
pub const SAGAS_MAX: usize = 256;

/// Compare what you keep with the log. Nothing is changed by it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// Where the log says that these sagas stand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sagas: Vec<Asked>,
    /// Check also what concerns no single saga.
    #[serde(default)]
    pub sums: bool,
}

/// A saga as an auditor found it in the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// Stream sequence of its last event.
    pub sequence: u64,
    /// When that was stored: milliseconds since the epoch, by the server's clock.
    pub at_ms: i64,
    /// The record after it.
    pub record: Record,
}

/// What [`Ask`] is answered with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Barrier rows that were compared, absent ones included.
    pub rows: u64,
    /// Sagas of which the service has messages left to acknowledge. What it has not come to yet is
    /// not missed.
    pub behind: u64,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// Findings that are left out, because there are too many.
    #[serde(default)]
    pub more: u64,
}

/// Something that does not agree with the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What kind of thing.
    pub kind: Kind,
    /// The saga type; absent for what concerns no single saga.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub saga_type: Option<String>,
    /// The saga.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The step; `saga` for what follows endings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// For people.
    pub detail: String,
}

/// What kind of thing a participant found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A row of the barrier contradicts the log.
    Row,
    /// What the service keeps of an effect contradicts the log.
    Effect,
    /// A sum over all sagas is wrong.
    Sum,
    /// It could not be looked at.
    Unchecked,
}

/// The subject on which a service is asked.
pub fn subject(service: &str) -> String {
    format!("saga-{service}.{ENDPOINT}")
}

//! Alarms: what a person should look at.

use serde::{Deserialize, Serialize};

/// The alarms that the answering coordinator sees now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alarms {
    /// Only those of this type.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub saga_type: Option<String>,
}

/// What [`Alarms`] is answered with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlarmsFound {
    /// Oldest first; at most 1000.
    pub alarms: Vec<Alarm>,
    /// How many there are in all.
    pub total: u64,
}

/// Something that a person should look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// What kind of thing.
    pub kind: AlarmKind,
    /// The saga type.
    #[serde(rename = "type")]
    pub saga_type: String,
    /// What it is about: a saga's id, `<id>/<step>`, or a consumer's name.
    pub about: String,
    /// Since when: milliseconds since the epoch, by the server's clock.
    pub since_ms: i64,
    /// For people.
    pub detail: String,
}

/// What kind of thing an alarm is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlarmKind {
    /// An undo failed: nudge it, or undo it by hand and settle it.
    Stuck,
    /// A step after which nothing is undone is later than its time-out.
    Late,
    /// No consumer delivers the events that make this service's steps ready.
    Unserved,
    /// A consumer stands still while messages wait.
    Stalled,
    /// Event numbers of a saga do not follow: a message is missing.
    Gap,
    /// A write slipped past the server's check; readers ignore it.
    Slipped,
    /// A record is not what its event makes of the record before.
    Lying,
    /// A message on the stream is not a record that this program reads.
    Unreadable,
    /// A saga follows a definition that is not registered.
    UnknownDefinition,
}

impl AlarmKind {
    /// The word on the wire, and the label of the metric.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stuck => "stuck",
            Self::Late => "late",
            Self::Unserved => "unserved",
            Self::Stalled => "stalled",
            Self::Gap => "gap",
            Self::Slipped => "slipped",
            Self::Lying => "lying",
            Self::Unreadable => "unreadable",
            Self::UnknownDefinition => "unknown_definition",
        }
    }
}

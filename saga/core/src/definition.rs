//! A saga's definition: data, not code.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a saga of one type does: its steps, their order, and its limits.
///
/// It is plain data, registered under `<name>.<version>`; a running saga keeps the version that it
/// was started with. [`crate::Plan::new`] checks it and works out its graph.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// The saga type: `[a-z0-9_-]{1,64}`, not ending in `-<digits>` (that is how shards are written).
    pub name: String,
    /// Version of this definition, from 1.
    pub version: u32,
    /// Steps in the order in which they were written; [`Step::after`] makes the graph.
    pub steps: Vec<Step>,
    /// The whole saga is rolled back when it has not reached its pivot after this many milliseconds.
    pub deadline_ms: u64,
    /// Largest input, in bytes of JSON.
    #[serde(default = "default_input_max")]
    pub input_max: u32,
    /// Number of streams that the sagas of this type are spread over; absent means one, unsharded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shards: Option<u32>,
}

/// One step of a definition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The step's name: `[a-z0-9_-]{1,64}`, unique in the definition; `saga` is reserved.
    pub name: String,
    /// The service that performs it; empty for [`Kind::Timer`] and [`Kind::Signal`].
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub service: String,
    /// What may happen to the step.
    pub kind: Kind,
    /// Predecessors; absent means the step written before (none for the first).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Vec<String>>,
    /// How long the step may stay ready, in milliseconds. Pivot and retriable steps raise an alarm
    /// when it passes, all others are timed out; the undo has the same time. A signal may have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Only for [`Kind::Timer`]: how long after it became ready the step is done, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// Most deliveries of a trigger before "again" counts as "unknown"; absent: the time-out bounds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// Pauses between attempts.
    #[serde(default)]
    pub backoff: Backoff,
    /// Largest output, in bytes of JSON.
    #[serde(default = "default_output_max")]
    pub output_max: u32,
    /// The step is omitted when this does not hold at the moment it would become ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Condition>,
}

/// What may happen to a step, and what it means for the saga.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// May fail; has an undo; a rollback undoes it.
    Compensable,
    /// May be refused, has no undo; once done there is no rollback.
    Pivot,
    /// Cannot fail: retried until it works.
    Retriable,
    /// Done by the coordinator when its delay has passed.
    Timer,
    /// Done by a client: a person, a webhook.
    Signal,
}

impl Kind {
    /// Whether a service performs the step, so that an effect of it may exist.
    pub fn has_effect(self) -> bool {
        matches!(self, Self::Compensable | Self::Pivot | Self::Retriable)
    }
}

/// Exponential backoff between attempts, before jitter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backoff {
    /// Pause after the first attempt, in milliseconds; doubled each time.
    pub first_ms: u64,
    /// Longest pause, in milliseconds.
    pub max_ms: u64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first_ms: 100, max_ms: 5_000 }
    }
}

impl Backoff {
    /// The pause after attempt number `attempt` (from 1), in milliseconds, before jitter.
    pub fn pause_ms(self, attempt: u32) -> u64 {
        let doublings = attempt.saturating_sub(1).min(32);
        self.first_ms.saturating_mul(1_u64 << doublings).min(self.max_ms)
    }
}

/// A test on the input or on an earlier output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// JSON pointer: `/input/…` or `/steps/<step>/output/…`.
    pub pointer: String,
    /// What must be true of the value there.
    #[serde(flatten)]
    pub test: Test,
}

/// What a [`Condition`] asks of the value that its pointer names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// `true`: something other than null is there; `false`: nothing or null is.
    Exists(bool),
    /// Exactly this value is there.
    Equals(Value),
}

fn default_input_max() -> u32 {
    crate::limits::INPUT_MAX
}

fn default_output_max() -> u32 {
    crate::limits::OUTPUT_MAX
}

impl Definition {
    /// A definition without steps and with a deadline of one hour.
    pub fn new(name: &str, version: u32) -> Self {
        Self {
            name: name.to_owned(),
            version,
            steps: Vec::new(),
            deadline_ms: 3_600_000,
            input_max: default_input_max(),
            shards: None,
        }
    }

    /// Adds a step.
    #[must_use]
    pub fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Sets the deadline of the whole saga, in milliseconds.
    #[must_use]
    pub fn deadline_ms(mut self, milliseconds: u64) -> Self {
        self.deadline_ms = milliseconds;
        self
    }

    /// Sets the largest input, in bytes of JSON.
    #[must_use]
    pub fn input_max(mut self, bytes: u32) -> Self {
        self.input_max = bytes;
        self
    }
}

impl Step {
    fn of(name: &str, service: &str, kind: Kind) -> Self {
        Self {
            name: name.to_owned(),
            service: service.to_owned(),
            kind,
            after: None,
            timeout_ms: None,
            delay_ms: None,
            attempts: None,
            backoff: Backoff::default(),
            output_max: default_output_max(),
            when: None,
        }
    }

    /// A step that `service` performs and can undo.
    pub fn compensable(name: &str, service: &str) -> Self {
        Self::of(name, service, Kind::Compensable)
    }

    /// The step after which there is no way back.
    pub fn pivot(name: &str, service: &str) -> Self {
        Self::of(name, service, Kind::Pivot)
    }

    /// A step that is retried until it works.
    pub fn retriable(name: &str, service: &str) -> Self {
        Self::of(name, service, Kind::Retriable)
    }

    /// A step that is done `delay_ms` milliseconds after it became ready.
    pub fn timer(name: &str, delay_ms: u64) -> Self {
        Self { delay_ms: Some(delay_ms), ..Self::of(name, "", Kind::Timer) }
    }

    /// A step that a client reports as done.
    pub fn signal(name: &str) -> Self {
        Self::of(name, "", Kind::Signal)
    }

    /// Names the predecessors (instead of the step written before); empty makes it a first step.
    #[must_use]
    pub fn after(mut self, steps: &[&str]) -> Self {
        self.after = Some(steps.iter().map(|&name| name.to_owned()).collect());
        self
    }

    /// Sets the time-out, in milliseconds.
    #[must_use]
    pub fn timeout_ms(mut self, milliseconds: u64) -> Self {
        self.timeout_ms = Some(milliseconds);
        self
    }

    /// Limits the number of attempts.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = Some(attempts);
        self
    }

    /// Sets the pauses between attempts.
    #[must_use]
    pub fn backoff(mut self, first_ms: u64, max_ms: u64) -> Self {
        self.backoff = Backoff { first_ms, max_ms };
        self
    }

    /// Sets the largest output, in bytes of JSON.
    #[must_use]
    pub fn output_max(mut self, bytes: u32) -> Self {
        self.output_max = bytes;
        self
    }

    /// Makes the step conditional.
    #[must_use]
    pub fn when(mut self, pointer: &str, test: Test) -> Self {
        self.when = Some(Condition { pointer: pointer.to_owned(), test });
        self
    }
}

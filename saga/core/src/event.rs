//! What happens to a saga, and who says so.

use serde::{Deserialize, Serialize};

use crate::json::Json;
use crate::record::Reason;

/// The step name of events of the saga itself.
pub const SAGA: &str = "saga";

/// Something that happened to a saga: input of [`crate::Record::next`].
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Who says so.
    pub by: Author,
    /// What happened.
    pub change: Change,
    /// Which attempt at the step this was, from 1.
    pub attempt: u32,
    /// The person behind a wish (cancel, nudge, skip, settle, signal).
    pub actor: Option<String>,
    /// Why that person wished it.
    pub note: Option<String>,
}

impl Event {
    /// An event of a first attempt, without an actor.
    pub fn new(by: Author, change: Change) -> Self {
        Self { by, change, attempt: 1, actor: None, note: None }
    }

    /// Sets the attempt.
    #[must_use]
    pub fn attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }

    /// Names the person who wished it, and why.
    #[must_use]
    pub fn wished(mut self, actor: &str, note: &str) -> Self {
        self.actor = Some(crate::limits::cut(actor, 256));
        self.note = Some(crate::limits::cut(note, crate::limits::REASON_DETAIL_MAX));
        self
    }
}

/// Who may write an event. On the wire: the service's name, or `coordinator`, `operator`, `client`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Author {
    /// A service, for its own steps.
    Service(String),
    /// The coordinator, for time.
    Coordinator,
    /// An operator, for what services could not finish.
    Operator,
    /// A client: starts, cancels, signals.
    Client,
}

impl Author {
    /// Names that no service may have.
    pub const RESERVED: [&'static str; 3] = ["coordinator", "operator", "client"];

    /// The service of that name.
    pub fn service(name: &str) -> Self {
        Self::Service(name.to_owned())
    }

    /// As on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Service(name) => name,
            Self::Coordinator => "coordinator",
            Self::Operator => "operator",
            Self::Client => "client",
        }
    }
}

impl From<String> for Author {
    fn from(name: String) -> Self {
        match name.as_str() {
            "coordinator" => Self::Coordinator,
            "operator" => Self::Operator,
            "client" => Self::Client,
            _ => Self::Service(name),
        }
    }
}

impl From<Author> for String {
    fn from(author: Author) -> Self {
        author.as_str().to_owned()
    }
}

/// What an event changes.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Somebody called the saga off before its pivot.
    Cancelled,
    /// The saga's deadline passed before its pivot.
    Expired,
    /// The step's effect is committed.
    Done {
        /// The step.
        step: String,
        /// What it put out.
        output: Json,
    },
    /// The service refuses the step; nothing of it remains.
    Failed {
        /// The step.
        step: String,
        /// Why.
        reason: Reason,
    },
    /// Nobody knows what became of the step.
    Timedout {
        /// The step.
        step: String,
        /// Why.
        reason: Reason,
    },
    /// The step's effect is gone.
    Undone {
        /// The step.
        step: String,
    },
    /// The undo was given up (by its service) or is late (by the coordinator).
    Undofailed {
        /// The step.
        step: String,
        /// Why.
        reason: Reason,
    },
    /// Try again: a ready step, or an undo that failed.
    Nudged {
        /// The step.
        step: String,
    },
    /// An operator put an output in a ready step's place.
    Skipped {
        /// The step.
        step: String,
        /// The output.
        output: Json,
    },
    /// An operator undid the step by hand.
    Settled {
        /// The step.
        step: String,
        /// Also though the service has not given up itself.
        force: bool,
    },
}

impl Change {
    /// [`Change::Done`].
    pub fn done(step: &str, output: impl Into<Json>) -> Self {
        Self::Done { step: step.to_owned(), output: output.into() }
    }

    /// [`Change::Failed`].
    pub fn failed(step: &str, code: &str, detail: &str) -> Self {
        Self::Failed { step: step.to_owned(), reason: Reason::new(code, detail) }
    }

    /// [`Change::Timedout`].
    pub fn timedout(step: &str, code: &str, detail: &str) -> Self {
        Self::Timedout { step: step.to_owned(), reason: Reason::new(code, detail) }
    }

    /// [`Change::Undone`].
    pub fn undone(step: &str) -> Self {
        Self::Undone { step: step.to_owned() }
    }

    /// [`Change::Undofailed`].
    pub fn undofailed(step: &str, code: &str, detail: &str) -> Self {
        Self::Undofailed { step: step.to_owned(), reason: Reason::new(code, detail) }
    }

    /// [`Change::Nudged`].
    pub fn nudged(step: &str) -> Self {
        Self::Nudged { step: step.to_owned() }
    }

    /// [`Change::Skipped`].
    pub fn skipped(step: &str, output: impl Into<Json>) -> Self {
        Self::Skipped { step: step.to_owned(), output: output.into() }
    }

    /// [`Change::Settled`].
    pub fn settled(step: &str, force: bool) -> Self {
        Self::Settled { step: step.to_owned(), force }
    }

    /// The step that it is about; [`SAGA`] for the saga itself.
    pub fn step(&self) -> &str {
        match self {
            Self::Cancelled | Self::Expired => SAGA,
            Self::Done { step, .. }
            | Self::Failed { step, .. }
            | Self::Timedout { step, .. }
            | Self::Undone { step }
            | Self::Undofailed { step, .. }
            | Self::Nudged { step }
            | Self::Skipped { step, .. }
            | Self::Settled { step, .. } => step,
        }
    }

    /// The kind of the event on the wire.
    pub fn kind(&self) -> EventKind {
        match self {
            Self::Cancelled => EventKind::Cancelled,
            Self::Expired => EventKind::Expired,
            Self::Done { .. } => EventKind::Done,
            Self::Failed { .. } => EventKind::Failed,
            Self::Timedout { .. } => EventKind::Timedout,
            Self::Undone { .. } => EventKind::Undone,
            Self::Undofailed { .. } => EventKind::Undofailed,
            Self::Nudged { .. } => EventKind::Nudged,
            Self::Skipped { .. } => EventKind::Skipped,
            Self::Settled { .. } => EventKind::Settled,
        }
    }
}

macro_rules! wire_words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// The value of a word on the wire.
            pub fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.as_str() == word)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use wire_words;

wire_words! {
    /// The kind of an event, as subjects and records write it.
    EventKind {
        /// The saga began.
        Started = "started",
        /// See [`Change::Cancelled`].
        Cancelled = "cancelled",
        /// See [`Change::Expired`].
        Expired = "expired",
        /// See [`Change::Done`].
        Done = "done",
        /// See [`Change::Failed`].
        Failed = "failed",
        /// See [`Change::Timedout`].
        Timedout = "timedout",
        /// See [`Change::Undone`].
        Undone = "undone",
        /// See [`Change::Undofailed`].
        Undofailed = "undofailed",
        /// See [`Change::Nudged`].
        Nudged = "nudged",
        /// See [`Change::Skipped`].
        Skipped = "skipped",
        /// See [`Change::Settled`].
        Settled = "settled",
    }
}

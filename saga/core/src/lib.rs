//! The pure core of the saga engine: what a saga *is*, without anything that moves it.
//!
//! A saga is three nouns and two verbs. The nouns: a [`Definition`] (which steps, in which order),
//! an [`Event`] (what happened), a [`Record`] (everything known after that event). The verbs:
//! [`Record::next`] folds an event into a record or refuses it, and [`decide`] says what a record
//! asks of somebody. Participants, coordinator, gateway, auditor and tests run the same two.
//!
//! ```
//! use saga_core::{Author, Change, Definition, Event, Lane, Plan, Record, Status, Step, decide};
//! use serde_json::json;
//!
//! let definition = Definition::new("trip", 1)
//!     .deadline_ms(60_000)
//!     .step(Step::compensable("flight", "airline").timeout_ms(5_000))
//!     .step(Step::compensable("hotel", "hotels").timeout_ms(5_000));
//! let plan = Plan::new(definition)?;
//!
//! let started = Record::start(&plan, "trip-1", json!({"to": "Lisbon"}))?;
//! assert_eq!(decide(&plan, &started, "airline", Lane::Forward).len(), 1);
//!
//! // Sequence 7 is where the stream stored `started`.
//! let booked = Event::new(Author::service("airline"), Change::done("flight", json!({"seat": "1A"})));
//! let record = started.next(&plan, 7, booked)?;
//! let full = Event::new(Author::service("hotels"), Change::failed("hotel", "full", "no room left"));
//! let record = record.next(&plan, 8, full)?;
//! assert_eq!(record.status, Status::RollingBack);
//! assert_eq!(decide(&plan, &record, "airline", Lane::Backward).len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Nothing here reads a clock, draws a random number, logs, or does I/O: this crate's manifest
//! gives it nothing to do that with.

mod apply;
pub mod barrier;
mod decide;
pub mod definition;
mod diagram;
mod digest;
pub mod event;
mod json;
pub mod limits;
pub mod plan;
pub mod record;
pub mod subject;
mod verify;

pub use apply::Refusal;
pub use decide::{Action, Lane, Waiting, WaitingFor, decide, waiting};
pub use definition::{Backoff, Condition, Definition, Kind, Step, Test};
pub use diagram::mermaid;
pub use digest::digest;
pub use event::{Author, Change, Event, EventKind};
pub use json::Json;
pub use plan::{Invalid, Plan};
pub use record::{Cause, Reason, Record, Status, StepRecord, StepState};
pub use verify::{Lie, verify, verify_start};

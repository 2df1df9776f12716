//! One state of everything: the log, what is on its way, who is in the middle of what.

use saga_core::Lane;
use saga_core::barrier::{Row, State as RowState};
use saga_core::record::Reason;
use serde_json::json;

use crate::book::{RecordId, ServiceId, StepId, Task};
use crate::event::Move;

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// The last accepted record; `None`: retention took it.
    pub tail: Option<RecordId>,
    /// What is not acknowledged, by service.
    pub inboxes: Vec<Inbox>,
    /// Messages that are being handled, sorted.
    pub hands: Vec<Hand>,
    /// What each step's participant has in its database, and what really happened.
    pub steps: Vec<Side>,
    /// Appends that the server holds or that are still on their way to it.
    pub flights: Vec<Flight>,
    /// How often things may still happen that could go on for ever.
    pub left: Left,
    /// Promises that were broken on the way here: bits of [`crate::Promise`].
    pub broken: u16,
}

/// How often something may still happen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Left {
    /// Nudges.
    pub nudges: u8,
    /// Skips.
    pub skips: u8,
    /// Undos that are given up.
    pub give_ups: u8,
    /// Undos that a coordinator calls late.
    pub lates: u8,
    /// Starts that are repeated.
    pub repeats: u8,
}

/// What a service's consumers have not seen acknowledged.
///
/// A message that was delivered before is decided on the last record, so all such messages of one
/// consumer are alike: there is at least one, or none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Inbox {
    /// Messages of the forward consumer that were never delivered and whose record asks for
    /// something: the steps to run, as bits; sorted.
    pub fresh: Vec<u8>,
    /// Whether there are others, forward and backward.
    pub old: [bool; 2],
}

/// A message that a worker is handling.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hand {
    /// The worker's service.
    pub service: ServiceId,
    /// 0 for forward, 1 for backward.
    pub lane: usize,
    /// Whether nothing remains to be delivered again once this one acknowledges.
    pub acks: bool,
    /// What is still to be done about it, sorted.
    pub jobs: Vec<Job>,
}

/// One action of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Job {
    /// The step.
    pub step: StepId,
    /// What to do about it.
    pub task: Task,
    /// How far it is.
    pub phase: Phase,
}

/// How far an action is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Decided on this record; the barrier comes next.
    Decided(RecordId),
    /// The effect is committed and its row is not: only where the two are apart.
    RowLater(RecordId, MRow),
    /// `begun` is committed and the call comes next.
    Call(RecordId, MRow),
    /// Nobody answered: what became of the call is asked.
    Resolve(RecordId, MRow),
    /// The provider answered; this row comes next, in place of that one, and then the event.
    Settle(RecordId, MRow, MRow, Option<Move>),
    /// `undoing` is committed and the call comes next.
    CallUndo(RecordId, MRow),
    /// The event is to be appended.
    Put(RecordId, Move),
    /// The undo was given up on this record, and the event is to be appended to no other.
    GiveUp(RecordId),
    /// The event is published and not acknowledged.
    Sent(Move),
}

/// A row of the barrier, small enough to stand in a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MRow {
    /// Its state.
    pub state: RowState,
    /// Until when somebody may be in the middle; tells two calls apart.
    pub until: u8,
    /// On which event the undo was given up.
    pub n: u8,
    /// Whether the call said that nothing remains.
    pub released: bool,
}

/// A step's side of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Side {
    /// The row.
    pub row: Option<MRow>,
    /// Whether the row's `until` has passed.
    pub is_over: bool,
    /// What really happened.
    pub effect: Effect,
    /// Whether a call may still arrive at the provider although nobody waits for it.
    pub is_late: bool,
}

/// What became of a step's effect in the real world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Nothing was ever asked.
    Never,
    /// The provider refused it.
    Refused,
    /// It is there.
    Live,
    /// It was there and was undone.
    Gone,
    /// It was there and a person undid it.
    GoneByHand,
    /// It was not there when it was undone: it must never come.
    Forsworn,
}

/// An append on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flight {
    /// The record that it was derived from.
    pub on: RecordId,
    /// The event.
    pub event: Move,
    /// How its filter is spelled.
    pub spelling: u8,
    /// The service and lane of a worker that may wait for it.
    pub by: Option<(ServiceId, usize)>,
}

impl MRow {
    /// A row in `state`.
    pub fn new(state: RowState) -> Self {
        Self { state, until: 0, n: 0, released: false }
    }

    /// A row of a call.
    pub fn until(state: RowState, until: u8) -> Self {
        Self { until, ..Self::new(state) }
    }

    /// The product's row.
    pub fn to_row(self, request: &str) -> Row {
        let mut row = Row::new(request, self.state);
        match self.state {
            RowState::Begun | RowState::Undoing => row.until_ms = Some(i64::from(self.until) * 2),
            RowState::Done => row.output = Some(json!({"big": true})),
            RowState::Failed => row.reason = Some(Reason::new("no", "")),
            RowState::Held => row.n = Some(self.n.into()),
            RowState::Void | RowState::Undone => {}
        }
        row
    }

    /// The row as a state holds it.
    pub fn of(row: &Row) -> Self {
        let until = row.until_ms.and_then(|until_ms| u8::try_from(until_ms / 2).ok());
        let n = row.n.and_then(|n| u8::try_from(n).ok());
        let (until, n) = (until.unwrap_or_default(), n.unwrap_or_default());
        Self { state: row.state, until, n, released: false }
    }
}

impl Side {
    /// A step of which nothing is known.
    pub const EMPTY: Self =
        Self { row: None, is_over: false, effect: Effect::Never, is_late: false };

    /// The row as the product sees it, and how late it is.
    pub fn seen(&self, request: &str) -> (Option<Row>, i64) {
        let now_ms = self.row.map_or(0, |row| i64::from(row.until) * 2);
        let row = self.row.map(|row| row.to_row(request));
        (row, if self.is_over { now_ms } else { now_ms - 1 })
    }

    /// Writes the row.
    pub fn put(&mut self, row: MRow) {
        self.row = Some(row);
        self.is_over = false;
    }

    /// Whether somebody may be in the middle until some time.
    pub fn is_timed(&self) -> bool {
        self.row.is_some_and(|row| matches!(row.state, RowState::Begun | RowState::Undoing))
    }
}

impl Hand {
    /// The lane that its message came through.
    pub fn lane(&self) -> Lane {
        if self.lane == 0 { Lane::Forward } else { Lane::Backward }
    }
}

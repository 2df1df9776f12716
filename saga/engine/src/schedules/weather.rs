//! What goes wrong in one schedule, and how often. Each seed draws its own: much of a few things
//! finds more than a little of everything.

use super::dice::Dice;

/// What somebody waits at: a place where the schedule decides how it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    /// An append is on its way to the log.
    Append,
    /// A read of the log.
    Read,
    /// A read of rows.
    Rows,
    /// A commit.
    Commit,
    /// An answer is on its way back.
    Answer,
    /// A handler runs a local step.
    Run,
    /// A handler undoes a local step.
    Undo,
    /// A call of the provider.
    Call,
    /// A call of the provider that undoes.
    CallUndo,
    /// The provider is asked what became of a call.
    Resolve,
    /// An acknowledgement, or a message that is handed back.
    Ack,
}

/// How it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Luck {
    /// As it should.
    Good,
    /// Nothing happens, and whoever asked is told so (or, for messages, nobody is).
    Fails,
    /// It happens, and nobody answers.
    Silent,
    /// Nobody answers, and it happens later.
    Adrift,
    /// Nothing happens, for good: the server or the business says no.
    Refused,
    /// Somebody else's append is in flight.
    InFlight,
    /// A replica answers that has not heard of everything.
    Stale,
    /// Nobody knows.
    Unknown,
    /// An undo is given up.
    GivesUp,
    /// An output that is too large for a record.
    Huge,
}

/// How often what goes wrong, in a thousand.
#[derive(Debug, Clone, Default)]
pub(super) struct Weather {
    pub(super) crash: u64,
    pub(super) doubled: u64,
    pub(super) shuffled: u64,
    pub(super) wish: u64,
    pub(super) time: u64,
    pub(super) leap: u64,
    lost_append: u64,
    silent_append: u64,
    adrift_append: u64,
    refused_append: u64,
    in_flight: u64,
    failed_read: u64,
    stale_read: u64,
    failed_store: u64,
    refusal: u64,
    again: u64,
    huge: u64,
    silent_call: u64,
    adrift_call: u64,
    unknown: u64,
    gives_up: u64,
    lost_ack: u64,
}

impl Weather {
    /// The weather of a seed.
    pub(super) fn draw(dice: &mut Dice) -> Self {
        // Half of everything does not happen at all.
        let mut rate = |most: u64| if dice.chance(500) { dice.within(1, most) } else { 0 };
        Self {
            crash: rate(30),
            doubled: rate(200),
            shuffled: rate(1_000),
            wish: rate(60),
            time: rate(150),
            leap: rate(200),
            lost_append: rate(200),
            silent_append: rate(200),
            adrift_append: rate(200),
            refused_append: rate(50),
            in_flight: rate(100),
            failed_read: rate(150),
            stale_read: rate(500),
            failed_store: rate(150),
            refusal: rate(150),
            again: rate(150),
            huge: rate(50),
            silent_call: rate(200),
            adrift_call: rate(200),
            unknown: rate(300),
            gives_up: rate(200),
            lost_ack: rate(200),
        }
    }

    /// How somebody who waited goes on.
    pub(super) fn luck(&self, gate: Gate, dice: &mut Dice) -> Luck {
        let odds: &[(Luck, u64)] = match gate {
            Gate::Append => &[
                (Luck::Fails, self.lost_append),
                (Luck::Silent, self.silent_append),
                (Luck::Adrift, self.adrift_append),
                (Luck::Refused, self.refused_append),
                (Luck::InFlight, self.in_flight),
            ],
            Gate::Read => &[(Luck::Fails, self.failed_read), (Luck::Stale, self.stale_read)],
            Gate::Rows | Gate::Commit => &[(Luck::Fails, self.failed_store)],
            Gate::Answer => &[],
            Gate::Run => {
                &[(Luck::Refused, self.refusal), (Luck::Fails, self.again), (Luck::Huge, self.huge)]
            }
            Gate::Undo => &[(Luck::Fails, self.again), (Luck::GivesUp, self.gives_up)],
            Gate::Call => &[
                (Luck::Refused, self.refusal),
                (Luck::Fails, self.again),
                (Luck::Huge, self.huge),
                (Luck::Silent, self.silent_call),
                (Luck::Adrift, self.adrift_call),
            ],
            Gate::CallUndo => &[
                (Luck::Fails, self.again),
                (Luck::Silent, self.silent_call),
                (Luck::GivesUp, self.gives_up),
            ],
            Gate::Resolve => &[(Luck::Unknown, self.unknown)],
            Gate::Ack => &[(Luck::Fails, self.lost_ack)],
        };
        let bad: u64 = odds.iter().map(|(_, weight)| weight).sum();
        let mut all = odds.to_vec();
        all.push((Luck::Good, 1_000_u64.saturating_sub(bad).max(100)));
        dice.weighed(&all)
    }
}

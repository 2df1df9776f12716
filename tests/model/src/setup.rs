//! What is checked: a definition, how much goes on at the same time, and what is built wrongly.

use std::collections::BTreeSet;

use saga_core::Plan;

use crate::book::{Book, StepId};
use crate::state::Left;

/// One case.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is switched on its own")]
pub struct Setup {
    /// Its name.
    pub name: &'static str,
    /// The definition.
    pub plan: Plan,
    /// Steps whose effect is outside the participant's database.
    pub outside: BTreeSet<StepId>,
    /// Messages that one consumer's service handles at the same time.
    pub workers: usize,
    /// Whether a client may call the saga off.
    pub cancels: bool,
    /// Whether coordinators call steps and the saga late.
    pub times: bool,
    /// Whether the bytes of an append may arrive after their author gave up waiting.
    pub floats: bool,
    /// Whether what can only do nothing any more is done at once, which leaves out that a message
    /// of an earlier turn tells a service of a later one, before that turn's own message does.
    pub is_eager: bool,
    /// Whether the log has replicas: an append is first in flight, then stored.
    pub replicated: bool,
    /// How often what could go on for ever may happen.
    pub left: Left,
    /// What is built wrongly.
    pub flaw: Flaw,
}

/// What is built wrongly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing: the product.
    None,
    /// Appends are stored without the check.
    NoCheck,
    /// Every program spells the filter in its own way, and the log has replicas.
    TwoSpellings,
    /// The barrier's row is written in a transaction after that of the effect.
    RowApart,
    /// A message is acknowledged before its events are appended.
    AckFirst,
    /// The undo of an absent row leaves it absent.
    NoVoid,
    /// What an operator settled does not reach the barrier.
    SettledPastBarrier,
    /// Retention takes an ended saga while its start may still be repeated.
    ForgetsEarly,
    /// That an undo was given up is put again after a conflict, without a look at the barrier.
    GivesUpAgain,
    /// An undo that was given up is tried again by whoever comes next.
    HeldForNobody,
    /// The undo of a call that may have happened believes a provider that has not heard of it.
    BelievesProvider,
}

impl Setup {
    /// The product on this definition: everything local, one message of each consumer at a time,
    /// one server, and one of everything that could go on for ever.
    pub fn new(name: &'static str, plan: Plan) -> Self {
        let left = Left { nudges: 1, skips: 1, give_ups: 1, lates: 1, repeats: 0 };
        Self {
            name,
            plan,
            outside: BTreeSet::new(),
            workers: 1,
            cancels: true,
            times: true,
            floats: true,
            is_eager: true,
            replicated: false,
            left,
            flaw: Flaw::None,
        }
    }

    /// These steps call a provider.
    #[must_use]
    pub fn outside(mut self, steps: &[&str]) -> Self {
        let all = self.plan.steps().iter().zip(0..);
        self.outside =
            all.filter(|(it, _)| steps.contains(&it.name.as_str())).map(|(_, id)| id).collect();
        self
    }

    /// So many messages of one consumer are handled at the same time.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// So often may happen what could go on for ever.
    #[must_use]
    pub fn left(mut self, left: Left) -> Self {
        self.left = left;
        self
    }

    /// No append arrives late.
    #[must_use]
    pub fn without_floats(mut self) -> Self {
        self.floats = false;
        self
    }

    /// Every message stays until it is delivered and acknowledged.
    #[must_use]
    pub fn literal(mut self) -> Self {
        self.is_eager = false;
        self
    }

    /// The log has replicas.
    #[must_use]
    pub fn replicated(mut self) -> Self {
        (self.replicated, self.floats) = (true, false);
        self
    }

    /// Built wrongly in this way.
    #[must_use]
    pub fn flawed(mut self, flaw: Flaw) -> Self {
        self.flaw = flaw;
        self
    }

    pub(crate) fn book(&self) -> Book {
        Book::new(self.plan.clone())
    }
}

//! The world outside: which effects there are, by whom they were undone, and what is broken.

use std::collections::BTreeMap;

use serde_json::Value;

/// What is promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Promise {
    /// No effect happens twice.
    Once,
    /// No effect happens after its undo.
    Forsworn,
    /// No effect is undone twice, by its service or by a person and its service; and none that was
    /// not there.
    UndoneOnce,
    /// What was acknowledged is in the log.
    Kept,
    /// Every record is the fold of its history, and a coordinator that follows raises no alarm
    /// about what it reads.
    Folded,
    /// Of a saga that is rolled back nothing remains.
    Clean,
    /// Of a completed saga every effect is there.
    Whole,
    /// Services alone bring every saga to its end, or to where a person, a client or time is needed.
    TurnKept,
    /// With those, every saga ends.
    Ends,
    /// Rows of the barrier say what the log says.
    Agrees,
    /// Endings are mirrored, once each and in order.
    Mirrored,
    /// Nothing becomes a dead letter.
    NoDeadLetter,
}

/// Where an effect stands.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) enum Effect {
    #[default]
    Never,
    Live(Value),
    Refused,
    Gone,
    /// A provider undid it, or will refuse it when it comes.
    Cancelled,
    /// A person undid it.
    ByHand,
}

/// All effects.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    effects: BTreeMap<String, Effect>,
    /// The number of the last event that was mirrored, for each saga and mirror.
    mirrored: BTreeMap<String, u64>,
}

type Found = Result<(), (Promise, String)>;

impl Ledger {
    pub(super) fn effect(&self, id: &str) -> Effect {
        self.effects.get(id).cloned().unwrap_or_default()
    }

    pub(super) fn mirrored(&self, id: &str) -> Option<u64> {
        self.mirrored.get(id).copied()
    }

    /// An effect happens.
    pub(super) fn happens(&mut self, id: &str, output: Value) -> Found {
        let before = self.effect(id);
        self.effects.insert(id.to_owned(), Effect::Live(output));
        match before {
            Effect::Never | Effect::Refused => Ok(()),
            Effect::Live(_) => Err((Promise::Once, format!("{id} happens a second time"))),
            _ => Err((Promise::Forsworn, format!("{id} happens after its undo"))),
        }
    }

    /// An effect is undone in its service's own database.
    pub(super) fn unhappens(&mut self, id: &str) -> Found {
        let before = self.effect(id);
        self.effects.insert(id.to_owned(), Effect::Gone);
        match before {
            Effect::Live(_) => Ok(()),
            other => Err((Promise::UndoneOnce, format!("{id} is undone, and it is {other:?}"))),
        }
    }

    /// A provider, which knows a call by its id, is called.
    pub(super) fn call(&mut self, id: &str, output: Value) -> Effect {
        if let Effect::Never = self.effect(id) {
            self.effects.insert(id.to_owned(), Effect::Live(output));
        }
        self.effect(id)
    }

    /// A provider refuses a call, unless it has answered it already.
    pub(super) fn refuse(&mut self, id: &str) -> Effect {
        if let Effect::Never = self.effect(id) {
            self.effects.insert(id.to_owned(), Effect::Refused);
        }
        self.effect(id)
    }

    /// A provider undoes a call, or makes one harmless that comes later.
    pub(super) fn cancel(&mut self, id: &str) -> Found {
        let after = match self.effect(id) {
            Effect::Live(_)
            | Effect::Never
            | Effect::Refused
            | Effect::Gone
            | Effect::Cancelled => Effect::Cancelled,
            Effect::ByHand => {
                return Err((Promise::UndoneOnce, format!("{id} was undone by hand before")));
            }
        };
        self.effects.insert(id.to_owned(), after);
        Ok(())
    }

    /// A person undoes what there is.
    pub(super) fn undo_by_hand(&mut self, id: &str) -> Found {
        let before = self.effect(id);
        if before == Effect::Cancelled {
            // The provider did it, and its answer was lost: the person sees that.
            return Ok(());
        }
        self.effects.insert(id.to_owned(), Effect::ByHand);
        match before {
            Effect::Gone | Effect::ByHand => {
                Err((Promise::UndoneOnce, format!("{id} is undone by hand, and it is {before:?}")))
            }
            _ => Ok(()),
        }
    }

    /// An ending is mirrored.
    pub(super) fn mirror(&mut self, saga: &str, n: u64) -> Found {
        match self.mirrored.insert(saga.to_owned(), n) {
            Some(before) if before >= n => {
                let why = format!("event {n} of {saga} is mirrored after event {before}");
                Err((Promise::Mirrored, why))
            }
            _ => Ok(()),
        }
    }
}

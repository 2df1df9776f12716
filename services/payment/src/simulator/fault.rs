//! What can go wrong at the simulator, by name.

use std::time::Duration;

use jetsaga_contracts::demo;
use serde::{Deserialize, Serialize};

/// Something that goes wrong on demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Charges are declined.
    Declined,
    /// The charge is made, but its answer never arrives.
    TimeoutButCharged,
    /// The charge is made, but its answer is a 500.
    #[serde(rename = "charged_then_500")]
    ChargedThen500,
    /// The charge arrives long after its caller has given up.
    LateArrival,
    /// The charge takes some seconds.
    Slow,
    /// A refund fails twice before it works.
    RefundFailsTwice,
    /// A refund is refused until the fault is switched off.
    RefundNeverWorks,
    /// Every call is answered 503.
    Down,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Declined,
        Self::TimeoutButCharged,
        Self::ChargedThen500,
        Self::LateArrival,
        Self::Slow,
        Self::RefundFailsTwice,
        Self::RefundNeverWorks,
        Self::Down,
    ];

    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Declined => "declined",
            Self::TimeoutButCharged => "timeout_but_charged",
            Self::ChargedThen500 => "charged_then_500",
            Self::LateArrival => "late_arrival",
            Self::Slow => "slow",
            Self::RefundFailsTwice => "refund_fails_twice",
            Self::RefundNeverWorks => "refund_never_works",
            Self::Down => "down",
        }
    }

    /// The fault of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| fault.name() == name)
    }
}

/// When a fault happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Never, whatever the token says: it is repaired.
    Off,
    /// To charges whose token asks for it.
    #[default]
    Token,
    /// To every charge.
    Always,
}

/// What a token asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// Charge it.
    Charge,
    /// Decline it with this code.
    Decline(&'static str),
    /// Let this go wrong.
    Fault(Fault),
    /// Be down for this charge until so long after it was first seen.
    DownFor(Duration),
}

/// Longest time that a token can ask the provider to be down.
const MAX_DOWN: u64 = 600;

/// What `token` asks for; `None` for a token that the simulator does not know.
pub(super) fn wish(token: &str) -> Option<Wish> {
    if let Some(rest) = token.strip_prefix(demo::DOWN_FOR) {
        let seconds: u64 = rest.strip_suffix('s')?.parse().ok()?;
        let legal = (1..=MAX_DOWN).contains(&seconds);
        return legal.then(|| Wish::DownFor(Duration::from_secs(seconds)));
    }
    if let Some(fault) = token.strip_prefix("pm_fault_") {
        return Fault::named(fault).map(Wish::Fault);
    }
    let known = demo::TOKENS.iter().find(|known| known.token == token)?;
    Some(known.decline.map_or(Wish::Charge, Wish::Decline))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_published_token_asks_for_something() {
        for known in demo::TOKENS {
            assert!(wish(known.token).is_some(), "{}", known.token);
        }
        assert_eq!(wish(demo::VISA), Some(Wish::Charge));
        assert_eq!(wish(demo::INSUFFICIENT_FUNDS), Some(Wish::Decline("insufficient_funds")));
        assert_eq!(wish(demo::SLOW), Some(Wish::Fault(Fault::Slow)));
        assert_eq!(wish("pm_fault_down_for_3s"), Some(Wish::DownFor(Duration::from_secs(3))));
        for unknown in
            ["pm_card_unknown", "pm_fault_x", "pm_fault_down_for_0s", "pm_fault_down_for_"]
        {
            assert_eq!(wish(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn names_are_the_wire_names() {
        for fault in Fault::ALL {
            assert_eq!(serde_json::to_value(fault).unwrap(), fault.name());
            assert_eq!(Fault::named(fault.name()), Some(fault));
        }
    }
}

//! Payment tokens with which the provider's simulator plays every ending of a payment.
//!
//! The names follow the well-known test tokens of card processors, in lower case with
//! underscores, so that they keep to [`crate::limits::TOKEN_PATTERN`].

/// A token and what happens to a charge with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DemoToken {
    /// What to send as `payment.token`.
    pub token: &'static str,
    /// What happens then, in one sentence.
    pub effect: &'static str,
    /// The provider's decline code, when it declines.
    pub decline: Option<&'static str>,
}

const fn declines(token: &'static str, code: &'static str, effect: &'static str) -> DemoToken {
    DemoToken { token, effect, decline: Some(code) }
}

const fn fault(token: &'static str, effect: &'static str) -> DemoToken {
    DemoToken { token, effect, decline: None }
}

/// Charged without ado.
pub const VISA: &str = "pm_card_visa";
/// Declined without a further reason.
pub const DECLINED: &str = "pm_card_visa_charge_declined";
/// Declined: not enough money.
pub const INSUFFICIENT_FUNDS: &str = "pm_card_visa_charge_declined_insufficient_funds";
/// The provider charges, but its answer never arrives.
pub const TIMEOUT_BUT_CHARGED: &str = "pm_fault_timeout_but_charged";
/// The provider charges and then answers 500.
pub const CHARGED_THEN_500: &str = "pm_fault_charged_then_500";
/// The charge reaches the provider only after the caller has given up.
pub const LATE_ARRIVAL: &str = "pm_fault_late_arrival";
/// The provider takes its time, and then charges.
pub const SLOW: &str = "pm_fault_slow";
/// The refund fails twice, then works.
pub const REFUND_FAILS_TWICE: &str = "pm_fault_refund_fails_twice";
/// The refund fails until somebody repairs the provider.
pub const REFUND_NEVER_WORKS: &str = "pm_fault_refund_never_works";
/// What a token starts with that takes the provider down for some seconds
/// (`pm_fault_down_for_3s`; 1 to 600).
pub const DOWN_FOR: &str = "pm_fault_down_for_";

/// Every token that the simulator knows, for the API's documentation.
pub const TOKENS: &[DemoToken] = &[
    fault(VISA, "charged"),
    fault("pm_card_mastercard", "charged"),
    declines(DECLINED, "generic_decline", "declined without a further reason"),
    declines(INSUFFICIENT_FUNDS, "insufficient_funds", "declined: not enough money"),
    declines("pm_card_visa_charge_declined_lost_card", "lost_card", "declined: reported lost"),
    declines(
        "pm_card_visa_charge_declined_stolen_card",
        "stolen_card",
        "declined: reported stolen",
    ),
    declines("pm_card_charge_declined_expired_card", "expired_card", "declined: expired"),
    declines("pm_card_charge_declined_incorrect_cvc", "incorrect_cvc", "declined: wrong CVC"),
    declines(
        "pm_card_charge_declined_processing_error",
        "processing_error",
        "declined: the processor failed",
    ),
    fault(TIMEOUT_BUT_CHARGED, "charged, but the answer never arrives; found out by asking"),
    fault(CHARGED_THEN_500, "charged, but the answer is an error; found out by asking"),
    fault(LATE_ARRIVAL, "the charge arrives after we gave up, and is made harmless by its cancel"),
    fault(SLOW, "charged after a pause that is shorter than the time-out"),
    fault(REFUND_FAILS_TWICE, "charged; a refund fails twice before it works"),
    fault(REFUND_NEVER_WORKS, "charged; a refund fails until the provider is repaired: stuck"),
    fault(
        "pm_fault_down_for_3s",
        "the provider is down for 3 s (any number of seconds), then charges",
    ),
];

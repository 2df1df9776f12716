//! Codes with which a step refuses: `steps.<step>.reason.code` of the record and the reason of a
//! cancelled order. Each has a page in `docs/errors/`.

/// The order breaks a rule that the gateway checks before it starts a saga; the detail begins
/// with a JSON pointer to the field.
pub const INVALID_ORDER: &str = "invalid_order";
/// No product has this SKU.
pub const UNKNOWN_SKU: &str = "unknown_sku";
/// The product is no longer sold.
pub const INACTIVE_SKU: &str = "inactive_sku";
/// The product is not priced in the order's currency.
pub const CURRENCY_MISMATCH: &str = "currency_mismatch";
/// The total is larger than any amount that can be charged.
pub const AMOUNT_OVERFLOW: &str = "amount_overflow";
/// The total is below the smallest amount that can be charged (one minor unit).
pub const AMOUNT_TOO_SMALL: &str = "amount_too_small";
/// The provider declined; the detail begins with its decline code, such as `insufficient_funds`.
pub const CARD_DECLINED: &str = "card_declined";
/// The provider does not know the token, or refuses the request as such.
pub const PAYMENT_INVALID: &str = "payment_invalid";
/// Of an undo: the provider refuses to give the charge back; a person is needed.
pub const REFUND_REFUSED: &str = "refund_refused";
/// Less is available than was ordered of at least one line.
pub const OUT_OF_STOCK: &str = "out_of_stock";
/// The barrier holds this saga id for another request.
pub const ID_REUSED: &str = "id_reused";

/// All of them, for documentation and tests.
pub const ALL: &[&str] = &[
    INVALID_ORDER,
    UNKNOWN_SKU,
    INACTIVE_SKU,
    CURRENCY_MISMATCH,
    AMOUNT_OVERFLOW,
    AMOUNT_TOO_SMALL,
    CARD_DECLINED,
    PAYMENT_INVALID,
    REFUND_REFUSED,
    OUT_OF_STOCK,
    ID_REUSED,
];

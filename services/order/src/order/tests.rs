use std::collections::BTreeMap;

use jetsaga_contracts::{
    http::{
        order::OrderStatus::{self, Cancelled, Confirmed, NeedsAttention, Pending},
        product::Product,
    },
    limits::{MAX_AMOUNT, MAX_QUANTITY},
    money::{Currency, Money},
    order_saga::{Customer, OrderInput, OrderLine, PaymentMethod, refusal},
    time::Timestamp,
};
use saga_core::Cause;

use super::{
    LONGEST_HISTORY, Move, Next, next,
    pricing::{Unpriceable, price},
    reason_of,
};

const STATES: [Option<OrderStatus>; 5] =
    [None, Some(Pending), Some(Confirmed), Some(Cancelled), Some(NeedsAttention)];

/// Every pair, written out: columns as in `Move::ALL`. `!` is illegal, `=` keeps.
const TABLE: [[&str; 6]; 5] = [
    //                priced     refused      undone       completed    rolled back  stuck
    /* none       */
    ["pending", "cancelled", "=", "confirmed", "cancelled", "needs_attention"],
    /* pending    */ ["!", "!", "cancelled", "confirmed", "cancelled", "needs_attention"],
    /* confirmed  */ ["!", "!", "!", "=", "!", "!"],
    /* cancelled  */ ["!", "!", "=", "!", "=", "="],
    /* attention  */ ["!", "!", "cancelled", "!", "cancelled", "="],
];

fn word(status: OrderStatus) -> &'static str {
    match status {
        Pending => "pending",
        Confirmed => "confirmed",
        Cancelled => "cancelled",
        NeedsAttention => "needs_attention",
    }
}

#[test]
fn every_pair_of_status_and_move_is_as_written() {
    for (from, row) in STATES.into_iter().zip(TABLE) {
        for (by, wanted) in Move::ALL.into_iter().zip(row) {
            let found = match next(from, by) {
                Ok(Next::To(status)) => word(status),
                Ok(Next::Keep) => "=",
                Err(illegal) => {
                    assert_eq!((illegal.from, illegal.by), (from, by));
                    "!"
                }
            };
            assert_eq!(found, wanted, "{from:?} on {by:?}");
        }
    }
}

#[test]
fn no_history_is_longer_than_the_store_looks() {
    fn longest(from: Option<OrderStatus>) -> usize {
        let steps = Move::ALL.into_iter().filter_map(|by| match next(from, by) {
            Ok(Next::To(status)) => Some(1 + longest(Some(status))),
            _ => None,
        });
        steps.max().unwrap_or(0)
    }
    assert_eq!(longest(None), LONGEST_HISTORY);
}

#[test]
fn nothing_leaves_a_final_status() {
    for by in Move::ALL {
        for end in [Confirmed, Cancelled] {
            assert!(!matches!(next(Some(end), by), Ok(Next::To(_))), "{end:?} on {by:?}");
        }
    }
}

#[test]
fn a_move_that_is_told_twice_changes_nothing_the_second_time() {
    for from in STATES {
        for by in [Move::Undone, Move::Completed, Move::RolledBack, Move::Stuck] {
            if let Ok(Next::To(status)) = next(from, by) {
                assert_eq!(next(Some(status), by), Ok(Next::Keep), "{from:?} on {by:?}");
            }
        }
    }
}

fn eur(amount: i64) -> Money {
    Money::new(amount, Currency::EUR).unwrap()
}

fn product(sku: &str, price: Money) -> Product {
    let name = format!("Product {sku}");
    Product { sku: sku.to_owned(), name, price, active: true, updated_at: Timestamp::now() }
}

fn order(lines: &[(&str, i64)]) -> OrderInput {
    let line =
        |(sku, quantity): &(&str, i64)| OrderLine { sku: (*sku).to_owned(), quantity: *quantity };
    OrderInput {
        customer: Customer { name: "Ada".to_owned(), email: "ada@example.com".to_owned() },
        lines: lines.iter().map(line).collect(),
        currency: "EUR".to_owned(),
        payment: PaymentMethod { token: "pm_card_visa".to_owned() },
    }
}

fn catalogue(products: &[Product]) -> BTreeMap<String, Product> {
    products.iter().map(|product| (product.sku.clone(), product.clone())).collect()
}

#[test]
fn lines_are_priced_in_their_order_and_summed() {
    let shop = catalogue(&[product("A", eur(1999)), product("B", eur(5))]);
    let priced = price(&order(&[("B", 3), ("A", 2)]), &shop).unwrap();
    assert_eq!(priced.total, eur(4013));
    let lines: Vec<_> =
        priced.lines.iter().map(|line| (line.sku.as_str(), line.total.amount)).collect();
    assert_eq!(lines, [("B", 15), ("A", 3998)]);
    assert_eq!(priced.lines[1].name, "Product A");
    assert_eq!(priced.lines[1].unit_price, eur(1999));
}

#[test]
fn every_reason_not_to_price_has_its_code() {
    let mut old = product("OLD", eur(1));
    old.active = false;
    let yen = Money::new(100, "JPY".parse().unwrap()).unwrap();
    let shop = catalogue(&[
        product("A", eur(1999)),
        product("FREE", eur(0)),
        product("YEN", yen),
        product("BIG", eur(MAX_AMOUNT)),
        product("HALF", eur(MAX_AMOUNT / 2 + 1)),
        product("HALF2", eur(MAX_AMOUNT / 2 + 1)),
        old,
    ]);
    let code = |lines: &[(&str, i64)]| price(&order(lines), &shop).unwrap_err().code();
    assert_eq!(code(&[("A", 1), ("NO-SUCH", 1)]), refusal::UNKNOWN_SKU);
    assert_eq!(code(&[("OLD", 1)]), refusal::INACTIVE_SKU);
    assert_eq!(code(&[("YEN", 1)]), refusal::CURRENCY_MISMATCH);
    assert_eq!(code(&[("BIG", 2)]), refusal::AMOUNT_OVERFLOW);
    assert_eq!(code(&[("BIG", MAX_QUANTITY)]), refusal::AMOUNT_OVERFLOW);
    assert_eq!(code(&[("HALF", 1), ("HALF2", 1)]), refusal::AMOUNT_OVERFLOW);
    assert_eq!(code(&[("FREE", 1)]), refusal::AMOUNT_TOO_SMALL);
    assert_eq!(code(&[]), refusal::INVALID_ORDER);
    assert_eq!(code(&[("A", 0)]), refusal::INVALID_ORDER);
    assert_eq!(code(&[("A", -1)]), refusal::INVALID_ORDER);
    assert_eq!(code(&[("A", MAX_QUANTITY + 1)]), refusal::INVALID_ORDER);
    assert_eq!(code(&[("A", 1), ("A", 1)]), refusal::INVALID_ORDER);
    assert_eq!(price(&order(&[("BIG", 1)]), &shop).unwrap().total, eur(MAX_AMOUNT));
}

#[test]
fn an_unknown_currency_is_refused_before_anybody_is_asked() {
    let mut input = order(&[("A", 1)]);
    input.currency = "XXX".to_owned();
    let refused = price(&input, &BTreeMap::new()).unwrap_err();
    assert!(matches!(&refused, Unpriceable::Invalid { pointer, .. } if pointer == "/currency"));
}

#[test]
fn a_cause_becomes_a_reason_without_empty_words() {
    let cause = |step: &str, detail: &str| Cause {
        step: step.to_owned(),
        code: "cancelled".to_owned(),
        detail: detail.to_owned(),
    };
    let reason = reason_of(&cause("saga", ""));
    assert_eq!((reason.step, reason.detail), (None, None));
    let reason = reason_of(&cause("payment", "declined"));
    assert_eq!(
        (reason.step.as_deref(), reason.detail.as_deref()),
        (Some("payment"), Some("declined"))
    );
}

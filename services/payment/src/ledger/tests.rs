use proptest::prelude::*;

use super::*;

fn eur(amount: i64) -> Money {
    Money { amount, currency: Currency::EUR }
}

fn at() -> Timestamp {
    "2026-11-23T09:00:00Z".parse().unwrap()
}

fn charged(amount: i64) -> Ledger {
    Ledger::default().charge(eur(amount), at()).unwrap()
}

#[test]
fn a_charge_and_its_refund_leave_nothing() {
    let ledger = charged(1999);
    assert!(ledger.is_balanced() && !ledger.is_settled());
    assert_eq!(ledger.balance(Account::Provider, Currency::EUR), Ok(eur(1999)));
    assert_eq!(ledger.balance(Account::Customer, Currency::EUR), Ok(eur(-1999)));
    let ledger = ledger.refund(eur(1999), at()).unwrap();
    assert!(ledger.is_balanced() && ledger.is_settled());
    assert_eq!(ledger.entries().len(), 4);
}

#[test]
fn nothing_is_charged_twice_or_given_back_that_is_not_there() {
    assert_eq!(charged(1).charge(eur(1), at()), Err(LedgerError::ChargedTwice));
    assert_eq!(Ledger::default().refund(eur(1), at()), Err(LedgerError::NotCovered));
    assert_eq!(charged(1).refund(eur(2), at()), Err(LedgerError::NotCovered));
    let refunded = charged(1).refund(eur(1), at()).unwrap();
    assert_eq!(refunded.refund(eur(1), at()), Err(LedgerError::NotCovered));
    let yen = Money { amount: 1, currency: "JPY".parse().unwrap() };
    assert!(matches!(charged(1).refund(yen, at()), Err(LedgerError::Money(_))));
    for amount in [0, -1, i64::MIN] {
        let none = Ledger::default().charge(eur(amount), at());
        assert_eq!(none, Err(LedgerError::NotPositive));
    }
}

proptest! {
    #[test]
    fn whatever_is_tried_it_balances_and_never_gives_more_than_it_took(
        tries in prop::collection::vec((any::<bool>(), -5_i64..50), 0..40),
    ) {
        let (mut ledger, mut took, mut gave) = (Ledger::default(), 0, 0);
        for (is_charge, amount) in tries {
            let before = ledger.clone();
            let tried = if is_charge {
                ledger.charge(eur(amount), at())
            } else {
                ledger.refund(eur(amount), at())
            };
            if tried.is_ok() {
                *(if is_charge { &mut took } else { &mut gave }) += amount;
            }
            ledger = tried.unwrap_or(before);
            prop_assert!(ledger.is_balanced());
            prop_assert!(0 <= gave && gave <= took);
            prop_assert_eq!(ledger.is_settled(), gave == took);
            let held = ledger.balance(Account::Provider, Currency::EUR);
            prop_assert_eq!(held, Ok(eur(took - gave)));
        }
    }
}

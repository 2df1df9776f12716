use jetsaga_contracts::{
    http::payment::LedgerEntry,
    ids::{OrderId, PaymentId},
    money::Currency,
    time::Timestamp,
};

use super::*;
use crate::provider::Receipt;

fn eur(amount: i64) -> Money {
    Money { amount, currency: Currency::EUR }
}

fn charged() -> Charged {
    Charged { provider_ref: "ch_1".to_owned(), amount: eur(500) }
}

fn payment(status: PaymentStatus, ledger: Vec<LedgerEntry>) -> Payment {
    Payment {
        id: PaymentId::fresh(),
        order: OrderId::random(),
        status,
        amount: Some(eur(500)),
        provider_ref: Some("ch_1".to_owned()),
        decline_code: None,
        ledger,
        created_at: Timestamp::now(),
        updated_at: Timestamp::now(),
    }
}

fn ledger(refunded: bool) -> Vec<LedgerEntry> {
    let ledger = Ledger::default().charge(eur(500), Timestamp::now()).unwrap();
    let ledger = if refunded { ledger.refund(eur(500), Timestamp::now()).unwrap() } else { ledger };
    ledger.into_entries()
}

#[test]
fn books_hold_the_total_or_nothing() {
    let held = Expected::Held(charged());
    let right = payment(PaymentStatus::Charged, ledger(false));
    let back = payment(PaymentStatus::Refunded, ledger(true));
    for (expected, payment) in [
        (&held, Some(&right)),
        (&Expected::Nothing, None),
        (&Expected::Nothing, Some(&back)),
        (&Expected::Open, Some(&right)),
    ] {
        assert_eq!(books(expected, payment), Vec::<String>::new(), "{expected:?} {payment:?}");
    }
    let one_sided = payment_without_last(&right);
    let other = Payment { amount: Some(eur(400)), ..right.clone() };
    let of_other = Payment { provider_ref: Some("ch_2".to_owned()), ..right.clone() };
    let only_said = Payment { ledger: Vec::new(), ..right.clone() };
    let only_booked = Payment { ledger: ledger(false), ..back.clone() };
    for (expected, payment, says) in [
        (&held, None, "there is no payment"),
        (&held, Some(&back), "Refunded"),
        (&held, Some(&one_sided), "does not sum to zero"),
        (&held, Some(&other), "do not say that"),
        (&held, Some(&only_said), "do not say that"),
        (&held, Some(&of_other), "another charge"),
        (&Expected::Nothing, Some(&right), "nothing may remain"),
        (&Expected::Nothing, Some(&only_booked), "the ledger holds money"),
        (&Expected::Open, Some(&one_sided), "does not sum to zero"),
    ] {
        let said = books(expected, payment);
        assert!(said.iter().any(|why| why.contains(says)), "{expected:?} {payment:?}: {said:?}");
    }
}

fn payment_without_last(payment: &Payment) -> Payment {
    let mut payment = payment.clone();
    payment.ledger.pop();
    payment
}

#[test]
fn the_provider_holds_the_total_or_nothing() {
    let receipt = |amount| Receipt { provider_ref: "ch_1".to_owned(), amount: eur(amount) };
    let held = Expected::Held(charged());
    for (expected, fate, is_right) in [
        (&held, Fate::Charged(receipt(500)), true),
        (&held, Fate::Charged(receipt(501)), false),
        (&held, Fate::NotSeen, false),
        (&held, Fate::Refunded(receipt(500)), false),
        (&Expected::Nothing, Fate::Charged(receipt(500)), false),
        (&Expected::Nothing, Fate::Refunded(receipt(500)), true),
        (&Expected::Nothing, Fate::NotSeen, true),
        (&Expected::Nothing, Fate::Cancelled, true),
        (&Expected::Open, Fate::Charged(receipt(500)), true),
    ] {
        assert_eq!(provider(expected, &fate).is_empty(), is_right, "{expected:?} {fate:?}");
    }
}

#[test]
fn all_ledgers_together_sum_to_zero() {
    assert_eq!(sums(&[eur(0)]), Vec::<String>::new());
    assert_eq!(sums(&[eur(0), eur(7)]).len(), 1);
}

//! What is written beside the barrier's row for each outcome.

use jetsaga_contracts::{
    http::payment::PaymentStatus, ids::PaymentId, money::Money, time::Timestamp,
};
use service_kit::Work;

use crate::{
    ledger::{Ledger, LedgerError},
    provider::Receipt,
    store::{self, StoredPayment},
};

/// The customer was charged.
pub(super) fn charged(order: &str, receipt: &Receipt, at: Timestamp) -> Result<Work, LedgerError> {
    let ledger = Ledger::default().charge(receipt.amount, at)?;
    Ok(store::create(order, &of_receipt(PaymentStatus::Charged, receipt, at), &ledger))
}

/// The customer got it back. `written`: the charge is in our books already.
pub(super) fn refunded(
    order: &str,
    receipt: &Receipt,
    written: bool,
    at: Timestamp,
) -> Result<Work, LedgerError> {
    let ledger = Ledger::default().charge(receipt.amount, at)?.refund(receipt.amount, at)?;
    Ok(if written {
        store::refunded(order, &ledger, at)
    } else {
        store::create(order, &of_receipt(PaymentStatus::Refunded, receipt, at), &ledger)
    })
}

/// The bank said no.
pub(super) fn declined(order: &str, amount: Option<Money>, code: &str, at: Timestamp) -> Work {
    let decline_code = Some(code.to_owned());
    let payment = StoredPayment { decline_code, ..fresh(PaymentStatus::Declined, amount, at) };
    store::create(order, &payment, &Ledger::default())
}

/// It was called off before anything arrived.
pub(super) fn cancelled(order: &str, at: Timestamp) -> Work {
    store::create(order, &fresh(PaymentStatus::Cancelled, None, at), &Ledger::default())
}

fn of_receipt(status: PaymentStatus, receipt: &Receipt, at: Timestamp) -> StoredPayment {
    let provider_ref = Some(receipt.provider_ref.clone());
    StoredPayment { provider_ref, ..fresh(status, Some(receipt.amount), at) }
}

fn fresh(status: PaymentStatus, amount: Option<Money>, at: Timestamp) -> StoredPayment {
    StoredPayment {
        payment_id: PaymentId::fresh(),
        status,
        amount: amount.map(|amount| amount.amount),
        currency: amount.map(|amount| amount.currency),
        provider_ref: None,
        decline_code: None,
        created_at: at,
        updated_at: at,
    }
}

//! What books and provider must say when the log says how an order ended. Pure.

use jetsaga_contracts::{
    http::payment::{Account, Payment, PaymentStatus},
    money::Money,
    order_saga::Charged,
};
use saga_engine::Expected;

use crate::{ledger::Ledger, provider::Fate};

#[cfg(test)]
mod tests;

/// What is wrong with our own books of one order.
pub fn books(expected: &Expected<Charged>, payment: Option<&Payment>) -> Vec<String> {
    let mut found = Vec::new();
    let ledger = Ledger::of(payment.map(|payment| payment.ledger.clone()).unwrap_or_default());
    if !ledger.is_balanced() {
        found.push("the ledger of the order does not sum to zero".to_owned());
    }
    match (expected, payment) {
        (Expected::Held(_), None) => {
            found.push("there is no payment, and the log says that it was charged".to_owned());
        }
        (Expected::Held(charged), Some(payment)) => {
            let held = ledger.balance(Account::Provider, charged.amount.currency);
            if payment.status != PaymentStatus::Charged {
                found.push(format!("the payment is {:?}, not charged", payment.status));
            }
            if payment.amount != Some(charged.amount) || held != Ok(charged.amount) {
                let amount = charged.amount;
                found.push(format!("the books do not say that {amount} were charged"));
            }
            if payment.provider_ref.as_ref() != Some(&charged.provider_ref) {
                found.push("the payment names another charge than the log".to_owned());
            }
        }
        (Expected::Nothing, Some(payment)) => {
            if payment.status == PaymentStatus::Charged {
                found.push("the payment is charged, and nothing may remain".to_owned());
            }
            if !ledger.is_settled() {
                found.push("the ledger holds money, and nothing may remain".to_owned());
            }
        }
        (Expected::Nothing, None) | (Expected::Open, _) => {}
    }
    found
}

/// What is wrong with what the provider says of one order.
pub fn provider(expected: &Expected<Charged>, fate: &Fate) -> Vec<String> {
    let why = match (expected, fate) {
        (Expected::Held(charged), Fate::Charged(receipt)) => {
            if receipt.amount == charged.amount && receipt.provider_ref == charged.provider_ref {
                return Vec::new();
            }
            format!("the provider holds {} under {}", receipt.amount, receipt.provider_ref)
        }
        (Expected::Held(_), _) => "the provider holds nothing, and it was charged".to_owned(),
        (Expected::Nothing, Fate::Charged(receipt)) => {
            format!("the provider still holds {}, and nothing may remain", receipt.amount)
        }
        _ => return Vec::new(),
    };
    vec![why]
}

/// What is wrong with all ledgers together.
pub fn sums(sums: &[Money]) -> Vec<String> {
    let wrong = sums.iter().filter(|sum| sum.amount != 0);
    wrong.map(|sum| format!("all ledgers together sum to {sum}, not to zero")).collect()
}

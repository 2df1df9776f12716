//! The ledger of one order: every movement of money has two sides that sum to zero. Pure.
//!
//! The provider's account says what the provider holds for us, the customer's what the customer
//! has paid (negative: it left them). After a rollback each account is back at zero.

use jetsaga_contracts::{
    http::payment::{Account, LedgerEntry, LedgerKind},
    money::{Currency, Money, MoneyError},
    time::Timestamp,
};

#[cfg(test)]
mod tests;

/// Why a movement cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// Only a positive amount can move.
    #[error("the amount is not positive")]
    NotPositive,
    /// An order is charged once.
    #[error("the order was charged already")]
    ChargedTwice,
    /// More would be given back than is there.
    #[error("more than was charged would be given back")]
    NotCovered,
    /// The amounts cannot be added.
    #[error(transparent)]
    Money(#[from] MoneyError),
}

/// The movements of one order, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger(Vec<LedgerEntry>);

impl Ledger {
    /// The ledger that was read.
    pub fn of(entries: Vec<LedgerEntry>) -> Self {
        Self(entries)
    }

    /// Its entries, oldest first.
    pub fn entries(&self) -> &[LedgerEntry] {
        &self.0
    }

    /// Its entries, owned.
    pub fn into_entries(self) -> Vec<LedgerEntry> {
        self.0
    }

    /// The customer pays `amount`.
    ///
    /// # Errors
    /// [`LedgerError::ChargedTwice`], [`LedgerError::NotPositive`].
    pub fn charge(self, amount: Money, at: Timestamp) -> Result<Self, LedgerError> {
        if self.0.iter().any(|entry| entry.kind == LedgerKind::Charge) {
            return Err(LedgerError::ChargedTwice);
        }
        self.movement(LedgerKind::Charge, amount, at)
    }

    /// The customer gets `amount` back.
    ///
    /// # Errors
    /// [`LedgerError::NotCovered`] beyond what was charged and not given back,
    /// [`LedgerError::NotPositive`].
    pub fn refund(self, amount: Money, at: Timestamp) -> Result<Self, LedgerError> {
        let held = self.balance(Account::Provider, amount.currency)?;
        if amount.amount > held.amount {
            return Err(LedgerError::NotCovered);
        }
        self.movement(LedgerKind::Refund, amount, at)
    }

    /// What an account holds.
    ///
    /// # Errors
    /// [`MoneyError`] when the ledger holds another currency.
    pub fn balance(&self, account: Account, currency: Currency) -> Result<Money, MoneyError> {
        let of_account = self.0.iter().filter(|entry| entry.account == account);
        Money::sum(currency, of_account.map(|entry| entry.amount))
    }

    /// Whether all entries together sum to zero, as they always must.
    pub fn is_balanced(&self) -> bool {
        let Some(first) = self.0.first() else { return true };
        let all = self.0.iter().map(|entry| entry.amount);
        Money::sum(first.amount.currency, all).is_ok_and(|sum| sum.amount == 0)
    }

    /// Whether nothing is left of what was charged: each account is at zero.
    pub fn is_settled(&self) -> bool {
        let Some(first) = self.0.first() else { return true };
        [Account::Provider, Account::Customer].into_iter().all(|account| {
            self.balance(account, first.amount.currency).is_ok_and(|sum| sum.amount == 0)
        })
    }

    fn movement(
        mut self,
        kind: LedgerKind,
        amount: Money,
        at: Timestamp,
    ) -> Result<Self, LedgerError> {
        if amount.amount <= 0 {
            return Err(LedgerError::NotPositive);
        }
        let less = amount.checked_neg()?;
        let (provider, customer) = match kind {
            LedgerKind::Charge => (amount, less),
            LedgerKind::Refund => (less, amount),
        };
        self.0.push(LedgerEntry { account: Account::Provider, kind, amount: provider, at });
        self.0.push(LedgerEntry { account: Account::Customer, kind, amount: customer, at });
        Ok(self)
    }
}

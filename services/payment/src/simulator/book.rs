//! What the provider knows: charges by key, refunds by key, switches. Pure; changes are entries.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::fault::{Fault, Mode};
use crate::provider::wire::{ChargeObject, ChargeRequest, ChargeStatus, RefundObject};

/// One line of the journal: something that the provider will never forget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub(super) enum Entry {
    /// A charge was made, or declined when there is a code.
    Charge { key: String, id: String, request: ChargeRequest, decline_code: Option<String> },
    /// A key was cancelled before a charge arrived under it.
    Cancel { key: String },
    /// A charge was given back.
    Refund { key: String, refund: RefundObject },
    /// A charge arrived under a cancelled key, and was refused.
    LateCharge { key: String },
    /// A fault was switched.
    Switch { fault: Fault, mode: Mode },
}

/// What is known of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    /// As it is shown.
    pub(super) charge: ChargeObject,
    /// As it was asked for; `None` when it was cancelled before it arrived.
    pub(super) request: Option<ChargeRequest>,
}

/// Everything that the provider knows.
#[derive(Debug, Default)]
pub(super) struct Book {
    charges: BTreeMap<String, Known>,
    keys_by_id: BTreeMap<String, String>,
    refunds: BTreeMap<String, RefundObject>,
    modes: BTreeMap<Fault, Mode>,
    late: u64,
}

/// The provider's books in figures.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Charges that were made, given back or not.
    pub charged: u64,
    /// Charges that were given back.
    pub refunded: u64,
    /// Charges that were declined.
    pub declined: u64,
    /// Keys that were cancelled before a charge arrived.
    pub cancelled: u64,
    /// Charges that arrived under a cancelled key, and were refused.
    pub late: u64,
    /// Charges that were sent and have not arrived yet.
    #[serde(default)]
    pub on_their_way: u64,
    /// By currency, what was charged and not given back, in minor units.
    pub balance: BTreeMap<String, i64>,
}

impl Book {
    pub(super) fn known(&self, key: &str) -> Option<&Known> {
        self.charges.get(key)
    }

    pub(super) fn known_by_id(&self, id: &str) -> Option<&Known> {
        self.charges.get(self.keys_by_id.get(id)?)
    }

    pub(super) fn refund(&self, key: &str) -> Option<&RefundObject> {
        self.refunds.get(key)
    }

    pub(super) fn mode(&self, fault: Fault) -> Mode {
        self.modes.get(&fault).copied().unwrap_or_default()
    }

    /// Writes an entry into the book. The caller has checked that it is right.
    pub(super) fn enter(&mut self, entry: Entry) {
        match entry {
            Entry::Charge { key, id, request, decline_code } => {
                let declined = decline_code.is_some();
                let charge = ChargeObject {
                    id: Some(id.clone()),
                    status: if declined { ChargeStatus::Failed } else { ChargeStatus::Succeeded },
                    amount: Some(request.amount),
                    currency: Some(request.currency.clone()),
                    decline_code,
                };
                self.keys_by_id.insert(id, key.clone());
                self.charges.insert(key, Known { charge, request: Some(request) });
            }
            Entry::Cancel { key } => {
                let charge = ChargeObject {
                    id: None,
                    status: ChargeStatus::Canceled,
                    amount: None,
                    currency: None,
                    decline_code: None,
                };
                self.charges.insert(key, Known { charge, request: None });
            }
            Entry::Refund { key, refund } => {
                let known = self.keys_by_id.get(&refund.charge);
                if let Some(known) = known.and_then(|key| self.charges.get_mut(key)) {
                    known.charge.status = ChargeStatus::Refunded;
                }
                self.refunds.insert(key, refund);
            }
            Entry::LateCharge { .. } => self.late += 1,
            Entry::Switch { fault, mode } => {
                self.modes.insert(fault, mode);
            }
        }
    }

    pub(super) fn summary(&self) -> Summary {
        let mut summary = Summary { late: self.late, ..Summary::default() };
        for Known { charge, request } in self.charges.values() {
            match charge.status {
                ChargeStatus::Succeeded => summary.charged += 1,
                ChargeStatus::Refunded => {
                    summary.charged += 1;
                    summary.refunded += 1;
                }
                ChargeStatus::Failed => summary.declined += 1,
                ChargeStatus::Canceled => summary.cancelled += 1,
            }
            if let Some(request) = request {
                let kept = charge.status == ChargeStatus::Succeeded;
                let balance = summary.balance.entry(request.currency.clone()).or_default();
                *balance = balance.saturating_add(if kept { request.amount } else { 0 });
            }
        }
        summary
    }
}

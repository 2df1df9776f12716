//! The payment service: charges and refunds through a provider, and keeps the ledger.

pub mod provider;
pub mod simulator;

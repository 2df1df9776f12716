//! For an audit: the books and the provider's account of many orders.

use futures::{StreamExt as _, stream};
use jetsaga_contracts::{ids::OrderId, order_saga::Charged};
use saga_engine::{Check, Expected};

use super::{ChargeCustomer, OrderInput};
use crate::{audit, provider::ProviderError, store::Payments};

/// Questions to the provider at the same time.
const ASKS_AT_ONCE: usize = 16;

type ChargeCheck = Check<OrderInput, Charged>;

impl ChargeCustomer {
    pub(super) async fn compare(
        &self,
        payments: &Payments,
        checks: &[ChargeCheck],
    ) -> Result<Vec<Vec<String>>, String> {
        let ids: Vec<Option<OrderId>> =
            checks.iter().map(|check| check.saga_id.parse().ok()).collect();
        let known: Vec<OrderId> = ids.iter().flatten().cloned().collect();
        let booked = payments.some(&known).await.map_err(|error| error.to_string())?;
        let mut found: Vec<Vec<String>> = checks
            .iter()
            .zip(&ids)
            .map(|(check, id)| {
                audit::books(&check.expected, id.as_ref().and_then(|id| booked.get(id)))
            })
            .collect();
        let mut asking = Vec::with_capacity(checks.len());
        for check in checks {
            asking.push(self.at_provider(check));
        }
        let answers: Vec<_> = stream::iter(asking).buffered(ASKS_AT_ONCE).collect().await;
        let mut is_silent = false;
        for (found, answer) in found.iter_mut().zip(answers) {
            match answer {
                Ok(said) => found.extend(said),
                // Told once: it concerns all that were asked for.
                Err(error) if !is_silent => {
                    is_silent = true;
                    found.push(format!(
                        "the provider cannot be asked, here and further on: {error}"
                    ));
                }
                Err(_) => {}
            }
        }
        Ok(found)
    }

    async fn at_provider(&self, check: &ChargeCheck) -> Result<Vec<String>, ProviderError> {
        if check.expected == Expected::Open {
            return Ok(Vec::new());
        }
        let fate = self.provider.status(&check.effect_id).await?;
        Ok(audit::provider(&check.expected, &fate))
    }
}

//! Asks the product service for names and prices.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::future::try_join_all;
use jetsaga_contracts::{
    http::{page::Page, product::Product},
    limits::MAX_SKUS_PER_CALL,
};
use saga_engine::participant::Valve;
use service_kit::http::{
    ServiceClient,
    client::{Call, CallError},
};
use tokio_util::sync::CancellationToken;

/// The service that is asked.
const SERVICE: &str = "product";
/// How often a product service that was away is asked whether it is back.
const PROBE: Duration = Duration::from_millis(250);
/// What it is asked then; whether such a product exists does not matter.
const PROBE_SKU: &str = "probe";

/// Products by their SKU.
pub type Catalogue = BTreeMap<String, Product>;

/// The product service, seen from here. Time-outs, retries within a budget and the circuit breaker
/// are the client's.
#[derive(Debug, Clone)]
pub struct Products {
    client: ServiceClient,
    patience: Duration,
    gate: Option<Arc<Gate>>,
}

/// Keeps new orders in the log while the product service is away.
#[derive(Debug)]
struct Gate {
    valve: Valve,
    stop: CancellationToken,
    is_probing: AtomicBool,
}

impl Products {
    /// Asks through `client`; one question may take `patience`, all its tries together.
    pub fn new(client: ServiceClient, patience: Duration) -> Self {
        Self { client, patience, gate: None }
    }

    /// Closes `valve` when the product service is away, and opens it when it is back. Ends its
    /// work with `stop`.
    #[must_use]
    pub fn closing(mut self, valve: Valve, stop: CancellationToken) -> Self {
        self.gate = Some(Arc::new(Gate { valve, stop, is_probing: AtomicBool::new(false) }));
        self
    }

    /// The products of these SKUs; unknown ones are left out. One call for a hundred SKUs, some
    /// calls at once for more.
    ///
    /// # Errors
    /// When the product service does not answer, or not in a way that makes sense: worth another
    /// try later.
    pub async fn of(
        &self,
        skus: &BTreeSet<&str>,
        traceparent: Option<&str>,
    ) -> Result<Catalogue, CallError> {
        let skus: Vec<&str> = skus.iter().copied().collect();
        let calls = skus.chunks(MAX_SKUS_PER_CALL).map(|chunk| self.ask(chunk, traceparent));
        let answers = try_join_all(calls).await.inspect_err(|error| self.away(error))?;
        let products = answers.into_iter().flat_map(|page| page.data);
        Ok(products.map(|product| (product.sku.clone(), product)).collect())
    }

    async fn ask(
        &self,
        skus: &[&str],
        traceparent: Option<&str>,
    ) -> Result<Page<Product>, CallError> {
        let call = Call::get(SERVICE, "/v1/products", self.patience)
            .query("sku", skus.join(","))
            .traced(traceparent);
        self.client.call(&call).await
    }

    /// Takes up no orders while nobody can price them.
    fn away(&self, error: &CallError) {
        let Some(gate) = &self.gate else { return };
        let is_away = matches!(error, CallError::Unavailable { .. });
        if !is_away || gate.is_probing.swap(true, Ordering::SeqCst) {
            return;
        }
        tracing::warn!(%error, "new orders wait");
        gate.valve.close();
        let (gate, products) = (Arc::clone(gate), self.clone());
        tokio::spawn(async move {
            if gate.stop.run_until_cancelled(products.back()).await.is_some() {
                tracing::warn!("the product service is back; orders go on");
            }
            gate.is_probing.store(false, Ordering::SeqCst);
            gate.valve.open();
        });
    }

    /// Waits until the product service answers, whatever it says.
    async fn back(&self) {
        loop {
            tokio::time::sleep(PROBE).await;
            if !matches!(self.ask(&[PROBE_SKU], None).await, Err(CallError::Unavailable { .. })) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;

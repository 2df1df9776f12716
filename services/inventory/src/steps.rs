//! The step `inventory`: load, decide, save.

use std::collections::BTreeSet;

use jetsaga_contracts::order_saga::{Allocated, AllocatedLine, OrderInput};
use saga_engine::{Answer, Check, Job, Step, Undo, UndoAnswer};
use service_kit::Work;

use crate::{
    audit,
    store::{self, Warehouse},
};

#[cfg(test)]
mod tests;

/// Sets all lines of an order aside, or none; undone, it gives them back.
#[derive(Debug, Clone)]
pub struct Allocate {
    warehouse: Warehouse,
}

impl Allocate {
    /// Over a warehouse.
    pub fn new(warehouse: Warehouse) -> Self {
        Self { warehouse }
    }
}

type Result = Answer<Allocated, Work>;

impl Step for Allocate {
    type Input = OrderInput;
    type Output = Allocated;
    type Work = Work;

    async fn run(&self, job: &Job<OrderInput>) -> Result {
        let mut answers = self.run_all(std::slice::from_ref(job)).await;
        answers.pop().unwrap_or_else(|| Answer::again("nothing was decided"))
    }

    /// One query for the SKUs of all orders, then one order after the other over what it found.
    async fn run_all(&self, jobs: &[Job<OrderInput>]) -> Vec<Result> {
        let skus: BTreeSet<&str> = jobs
            .iter()
            .flat_map(|job| job.input.lines.iter().map(|line| line.sku.as_str()))
            .collect();
        let skus: Vec<&str> = skus.into_iter().collect();
        let mut stock = match self.warehouse.shelf(&skus).await {
            Ok(found) => found,
            Err(error) => return jobs.iter().map(|_| Answer::again(&error)).collect(),
        };
        jobs.iter()
            .map(|job| {
                let lines = lines(&job.input);
                match stock.take(&lines) {
                    Ok(()) => {
                        let work = store::allocate(&job.saga_id, &lines, job.at_ms);
                        Answer::Done(Allocated { lines }, work)
                    }
                    Err(reason) => Answer::Refused(reason, Work::none()),
                }
            })
            .collect()
    }

    async fn undo(&self, job: &Undo<OrderInput, Allocated>) -> UndoAnswer<Work> {
        UndoAnswer::Undone(store::release(&job.job.saga_id, job.job.at_ms))
    }

    async fn audit(
        &self,
        checks: &[Check<OrderInput, Allocated>],
    ) -> std::result::Result<Vec<Vec<String>>, String> {
        let ids: Vec<&str> = checks.iter().map(|check| check.saga_id.as_str()).collect();
        let held = self.warehouse.allocations(&ids).await.map_err(|error| error.to_string())?;
        let look = |check: &Check<OrderInput, Allocated>| {
            let held = held.get(&check.saga_id).map(Vec::as_slice);
            audit::allocation(&check.expected, &lines(&check.input), held)
        };
        Ok(checks.iter().map(look).collect())
    }

    async fn audit_sums(&self) -> std::result::Result<Vec<String>, String> {
        let found = self.warehouse.sums().await.map_err(|error| error.to_string())?;
        Ok(audit::sums(&found))
    }
}

fn lines(order: &OrderInput) -> Vec<AllocatedLine> {
    let line = |line: &jetsaga_contracts::order_saga::OrderLine| AllocatedLine {
        sku: line.sku.clone(),
        quantity: line.quantity,
    };
    order.lines.iter().map(line).collect()
}

//! The step `inventory`: load, decide, save.

use std::collections::BTreeSet;

use jetsaga_contracts::order_saga::{Allocated, AllocatedLine, OrderInput};
use saga_engine::{Answer, Job, Step, Undo, UndoAnswer};
use service_kit::Work;

use crate::store::{self, Warehouse};

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
}

fn lines(order: &OrderInput) -> Vec<AllocatedLine> {
    let line = |line: &jetsaga_contracts::order_saga::OrderLine| AllocatedLine {
        sku: line.sku.clone(),
        quantity: line.quantity,
    };
    order.lines.iter().map(line).collect()
}

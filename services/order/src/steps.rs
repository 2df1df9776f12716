//! The step `order`: load, decide, save.

use std::collections::BTreeSet;

use jetsaga_contracts::{
    http::order::{OrderStatus, Reason},
    ids::OrderId,
    order_saga::{OrderInput, OrderPriced, refusal, step},
};
use saga_engine::{Answer, Check, Job, Step, Undo, UndoAnswer};
use service_kit::Work;

use crate::{
    audit,
    order::{
        Entry, Move, Next, Placed, Standing, StoredOrder, next,
        pricing::{self, Unpriceable},
        reason_of,
    },
    products::{Catalogue, Products},
    store::{self, Orders},
};

#[cfg(test)]
mod tests;

/// Who writes the history of what the steps do.
const SERVICE: &str = "order";

/// Prices the lines and writes the order as pending; its undo cancels it.
#[derive(Debug, Clone)]
pub struct PlaceOrder {
    orders: Orders,
    products: Products,
}

impl PlaceOrder {
    /// Keeps orders in `orders`, asks `products` for prices.
    pub fn new(orders: Orders, products: Products) -> Self {
        Self { orders, products }
    }
}

type OrderJob = Job<OrderInput>;
type OrderUndo = Undo<OrderInput, OrderPriced>;

impl Step for PlaceOrder {
    type Input = OrderInput;
    type Output = OrderPriced;
    type Work = Work;

    async fn run(&self, job: &OrderJob) -> Answer<OrderPriced, Work> {
        // One job, one answer.
        let mut answers = self.run_all(std::slice::from_ref(job)).await;
        answers.pop().unwrap_or_else(|| Answer::again("no answer"))
    }

    /// One call to the product service for all of them.
    async fn run_all(&self, jobs: &[OrderJob]) -> Vec<Answer<OrderPriced, Work>> {
        // An order that is wrong in itself must not spoil the question for its neighbours.
        let sound = jobs.iter().filter(|job| pricing::check(&job.input).is_ok());
        let skus: BTreeSet<&str> =
            sound.flat_map(|job| &job.input.lines).map(|line| line.sku.as_str()).collect();
        let trace = jobs.iter().find_map(|job| job.traceparent.as_deref());
        match self.products.of(&skus, trace).await {
            Ok(catalogue) => jobs.iter().map(|job| place(job, &catalogue)).collect(),
            Err(away) => jobs.iter().map(|_| Answer::again(&away)).collect(),
        }
    }

    async fn undo(&self, job: &OrderUndo) -> UndoAnswer<Work> {
        let mut answers = self.undo_all(std::slice::from_ref(job)).await;
        answers.pop().unwrap_or_else(|| UndoAnswer::Again(None, "no answer".to_owned()))
    }

    async fn undo_all(&self, jobs: &[OrderUndo]) -> Vec<UndoAnswer<Work>> {
        let ids: Vec<_> = jobs.iter().map(|undo| undo.job.saga_id.as_str()).collect();
        let standings = match self.orders.standings(&ids).await {
            Ok(standings) => standings,
            Err(error) => {
                return jobs.iter().map(|_| UndoAnswer::Again(None, error.to_string())).collect();
            }
        };
        let standing = |undo: &OrderUndo| {
            let id = undo.job.saga_id.parse::<OrderId>().ok()?;
            standings.get(&id).map(|standing| (id, *standing))
        };
        jobs.iter().map(|undo| cancel(undo, standing(undo))).collect()
    }

    async fn audit(
        &self,
        checks: &[Check<OrderInput, OrderPriced>],
    ) -> Result<Vec<Vec<String>>, String> {
        let ids: Vec<Option<OrderId>> =
            checks.iter().map(|check| check.saga_id.parse().ok()).collect();
        let known: Vec<OrderId> = ids.iter().flatten().cloned().collect();
        let orders = self.orders.some(&known).await.map_err(|error| error.to_string())?;
        let look = |(check, id): (&Check<OrderInput, OrderPriced>, &Option<OrderId>)| {
            let order = id.as_ref().and_then(|id| orders.get(id));
            audit::placed(&check.expected, &check.input, order)
        };
        Ok(checks.iter().zip(&ids).map(look).collect())
    }
}

/// Decides one order over what was loaded for all.
fn place(job: &OrderJob, catalogue: &Catalogue) -> Answer<OrderPriced, Work> {
    let Ok(id) = job.saga_id.parse::<OrderId>() else {
        return Answer::refused(refusal::INVALID_ORDER, "the saga's id is not an order's id");
    };
    match pricing::price(&job.input, catalogue) {
        Ok(priced) => {
            let entry = entry(job, OrderStatus::Pending, None);
            let order = StoredOrder::new(Placed::priced(&job.input, &priced), entry);
            Answer::Done(priced, store::create(&id, &order))
        }
        Err(no) => Answer::Refused(
            saga_core::Reason::new(no.code(), &no.to_string()),
            store::create(&id, &refused(job, &no)),
        ),
    }
}

/// The order that could not be priced: its customer sees why.
fn refused(job: &OrderJob, no: &Unpriceable) -> StoredOrder {
    let (code, step) = (no.code().to_owned(), Some(step::ORDER.to_owned()));
    let reason = Reason { code, detail: Some(no.to_string()), step };
    let entry = entry(job, OrderStatus::Cancelled, Some(reason));
    StoredOrder::new(Placed::asked(&job.input), entry)
}

/// Decides one undo over where its order stands.
fn cancel(undo: &OrderUndo, found: Option<(OrderId, Standing)>) -> UndoAnswer<Work> {
    let status = found.as_ref().map(|(_, standing)| standing.status);
    match (next(status, Move::Undone), found) {
        (Ok(Next::To(to)), Some((id, seen))) => {
            let reason = undo.cause.as_ref().map(reason_of);
            UndoAnswer::Undone(store::advance(&id, seen, &entry(&undo.job, to, reason)))
        }
        (Ok(_), _) => UndoAnswer::Undone(Work::none()),
        (Err(illegal), _) => {
            UndoAnswer::GiveUp(saga_core::Reason::new("illegal_move", &illegal.to_string()))
        }
    }
}

fn entry(job: &OrderJob, status: OrderStatus, reason: Option<Reason>) -> Entry {
    Entry { status, reason, by: SERVICE.to_owned(), at: job.at_ms, event: None }
}

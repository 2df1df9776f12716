//! How sagas end, as orders see it: confirmed, cancelled, or in need of a person.

use std::collections::HashMap;

use jetsaga_contracts::{
    http::order::{OrderStatus, Reason},
    ids::OrderId,
    order_saga::{OrderInput, OrderPriced, step},
};
use saga_core::{Record, Status, StepState};
use saga_engine::{Ending, Mirror, MirrorAnswer};
use serde::Deserialize as _;
use service_kit::Work;

use crate::{
    audit,
    order::{Entry, Move, Next, Placed, Standing, StoredOrder, next, reason_of},
    store::{self, Orders},
};

#[cfg(test)]
mod tests;

/// Follows the endings of order sagas. Writes the order, too, when its step never did.
#[derive(Debug, Clone)]
pub struct FollowEndings {
    orders: Orders,
}

impl FollowEndings {
    /// Follows them into `orders`.
    pub fn new(orders: Orders) -> Self {
        Self { orders }
    }
}

impl Mirror for FollowEndings {
    type Input = OrderInput;
    type Work = Work;

    async fn ended(&self, endings: &[Ending<OrderInput>]) -> Vec<MirrorAnswer<Work>> {
        let ids: Vec<_> = endings.iter().map(|ending| ending.record.id.as_str()).collect();
        match self.orders.standings(&ids).await {
            Ok(known) => {
                endings.iter().map(|ending| MirrorAnswer::Commit(follow(ending, &known))).collect()
            }
            Err(error) => {
                endings.iter().map(|_| MirrorAnswer::Again(None, error.to_string())).collect()
            }
        }
    }

    async fn audit(&self, endings: &[Ending<OrderInput>]) -> Result<Vec<Vec<String>>, String> {
        let ids: Vec<Option<OrderId>> =
            endings.iter().map(|ending| ending.record.id.parse().ok()).collect();
        let known: Vec<OrderId> = ids.iter().flatten().cloned().collect();
        let orders = self.orders.some(&known).await.map_err(|error| error.to_string())?;
        let look = |(ending, id): (&Ending<OrderInput>, &Option<OrderId>)| {
            // A saga whose id is not an order's has no order.
            let Some(id) = id else { return Vec::new() };
            audit::standing(ending.record.status, orders.get(id))
        };
        Ok(endings.iter().zip(&ids).map(look).collect())
    }
}

/// Decides one ending over where its order stands.
fn follow(ending: &Ending<OrderInput>, known: &HashMap<OrderId, Standing>) -> Work {
    let record = &ending.record;
    let (by, reason) = match record.status {
        Status::Completed => (Move::Completed, None),
        Status::RolledBack => (Move::RolledBack, record.cause.as_ref().map(reason_of)),
        Status::Stuck => (Move::Stuck, stuck(record)),
        // Not an ending.
        Status::Running | Status::RollingBack => return Work::none(),
    };
    let Ok(id) = record.id.parse::<OrderId>() else {
        tracing::warn!(saga = record.id, "a saga whose id is not an order's has no order");
        return Work::none();
    };
    let seen = known.get(&id).copied();
    match next(seen.map(|standing| standing.status), by) {
        Ok(Next::To(status)) => {
            let entry = entry(ending, status, reason);
            match seen {
                Some(seen) => store::advance(&id, seen, &entry),
                None => store::create(&id, &StoredOrder::new(placed(ending), entry)),
            }
        }
        Ok(Next::Keep) => Work::none(),
        Err(illegal) => {
            tracing::error!(order = %id, event = record.n, %illegal, "an ending that cannot be");
            Work::none()
        }
    }
}

/// The undo that was given up says more than what began the rollback.
fn stuck(record: &Record) -> Option<Reason> {
    let given_up = record.steps.iter().find_map(|(name, it)| {
        let reason = it.reason.as_ref().filter(|_| it.state == StepState::Undofailed)?;
        Some(Reason {
            code: reason.code.clone(),
            detail: (!reason.detail.is_empty()).then(|| reason.detail.clone()),
            step: Some(name.clone()),
        })
    });
    given_up.or_else(|| record.cause.as_ref().map(reason_of))
}

/// What was ordered; at its prices, if an operator put them in the place of the step.
fn placed(ending: &Ending<OrderInput>) -> Placed {
    let output = ending.record.output(step::ORDER);
    match output.and_then(|output| OrderPriced::deserialize(output).ok()) {
        Some(priced) => Placed::priced(&ending.input, &priced),
        None => Placed::asked(&ending.input),
    }
}

fn entry(ending: &Ending<OrderInput>, status: OrderStatus, reason: Option<Reason>) -> Entry {
    let event = &ending.record.event;
    let by = event.actor.clone().unwrap_or_else(|| event.by.as_str().to_owned());
    Entry { status, reason, by, at: ending.at_ms, event: Some(ending.record.n) }
}

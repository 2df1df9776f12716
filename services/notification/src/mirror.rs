//! How sagas end, as customers hear of it: a cancellation mail when one rolled back.

use std::sync::Arc;

use jetsaga_contracts::{http::notification::NotificationEvent, order_saga::OrderInput};
use saga_core::Status;
use saga_engine::{Ending, Mirror, MirrorAnswer};
use service_kit::Work;

use crate::{
    audit,
    delivery::Outcome,
    mail::{Mail, MailError, Recipient},
    post::{Draft, Post},
    store,
};

#[cfg(test)]
mod tests;

/// Tells the customer that the order was cancelled.
#[derive(Debug, Clone)]
pub struct TellCancelled {
    post: Arc<Post>,
}

impl TellCancelled {
    /// Sends through `post`.
    pub fn new(post: Arc<Post>) -> Self {
        Self { post }
    }

    fn draft(&self, ending: &Ending<OrderInput>) -> Result<Draft, MailError> {
        let (record, customer) = (&ending.record, &ending.input.customer);
        let letter = self.post.templates.cancelled(record, &ending.input)?;
        let to = Recipient { name: customer.name.clone(), email: customer.email.clone() };
        let effect_id = ending.effect_id.clone();
        Ok(Draft {
            order: record.id.clone(),
            event: NotificationEvent::OrderCancelled,
            mail: Mail { effect_id, to, letter, at_ms: ending.at_ms },
            // An ending does not say how often it came.
            is_first: false,
        })
    }
}

impl Mirror for TellCancelled {
    type Input = OrderInput;
    type Work = Work;

    /// Nothing is said about completed sagas, whose step sent the confirmation, nor about stuck
    /// ones: their customers hear once it is certain what becomes of the order.
    fn concerns(&self, status: Status) -> bool {
        status == Status::RolledBack
    }

    async fn ended(&self, endings: &[Ending<OrderInput>]) -> Vec<MirrorAnswer<Work>> {
        let drafts: Result<Vec<_>, _> = endings.iter().map(|ending| self.draft(ending)).collect();
        let drafts = match drafts {
            Ok(drafts) => drafts,
            Err(error) => {
                return endings
                    .iter()
                    .map(|_| MirrorAnswer::Again(None, error.to_string()))
                    .collect();
            }
        };
        let answer = |(delivery, outcome)| match outcome {
            Outcome::Settled => MirrorAnswer::Commit(store::put(&delivery)),
            Outcome::Again(why) => MirrorAnswer::Again(None, why),
        };
        self.post.send(drafts).await.into_iter().map(answer).collect()
    }

    async fn audit(&self, endings: &[Ending<OrderInput>]) -> Result<Vec<Vec<String>>, String> {
        let orders: Vec<&str> = endings.iter().map(|ending| ending.record.id.as_str()).collect();
        let sent = self.post.deliveries.of_orders(&orders).await;
        let sent = sent.map_err(|error| error.to_string())?;
        let look = |ending: &Ending<OrderInput>| {
            let deliveries = sent.get(&ending.record.id).map_or(&[][..], Vec::as_slice);
            audit::ending(ending.record.status, deliveries)
        };
        Ok(endings.iter().map(look).collect())
    }
}

//! The step `notification`: the confirmation mail. Retried until it works; never undone.

use std::{sync::Arc, time::Duration};

use jetsaga_contracts::{
    http::notification::NotificationEvent,
    order_saga::{Notified, OrderInput, OrderPriced, step},
};
use saga_core::Reason;
use saga_engine::{Answer, Check, Job, Resolution, Step, Undo, UndoAnswer};
use service_kit::Work;

use crate::{
    audit,
    delivery::{Delivery, Outcome},
    mail::{Mail, MailError, Recipient},
    post::{Draft, Post},
    sink::Sink,
    store,
};

#[cfg(test)]
mod tests;

/// Tells the customer that the order is confirmed.
#[derive(Debug, Clone)]
pub struct Confirm {
    post: Arc<Post>,
}

impl Confirm {
    /// Sends through `post`.
    pub fn new(post: Arc<Post>) -> Self {
        Self { post }
    }

    fn draft(&self, job: &Job<OrderInput>) -> Result<Draft, MailError> {
        let priced: Option<OrderPriced> = job.output_of(step::ORDER).ok();
        let letter = self.post.templates.confirmed(&job.saga_id, &job.input, priced.as_ref())?;
        let customer = &job.input.customer;
        let to = Recipient { name: customer.name.clone(), email: customer.email.clone() };
        let effect_id = job.effect_id.clone();
        Ok(Draft {
            order: job.saga_id.clone(),
            event: NotificationEvent::OrderConfirmed,
            mail: Mail { effect_id, to, letter, at_ms: job.at_ms },
            is_first: job.attempt <= 1,
        })
    }
}

impl Step for Confirm {
    type Input = OrderInput;
    type Output = Notified;
    type Work = Work;

    /// A relay is outside. Files are not: they are this service's own, and writing one again gives
    /// the same file, so nothing needs to be committed before.
    fn outside(&self) -> Option<Duration> {
        match &self.post.sink {
            Sink::File(_) => None,
            Sink::Smtp(relay) => Some(relay.longest()),
        }
    }

    async fn run(&self, job: &Job<OrderInput>) -> Answer<Notified, Work> {
        let mut answers = self.run_all(std::slice::from_ref(job)).await;
        answers.pop().unwrap_or_else(|| Answer::again("no answer"))
    }

    async fn run_all(&self, jobs: &[Job<OrderInput>]) -> Vec<Answer<Notified, Work>> {
        let drafts: Result<Vec<_>, _> = jobs.iter().map(|job| self.draft(job)).collect();
        match drafts {
            Ok(drafts) => {
                let sent = self.post.send(drafts).await;
                sent.into_iter().map(|(delivery, outcome)| answer(&delivery, outcome)).collect()
            }
            // A mistake in a template concerns all of them alike.
            Err(error) => jobs.iter().map(|_| Answer::again(&error)).collect(),
        }
    }

    /// Never called: nothing that could still fail comes after it. A mail cannot be taken back.
    async fn undo(&self, _job: &Undo<OrderInput, Notified>) -> UndoAnswer<Work> {
        UndoAnswer::GiveUp(Reason::new("mail_sent", "a mail cannot be taken back"))
    }

    /// A relay cannot be asked. It gets the mail again, under the same Message-ID.
    async fn resolve(&self, _job: &Job<OrderInput>) -> Resolution<Notified, Work> {
        Resolution::NotHappened
    }

    async fn audit(
        &self,
        checks: &[Check<OrderInput, Notified>],
    ) -> Result<Vec<Vec<String>>, String> {
        let orders: Vec<&str> = checks.iter().map(|check| check.saga_id.as_str()).collect();
        let sent = self.post.deliveries.of_orders(&orders).await;
        let sent = sent.map_err(|error| error.to_string())?;
        let look = |check: &Check<OrderInput, Notified>| {
            let deliveries = sent.get(&check.saga_id).map_or(&[][..], Vec::as_slice);
            audit::confirmation(&check.expected, deliveries)
        };
        Ok(checks.iter().map(look).collect())
    }
}

fn answer(delivery: &Delivery, outcome: Outcome) -> Answer<Notified, Work> {
    match outcome {
        Outcome::Settled => {
            let message_id = delivery.message_id.clone();
            Answer::Done(Notified { message_id }, store::put(delivery))
        }
        Outcome::Again(why) => Answer::Again(None, why),
    }
}

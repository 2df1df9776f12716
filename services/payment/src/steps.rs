//! The step `payment`: charge, and give back. The effect is outside, at the provider, so the
//! engine commits `begun` before each call; this file says what each answer means.

use std::{sync::Arc, time::Duration};

use jetsaga_contracts::{
    money::Money,
    order_saga::{Charged, OrderInput, OrderPriced, refusal, step},
    time::Timestamp,
};
use saga_core::Reason;
use saga_engine::{Answer, Check, Job, Resolution, Step, Undo, UndoAnswer};
use service_kit::Work;

use crate::{
    audit,
    provider::{Charge, Fate, Provider, ProviderError, Receipt, Refund},
    store::Payments,
};

mod look;
mod note;

/// How often a lost answer is asked for before it counts as unknown.
const ASKS: u32 = 3;
/// Pause before asking again.
const ASK_PAUSE: Duration = Duration::from_millis(200);

/// Charges the order's total; its undo gives it back, or calls off what may still arrive.
#[derive(Clone)]
pub struct ChargeCustomer {
    provider: Arc<dyn Provider>,
    payments: Payments,
    limit: Duration,
}

impl ChargeCustomer {
    /// Charges through `provider`, one call of which takes `call_timeout` at most. What is charged
    /// is noted in the database of `payments`, where an audit finds it.
    pub fn new(provider: Arc<dyn Provider>, payments: Payments, call_timeout: Duration) -> Self {
        // An undo that knows nothing makes two calls; a second more, so that a call ends by its
        // own time-out and not by this one.
        Self { provider, payments, limit: call_timeout * 2 + Duration::from_secs(1) }
    }

    async fn ask(&self, key: &str) -> Result<Fate, ProviderError> {
        let mut asked = 1;
        loop {
            match self.provider.status(key).await {
                Err(ProviderError::Transient { .. } | ProviderError::Unknown { .. })
                    if asked < ASKS =>
                {
                    asked += 1;
                    tokio::time::sleep(ASK_PAUSE).await;
                }
                answer => return answer,
            }
        }
    }

    async fn give_back(
        &self,
        job: &ChargeUndo,
        receipt: Receipt,
        written: bool,
    ) -> UndoAnswer<Work> {
        let refund = Refund { provider_ref: receipt.provider_ref.clone(), amount: receipt.amount };
        match self.provider.refund(&refund, &job.undo_id).await {
            Ok(_) => undone(note::refunded(&job.job.saga_id, &receipt, written, Timestamp::now())),
            Err(error) => not_undone(error),
        }
    }
}

type ChargeJob = Job<OrderInput>;
type ChargeUndo = Undo<OrderInput, Charged>;

impl Step for ChargeCustomer {
    type Input = OrderInput;
    type Output = Charged;
    type Work = Work;

    fn outside(&self) -> Option<Duration> {
        Some(self.limit)
    }

    async fn run(&self, job: &ChargeJob) -> Answer<Charged, Work> {
        let charge = match charge_of(job) {
            Ok(charge) => charge,
            Err(reason) => return Answer::Refused(reason, Work::none()),
        };
        match self.provider.charge(&charge, &job.effect_id).await {
            Ok(receipt) => match settled(job, charge.amount, receipt) {
                Resolution::Done(output, work) => Answer::Done(output, work),
                Resolution::Refused(reason, work) => Answer::Refused(reason, work),
                Resolution::NotHappened => Answer::again("the provider contradicts itself"),
                Resolution::Unknown(why) => Answer::Unknown(why),
            },
            Err(ProviderError::Declined { code }) => {
                let (reason, work) = declined(job, charge.amount, &code);
                Answer::Refused(reason, work)
            }
            Err(ProviderError::Invalid { code, message }) => {
                let detail = format!("{code}: {message}");
                Answer::Refused(Reason::new(refusal::PAYMENT_INVALID, &detail), Work::none())
            }
            Err(ProviderError::Transient { message, after }) => Answer::Again(after, message),
            Err(ProviderError::Unknown { message }) => Answer::Unknown(message),
        }
    }

    async fn resolve(&self, job: &ChargeJob) -> Resolution<Charged, Work> {
        let amount = match charge_of(job) {
            Ok(charge) => charge.amount,
            Err(reason) => return Resolution::Refused(reason, Work::none()),
        };
        let called_off = |detail: &str| Reason::new(refusal::PAYMENT_INVALID, detail);
        match self.ask(&job.effect_id).await {
            // It may still be on its way. To call again is to ask for the same charge, not for
            // another one: the provider knows the key by then, or has never seen it.
            Ok(Fate::NotSeen) => Resolution::NotHappened,
            Ok(Fate::Charged(receipt)) => settled(job, amount, receipt),
            Ok(Fate::Declined(code)) => {
                let (reason, work) = declined(job, amount, &code);
                Resolution::Refused(reason, work)
            }
            Ok(Fate::Refunded(receipt)) => {
                let detail = "the charge was given back at the provider";
                match note::refunded(&job.saga_id, &receipt, false, Timestamp::now()) {
                    Ok(work) => Resolution::Refused(called_off(detail), work),
                    Err(error) => Resolution::Unknown(error.to_string()),
                }
            }
            Ok(Fate::Cancelled) => {
                Resolution::Refused(called_off("the charge was called off"), Work::none())
            }
            Err(error) => Resolution::Unknown(error.to_string()),
        }
    }

    async fn undo(&self, job: &ChargeUndo) -> UndoAnswer<Work> {
        if let Some(charged) = &job.output {
            let (provider_ref, amount) = (charged.provider_ref.clone(), charged.amount);
            return self.give_back(job, Receipt { provider_ref, amount }, true).await;
        }
        // Nobody knows whether it happened. After this call nothing more can arrive.
        let order = &job.job.saga_id;
        match self.provider.cancel(&job.job.effect_id).await {
            Ok(Fate::Charged(receipt)) => self.give_back(job, receipt, false).await,
            Ok(Fate::Refunded(receipt)) => {
                undone(note::refunded(order, &receipt, false, Timestamp::now()))
            }
            Ok(Fate::Declined(code)) => {
                let amount = charge_of(&job.job).ok().map(|charge| charge.amount);
                UndoAnswer::Undone(note::declined(order, amount, &code, Timestamp::now()))
            }
            Ok(Fate::Cancelled) => UndoAnswer::Undone(note::cancelled(order, Timestamp::now())),
            Ok(Fate::NotSeen) => {
                UndoAnswer::Again(None, "the provider did not take note of the cancel".to_owned())
            }
            Err(error) => not_undone(error),
        }
    }

    async fn audit(
        &self,
        checks: &[Check<OrderInput, Charged>],
    ) -> Result<Vec<Vec<String>>, String> {
        self.compare(&self.payments, checks).await
    }

    async fn audit_sums(&self) -> Result<Vec<String>, String> {
        let sums = self.payments.sums().await.map_err(|error| error.to_string())?;
        Ok(audit::sums(&sums))
    }
}

/// What is to be charged: the total that the step `order` put out.
fn charge_of(job: &ChargeJob) -> Result<Charge, Reason> {
    let priced: OrderPriced = job.output_of(step::ORDER).map_err(|_unreadable| {
        Reason::new(refusal::PAYMENT_INVALID, "the step before put out no total")
    })?;
    Ok(Charge {
        amount: priced.total,
        token: job.input.payment.token.as_str().into(),
        order: job.saga_id.clone(),
    })
}

/// A charge that was made, if it is the one that was asked for.
fn settled(job: &ChargeJob, wanted: Money, receipt: Receipt) -> Resolution<Charged, Work> {
    if receipt.amount != wanted {
        return Resolution::Unknown("the provider charged another amount".to_owned());
    }
    match note::charged(&job.saga_id, &receipt, Timestamp::now()) {
        Ok(work) => {
            let Receipt { provider_ref, amount } = receipt;
            Resolution::Done(Charged { provider_ref, amount }, work)
        }
        Err(error) => Resolution::Unknown(error.to_string()),
    }
}

fn declined(job: &ChargeJob, amount: Money, code: &str) -> (Reason, Work) {
    let work = note::declined(&job.saga_id, Some(amount), code, Timestamp::now());
    (Reason::new(refusal::CARD_DECLINED, code), work)
}

fn undone(work: Result<Work, crate::ledger::LedgerError>) -> UndoAnswer<Work> {
    match work {
        Ok(work) => UndoAnswer::Undone(work),
        Err(error) => UndoAnswer::GiveUp(Reason::new(refusal::REFUND_REFUSED, &error.to_string())),
    }
}

fn not_undone(error: ProviderError) -> UndoAnswer<Work> {
    match error {
        ProviderError::Transient { message, after } => UndoAnswer::Again(after, message),
        ProviderError::Unknown { message } => UndoAnswer::Again(None, message),
        ProviderError::Declined { .. } | ProviderError::Invalid { .. } => {
            UndoAnswer::GiveUp(Reason::new(refusal::REFUND_REFUSED, &error.to_string()))
        }
    }
}

//! Sends letters and remembers what became of each: shared by the step and the mirror.

use std::{
    collections::HashMap,
    time::{SystemTime, UNIX_EPOCH},
};

use jetsaga_contracts::{
    http::notification::{NotificationEvent, NotificationStatus},
    ids::NotificationId,
};

use crate::{
    delivery::{Delivery, Key, Outcome, Role},
    mail::{Mail, Templates},
    sink::{Sink, SinkError},
    store::Deliveries,
};

/// Writes letters, hands them to the sink, keeps deliveries.
#[derive(Debug)]
pub struct Post {
    /// Where deliveries are kept.
    pub deliveries: Deliveries,
    /// Where mails go.
    pub sink: Sink,
    /// What they say.
    pub templates: Templates,
}

/// A mail about an order that is to be sent.
#[derive(Debug)]
pub struct Draft {
    /// The saga's id, which is the order's.
    pub order: String,
    /// What it says.
    pub event: NotificationEvent,
    /// The mail.
    pub mail: Mail,
    /// Whether it cannot have been tried before.
    pub is_first: bool,
}

impl Post {
    /// Sends mails; one delivery per draft, in their order. What is not settled is noted at once,
    /// so that it can be seen while it waits; what is settled is the caller's to commit.
    pub async fn send(&self, drafts: Vec<Draft>) -> Vec<(Delivery, Outcome)> {
        let mut deliveries: Vec<_> = drafts.iter().map(|draft| self.delivery(draft)).collect();
        if let Err(error) = self.recall(&drafts, &mut deliveries).await {
            let again = |delivery| (delivery, Outcome::Again(error.to_string()));
            return deliveries.into_iter().map(again).collect();
        }
        let open = |delivery: &Delivery| delivery.status == NotificationStatus::Pending;
        let mails: Vec<Mail> = drafts
            .into_iter()
            .zip(&deliveries)
            .filter(|(_, delivery)| open(delivery))
            .map(|(draft, _)| draft.mail)
            .collect();
        let mut results = self.sink.deliver(&mails).await.into_iter();
        let now_ms = now_ms();
        let settle = |mut delivery: Delivery| {
            if !open(&delivery) {
                return (delivery, Outcome::Settled);
            }
            let missing = || Err(SinkError::Unavailable("no answer for this mail".to_owned()));
            let result = results.next().unwrap_or_else(missing);
            let attempts = delivery.attempts.saturating_add(1);
            let outcome = delivery.tried(attempts, result, now_ms);
            (delivery, outcome)
        };
        let settled: Vec<_> = deliveries.into_iter().map(settle).collect();
        self.note(&settled).await;
        settled
    }

    /// A delivery that was never tried.
    fn delivery(&self, draft: &Draft) -> Delivery {
        let (order, event, channel) = (&draft.order, draft.event, self.sink.channel());
        Delivery {
            id: Key { order, event, channel, role: Role::Customer }.id(),
            order: order.clone(),
            event,
            channel,
            recipient: draft.mail.to.email.clone(),
            subject: draft.mail.letter.subject.clone(),
            status: NotificationStatus::Pending,
            attempts: 0,
            message_id: draft.mail.message_id(self.sink.from()),
            last_error: None,
            created: draft.mail.at_ms,
            sent: None,
        }
    }

    /// Puts what is known of earlier tries in place of the new deliveries.
    async fn recall(
        &self,
        drafts: &[Draft],
        deliveries: &mut [Delivery],
    ) -> Result<(), service_kit::store::Error> {
        let tried = drafts.iter().zip(deliveries.iter()).filter(|(draft, _)| !draft.is_first);
        let ids: Vec<NotificationId> = tried.map(|(_, delivery)| delivery.id.clone()).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let known = self.deliveries.some(&ids).await?;
        let mut known: HashMap<_, _> = known.into_iter().map(|it| (it.id.clone(), it)).collect();
        for delivery in deliveries {
            if let Some(earlier) = known.remove(&delivery.id) {
                *delivery = earlier;
            }
        }
        Ok(())
    }

    async fn note(&self, settled: &[(Delivery, Outcome)]) {
        let pending: Vec<_> = settled
            .iter()
            .filter(|(_, outcome)| *outcome != Outcome::Settled)
            .map(|(delivery, _)| delivery.clone())
            .collect();
        if pending.is_empty() {
            return;
        }
        tracing::warn!(mails = pending.len(), "mails could not be sent and will be sent again");
        // Only what can be seen meanwhile suffers: they come again all the same.
        if let Err(error) = self.deliveries.note(&pending).await {
            tracing::warn!(%error, mails = pending.len(), "mails that wait could not be noted");
        }
    }
}

/// When a mail left, by this machine's clock: milliseconds since the epoch.
fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

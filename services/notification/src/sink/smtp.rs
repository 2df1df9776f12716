//! Mails to a relay by SMTP.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures::future::join_all;
use lettre::{
    AsyncSmtpTransport, AsyncTransport, Tokio1Executor,
    message::Mailbox,
    transport::smtp::{Error, PoolConfig},
};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

use super::SinkError;
use crate::mail::Mail;

#[cfg(test)]
mod tests;

/// Connections to the relay at most; small relays allow about ten of one sender.
const CONNECTIONS: usize = 8;
/// A relay that could not be reached is left alone for this long.
const PAUSE: Duration = Duration::from_millis(500);

/// Sends each mail to one relay, over plain SMTP: meant for a relay on the same host or in the
/// same private network, which knows how to reach the world.
#[derive(Debug)]
pub struct SmtpSink {
    from: Mailbox,
    relay: AsyncSmtpTransport<Tokio1Executor>,
    per_mail: Duration,
    connections: Semaphore,
    away_until: Mutex<Option<Instant>>,
}

impl SmtpSink {
    /// Sends to the relay at `host`:`port`; each mail may take `per_mail`, and may wait as long for
    /// its turn. Call it on a tokio runtime: the pool cleans up in the background.
    pub fn new(from: Mailbox, host: &str, port: u16, per_mail: Duration) -> Self {
        let relay = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
            .port(port)
            .timeout(Some(per_mail))
            .pool_config(PoolConfig::new().max_size(8))
            .build();
        let connections = Semaphore::new(CONNECTIONS);
        Self { from, relay, per_mail, connections, away_until: Mutex::new(None) }
    }

    /// The sender of all mails.
    pub fn from(&self) -> &Mailbox {
        &self.from
    }

    /// Longest time that [`SmtpSink::deliver`] takes.
    pub fn longest(&self) -> Duration {
        2 * self.per_mail
    }

    /// Sends mails, some at a time. Once the relay cannot be reached, no other is tried for a
    /// moment: they come again later anyway.
    pub async fn deliver(&self, mails: &[Mail]) -> Vec<Result<(), SinkError>> {
        let until = Instant::now() + self.per_mail;
        join_all(mails.iter().map(|mail| self.send(mail, until))).await
    }

    /// Sends one, if its turn comes before `until`.
    async fn send(&self, mail: &Mail, until: Instant) -> Result<(), SinkError> {
        let message = mail.message(&self.from)?;
        let away = |why: &str| Err(SinkError::Unavailable(why.to_owned()));
        let Ok(Ok(_turn)) = timeout_at(until, self.connections.acquire()).await else {
            return away("the relay is busy");
        };
        if self.away_until(None).is_some_and(|until| Instant::now() < until) {
            return away("the relay could not be reached a moment ago");
        }
        let sent = timeout_at(Instant::now() + self.per_mail, self.relay.send(message)).await;
        let refused = match sent {
            Ok(Ok(_accepted)) => return Ok(()),
            Ok(Err(error)) => refusal(&error),
            Err(_elapsed) => Refused::Away("the relay did not answer in time"),
        };
        match refused {
            Refused::Away(why) => {
                self.away_until(Some(Instant::now() + PAUSE));
                away(why)
            }
            Refused::Later(code) => away(&format!("the relay answered {code}: later")),
            Refused::Never(code) => {
                Err(SinkError::Rejected(format!("the relay refused the recipient: {code}")))
            }
        }
    }

    /// Until when the relay is left alone; sets it when told to.
    fn away_until(&self, set: Option<Instant>) -> Option<Instant> {
        let mut until = self.away_until.lock().unwrap_or_else(PoisonError::into_inner);
        if set.is_some() {
            *until = set;
        }
        *until
    }
}

/// What a failure means, without the relay's words: they may repeat the address.
#[derive(Debug, PartialEq, Eq)]
enum Refused {
    Away(&'static str),
    Later(u16),
    Never(u16),
}

fn refusal(error: &Error) -> Refused {
    let Some(code) = error.status().map(u16::from) else {
        return Refused::Away("the connection to the relay failed");
    };
    match code {
        // No such mailbox, not here, no such name: the recipient's, whatever we do (RFC 5321,
        // section 4.2.3). Every other refusal may be ours or the relay's, and can be repaired.
        550 | 551 | 553 => Refused::Never(code),
        _ => Refused::Later(code),
    }
}

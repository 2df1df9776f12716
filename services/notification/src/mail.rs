//! What a mail says and how it is written down. Pure: no clock, no I/O.

use std::fmt;

use jetsaga_contracts::{
    limits::MAX_CUSTOMER_NAME,
    order_saga::{OrderInput, OrderPriced, refusal, step},
};
use lettre::{
    Message,
    message::{Mailbox, header::ContentType},
};
use minijinja::{Environment, UndefinedBehavior, Value, context};
use saga_core::{Cause, Record, StepState};

#[cfg(test)]
mod tests;

const CONFIRMED: &str = "order_confirmed.txt";
const CANCELLED: &str = "order_cancelled.txt";

/// Why a mail cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// A template and what it is filled with do not match: a mistake in this program.
    #[error("the template cannot be filled in")]
    Template(#[from] minijinja::Error),
    /// No mail can go to that address. It is not repeated here.
    #[error("the customer's address is not one that mail can be sent to")]
    Address,
    /// A header cannot be written.
    #[error("the mail cannot be put together")]
    Headers(#[source] lettre::error::Error),
}

/// Subject and text of a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// One line.
    pub subject: String,
    /// Plain text, lines ended by `\n`.
    pub body: String,
}

/// To whom a mail goes. `Debug` shows neither name nor address: it may end up in a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Recipient {
    /// Name as the customer writes it.
    pub name: String,
    /// Address.
    pub email: String,
}

impl Recipient {
    /// The name as a header can hold it. The gateway lets no other names in, but sagas can be
    /// started past it, and the mail library panics at a line break.
    fn header_name(&self) -> Option<String> {
        let plain = self.name.chars().filter(|c| !c.is_control()).take(MAX_CUSTOMER_NAME);
        Some(plain.collect::<String>()).filter(|name| !name.trim().is_empty())
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Recipient(…)")
    }
}

/// A mail, ready to be sent. The same effect always gives the same bytes. `Debug` shows its effect
/// id alone, as with [`Recipient`].
#[derive(Clone, PartialEq, Eq)]
pub struct Mail {
    /// Idempotency key of the sending: `<type>.<id>.<step>` or `<type>.<id>.<status>`.
    pub effect_id: String,
    /// To whom.
    pub to: Recipient,
    /// What it says.
    pub letter: Letter,
    /// Its date: when the event behind it was stored, in milliseconds since the epoch.
    pub at_ms: i64,
}

impl fmt::Debug for Mail {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Mail({})", self.effect_id)
    }
}

impl Mail {
    /// The Message-ID without its brackets: `<effect id>@<host of the sender>`, by which a relay
    /// or a mailbox recognises a mail that was sent twice.
    pub fn message_id(&self, from: &Mailbox) -> String {
        format!("{}@{}", self.effect_id, from.email.domain())
    }

    /// The mail as it travels (RFC 5322).
    ///
    /// # Errors
    /// [`MailError::Address`], [`MailError::Headers`].
    pub fn message(&self, from: &Mailbox) -> Result<Message, MailError> {
        let address = self.to.email.parse().map_err(|_refused| MailError::Address)?;
        let millis = u64::try_from(self.at_ms).unwrap_or(0);
        let date = std::time::UNIX_EPOCH + std::time::Duration::from_millis(millis);
        Message::builder()
            .from(from.clone())
            .to(Mailbox::new(self.to.header_name(), address))
            .message_id(Some(format!("<{}>", self.message_id(from))))
            .date(date)
            .subject(self.letter.subject.clone())
            .header(ContentType::TEXT_PLAIN)
            .body(self.letter.body.clone())
            .map_err(MailError::Headers)
    }
}

/// The templates of all mails. The first line of each is the subject.
#[derive(Debug)]
pub struct Templates(Environment<'static>);

impl Templates {
    /// Parses them.
    ///
    /// # Errors
    /// [`MailError::Template`] for a syntax error.
    pub fn new() -> Result<Self, MailError> {
        let mut all = Environment::new();
        all.set_undefined_behavior(UndefinedBehavior::Strict);
        all.add_template(CONFIRMED, include_str!("../templates/order_confirmed.txt"))?;
        all.add_template(CANCELLED, include_str!("../templates/order_cancelled.txt"))?;
        Ok(Self(all))
    }

    /// "Your order is confirmed". Without prices where an operator put something else in the
    /// place of the priced lines: a mail never stands in the way of an order.
    ///
    /// # Errors
    /// [`MailError::Template`].
    pub fn confirmed(
        &self,
        order: &str,
        input: &OrderInput,
        priced: Option<&OrderPriced>,
    ) -> Result<Letter, MailError> {
        let line = |quantity: i64, name: &str, total: Option<String>| -> Value {
            context! { quantity, name, total }
        };
        let lines: Vec<Value> = match priced {
            Some(priced) => priced
                .lines
                .iter()
                .map(|it| line(it.quantity, &it.name, Some(it.total.to_string())))
                .collect(),
            None => input.lines.iter().map(|it| line(it.quantity, &it.sku, None)).collect(),
        };
        let total = priced.map(|priced| priced.total.to_string());
        let name = input.customer.name.as_str();
        self.letter(CONFIRMED, context! { order, name, lines, total })
    }

    /// "Your order was cancelled", and why, in the customer's words.
    ///
    /// # Errors
    /// [`MailError::Template`].
    pub fn cancelled(&self, record: &Record, input: &OrderInput) -> Result<Letter, MailError> {
        let charged = record.state(step::PAYMENT).is_some_and(|state| state != StepState::Failed);
        let (order, name) = (record.id.as_str(), input.customer.name.as_str());
        let why = why(record.cause.as_ref());
        self.letter(CANCELLED, context! { order, name, why, charged })
    }

    fn letter(&self, template: &str, filled: Value) -> Result<Letter, MailError> {
        let text = self.0.get_template(template)?.render(filled)?;
        let (subject, body) = text.split_once('\n').unwrap_or((&text, ""));
        let mut body = body.trim_matches('\n').to_owned();
        body.push('\n');
        Ok(Letter { subject: subject.to_owned(), body })
    }
}

/// A cause in the customer's words: codes and details are for operators.
fn why(cause: Option<&Cause>) -> &'static str {
    match cause.map(|cause| cause.code.as_str()) {
        Some(refusal::OUT_OF_STOCK) => "we do not have enough of it in stock",
        Some(refusal::CARD_DECLINED | refusal::PAYMENT_INVALID) => "the payment was declined",
        Some(refusal::UNKNOWN_SKU | refusal::INACTIVE_SKU) => {
            "something in it is no longer for sale"
        }
        Some("cancelled") => "it was called off before it was complete",
        Some("expired" | "timedout") => "we could not complete it in time",
        _ => "we could not complete it",
    }
}

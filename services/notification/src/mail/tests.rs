use jetsaga_contracts::{
    money::{Currency, Money},
    order_saga::{Customer, OrderInput, OrderLine, OrderPriced, PaymentMethod, PricedLine},
};
use lettre::message::Mailbox;
use saga_core::{Author, Change, Event, Plan, Record};
use serde_json::json;

use super::{Letter, Mail, MailError, Recipient, Templates};

fn input() -> OrderInput {
    OrderInput {
        customer: Customer { name: "Ada Lovelace".to_owned(), email: "ada@example.com".to_owned() },
        lines: vec![OrderLine { sku: "TEA".to_owned(), quantity: 2 }],
        currency: "EUR".to_owned(),
        payment: PaymentMethod { token: "pm_card_visa".to_owned() },
    }
}

fn priced() -> OrderPriced {
    let eur = |amount| Money::new(amount, Currency::EUR).unwrap();
    let line = |name: &str, quantity, price: i64| PricedLine {
        sku: "SKU".to_owned(),
        name: name.to_owned(),
        quantity,
        unit_price: eur(price),
        total: eur(price * quantity),
    };
    OrderPriced {
        lines: vec![line("Earl Grey <100 g>", 2, 799), line("Mug", 12, 5)],
        total: eur(1658),
    }
}

#[test]
fn the_confirmation_lists_what_was_bought() {
    let letter = Templates::new().unwrap().confirmed("ord_1", &input(), Some(&priced())).unwrap();
    assert_eq!(letter.subject, "Your order ord_1 is confirmed");
    assert_eq!(
        letter.body,
        "Hello Ada Lovelace,\n\n\
         thank you for your order ord_1. It is paid, and everything in it is set aside for you:\n\n\
         \u{20}   2 x Earl Grey <100 g>: 15.98 EUR\n\
         \u{20}  12 x Mug: 0.60 EUR\n\
         \n\
         Total: 16.58 EUR\n\n\
         Jetsaga Shop\n"
    );
}

#[test]
fn the_confirmation_does_without_prices_where_an_operator_left_none() {
    let letter = Templates::new().unwrap().confirmed("ord_1", &input(), None).unwrap();
    assert!(letter.body.contains("    2 x TEA\n"), "{}", letter.body);
    assert!(!letter.body.contains("Total"), "{}", letter.body);
}

fn rolled_back(changes: Vec<Change>) -> Record {
    let plan = Plan::new(saga_workflows::order()).unwrap();
    let mut record = Record::start(&plan, "ord_1", serde_json::to_value(input()).unwrap()).unwrap();
    for (sequence, change) in (1..).zip(changes) {
        let by = match &change {
            Change::Cancelled => Author::Client,
            Change::Done { step, .. }
            | Change::Failed { step, .. }
            | Change::Undone { step, .. } => Author::service(step),
            other => panic!("not used here: {other:?}"),
        };
        record = record.next(&plan, sequence, Event::new(by, change)).unwrap();
    }
    record
}

#[test]
fn the_cancellation_says_why_and_what_becomes_of_the_money() {
    let templates = Templates::new().unwrap();
    let declined = rolled_back(vec![
        Change::done("order", json!({})),
        Change::failed("payment", "card_declined", "insufficient_funds"),
        Change::undone("order"),
    ]);
    let letter = templates.cancelled(&declined, &input()).unwrap();
    assert_eq!(letter.subject, "Your order ord_1 was cancelled");
    assert_eq!(
        letter.body,
        "Hello Ada Lovelace,\n\n\
         your order ord_1 was cancelled: the payment was declined.\n\n\
         Your card was not charged.\n\n\
         Jetsaga Shop\n"
    );
    let sold_out = rolled_back(vec![
        Change::done("order", json!({})),
        Change::done("payment", json!({})),
        Change::failed("inventory", "out_of_stock", "MUG"),
        Change::undone("payment"),
        Change::undone("order"),
    ]);
    let letter = templates.cancelled(&sold_out, &input()).unwrap();
    assert!(letter.body.contains("not have enough of it in stock"), "{}", letter.body);
    assert!(letter.body.contains("the full amount is on its way back"), "{}", letter.body);
}

fn mail(name: &str, email: &str) -> Mail {
    Mail {
        effect_id: "order.ord_1.notification".to_owned(),
        to: Recipient { name: name.to_owned(), email: email.to_owned() },
        letter: Letter { subject: "Grüße".to_owned(), body: "Zwei Äpfel\n".to_owned() },
        at_ms: 1_795_424_400_123,
    }
}

fn from() -> Mailbox {
    "Jetsaga Shop <orders@shop.example>".parse().unwrap()
}

#[test]
fn the_same_effect_gives_the_same_bytes_and_a_message_id_of_its_own() {
    let bytes = mail("Ada", "ada@example.com").message(&from()).unwrap().formatted();
    assert_eq!(bytes, mail("Ada", "ada@example.com").message(&from()).unwrap().formatted());
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.contains("Message-ID: <order.ord_1.notification@shop.example>\r\n"), "{text}");
    assert!(text.contains("Date: Mon, 23 Nov 2026 09:00:00 +0000\r\n"), "{text}");
    assert!(text.is_ascii(), "relays without 8BITMIME take it too: {text}");
}

#[test]
fn a_hostile_name_adds_neither_header_nor_recipient() {
    for name in [
        "Eve\r\nBcc: all@example.com",
        "a@b.example, Eve",
        "\"<x@example.com>, \"",
        "Ünï",
        "",
        "\r\n",
        &"x".repeat(99_999),
    ] {
        let message = mail(name, "ada@example.com").message(&from()).unwrap();
        assert_eq!(message.envelope().to().len(), 1, "{name:?}");
        let text = String::from_utf8(message.formatted()).unwrap();
        let headers = text.split("\r\n\r\n").next().unwrap();
        assert!(!headers.to_lowercase().contains("\r\nbcc"), "{headers}");
        assert_eq!(headers.matches("\r\nTo: ").count(), 1, "{headers}");
    }
}

#[test]
fn what_may_be_logged_holds_no_address() {
    let mail = mail("Ada", "not an address");
    let error = mail.message(&from()).unwrap_err();
    assert!(matches!(error, MailError::Address));
    assert!(!format!("{error:?} {error}").contains("not an address"));
    assert!(!format!("{mail:?}").contains("Ada"));
    assert!(!format!("{mail:?}").contains("not an address"));
}

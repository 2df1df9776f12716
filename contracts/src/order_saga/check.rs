//! Everything about an order that can be told without asking anybody.

use std::collections::HashSet;

use super::{Customer, OrderInput, OrderLine, PaymentMethod};
use crate::{
    limits::{MAX_CUSTOMER_NAME, MAX_LINES, MAX_QUANTITY, MIN_QUANTITY},
    money::Currency,
    violation::{Violation, is_email, is_line, is_payment_token, is_sku},
};

impl OrderInput {
    /// What is wrong with this order, field by field; empty when it can be started.
    ///
    /// Looks at no more than [`MAX_LINES`] lines, so that an oversized order costs no more than
    /// a legal one.
    pub fn violations(&self) -> Vec<Violation> {
        let mut found = Vec::new();
        self.customer.check(&mut found);
        check_lines(&self.lines, &mut found);
        if self.currency.parse::<Currency>().is_err() {
            let detail = "must be the three capital letters of an ISO 4217 currency";
            found.push(Violation::new("/currency", "unknown_currency", detail));
        }
        self.payment.check(&mut found);
        found
    }
}

impl Customer {
    fn check(&self, found: &mut Vec<Violation>) {
        if !is_line(&self.name, MAX_CUSTOMER_NAME) {
            let detail = format!(
                "must have 1 to {MAX_CUSTOMER_NAME} characters, no leading space, \
                 no control characters"
            );
            found.push(Violation::new("/customer/name", "invalid_name", detail));
        }
        if !is_email(&self.email) {
            let detail = "must be one plain e-mail address, such as ada@example.com";
            found.push(Violation::new("/customer/email", "invalid_email", detail));
        }
    }
}

impl PaymentMethod {
    fn check(&self, found: &mut Vec<Violation>) {
        if !is_payment_token(&self.token) {
            let detail = "must be a token of the payment provider (pm_ and lower-case letters, \
                          digits, underscores), never a card number";
            found.push(Violation::new("/payment/token", "invalid_token", detail));
        }
    }
}

fn check_lines(lines: &[OrderLine], found: &mut Vec<Violation>) {
    if lines.is_empty() || lines.len() > MAX_LINES {
        let detail = format!("must have 1 to {MAX_LINES} lines");
        found.push(Violation::new("/lines", "out_of_range", detail));
    }
    let mut seen = HashSet::new();
    for (index, line) in lines.iter().take(MAX_LINES).enumerate() {
        if !is_sku(&line.sku) {
            let detail = "must have 1 to 64 letters, digits, dots, dashes or underscores, \
                          beginning with a letter or digit";
            found.push(Violation::new(format!("/lines/{index}/sku"), "invalid_sku", detail));
        } else if !seen.insert(line.sku.as_str()) {
            let detail = "is on an earlier line already; raise that line's quantity";
            found.push(Violation::new(format!("/lines/{index}/sku"), "duplicate_sku", detail));
        }
        if !(MIN_QUANTITY..=MAX_QUANTITY).contains(&line.quantity) {
            let detail = format!("must be between {MIN_QUANTITY} and {MAX_QUANTITY}");
            found.push(Violation::new(format!("/lines/{index}/quantity"), "out_of_range", detail));
        }
    }
}

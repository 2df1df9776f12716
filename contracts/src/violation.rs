//! What is wrong with a request, by field: the `errors` list of a 422 problem.

use poem_openapi::Object;
use serde::{Deserialize, Serialize};

use crate::limits::{MAX_EMAIL, MAX_SKU, MAX_TOKEN};

#[cfg(test)]
mod tests;

/// One field that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Object)]
pub struct Violation {
    /// JSON pointer (RFC 6901) to the field in the request's body, such as `/lines/0/quantity`.
    pub pointer: String,
    /// Stable name of the broken rule, such as `out_of_range`.
    pub code: String,
    /// What is expected, for a person to read. Never repeats what was sent.
    pub detail: String,
}

impl Violation {
    /// A violation of the rule `code` at `pointer`.
    pub fn new(pointer: impl Into<String>, code: &str, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), code: code.to_owned(), detail: detail.into() }
    }
}

/// True for `[A-Za-z0-9][A-Za-z0-9._-]{0,63}`.
pub fn is_sku(text: &str) -> bool {
    text.len() <= MAX_SKU
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// True for `pm_[a-z0-9_]{1,61}`.
pub fn is_payment_token(text: &str) -> bool {
    text.len() <= MAX_TOKEN
        && text.strip_prefix("pm_").is_some_and(|rest| {
            !rest.is_empty()
                && rest.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        })
}

/// True for one plain address: dot-atom `@` a host name of at least two labels. No quoted
/// local parts, no comments, no white space, so that it can never break a mail header.
pub fn is_email(text: &str) -> bool {
    let Some((local, host)) = text.split_once('@') else { return false };
    text.len() <= MAX_EMAIL
        && local.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(is_atom_byte))
        && host.contains('.')
        && host.split('.').all(is_host_label)
}

/// True for a line of text between one and `max` characters that starts with neither white space
/// nor anything invisible, and holds no control character.
pub fn is_line(text: &str, max: usize) -> bool {
    text.chars().next().is_some_and(|first| !first.is_whitespace())
        && !text.chars().any(char::is_control)
        && text.chars().count() <= max
}

fn is_atom_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~-".contains(&byte)
}

fn is_host_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

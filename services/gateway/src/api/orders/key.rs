//! The Idempotency-Key, and the id that follows from it.

use jetsaga_contracts::ids::OrderId;
use service_kit::http::Problem;

/// Longest key.
const MAX: usize = 255;

/// The id of the order that `caller` places under `key`; a random one without a key.
pub(super) fn order_id(caller: &str, key: Option<&str>) -> Result<OrderId, Problem> {
    let Some(key) = key else { return Ok(OrderId::random()) };
    // The draft of the IETF wants quotation marks, nearly everybody sends none.
    let key = key.strip_prefix('"').and_then(|key| key.strip_suffix('"')).unwrap_or(key);
    let is_plain = |byte: u8| (b' '..=b'~').contains(&byte);
    if key.is_empty() || key.len() > MAX || !key.bytes().all(is_plain) {
        let detail = format!("Idempotency-Key must have 1 to {MAX} printable ASCII characters");
        return Err(Problem::bad_request("invalid_idempotency_key", detail));
    }
    Ok(OrderId::derived(caller, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotation_marks_make_no_difference() {
        assert_eq!(order_id("me", Some("\"k-1\"")), order_id("me", Some("k-1")));
        assert_ne!(order_id("me", Some("k-1")), order_id("me", Some("k-2")));
        assert_ne!(order_id("me", Some("k-1")), order_id("you", Some("k-1")));
        assert_ne!(order_id("me", None), order_id("me", None));
    }

    #[test]
    fn a_key_that_is_no_text_is_refused() {
        for bad in ["", "\"\"", "ä", &"x".repeat(256)] {
            assert_eq!(order_id("me", Some(bad)).unwrap_err().code, "invalid_idempotency_key");
        }
    }
}

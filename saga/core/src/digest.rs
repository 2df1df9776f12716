//! Digests over canonical JSON (RFC 8785), so that every language computes the same.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// `sha256:<hex>` of the canonical JSON of `value`.
pub fn digest(value: &Value) -> String {
    // Canonical JSON is refused only for keys that are not strings and for non-finite numbers;
    // a `Value` holds neither, so the plain text is never used.
    let canonical = serde_jcs::to_vec(value).unwrap_or_else(|_| value.to_string().into_bytes());
    format!("sha256:{}", data_encoding::HEXLOWER.encode(&Sha256::digest(canonical)))
}

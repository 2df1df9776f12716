//! Ids: a prefix that says what it names and 26 characters of base32 (`ord_0f3…`).
//!
//! The alphabet is `0-9a-v` (RFC 4648 base32hex, lower case), so that ids made from a `UUIDv7`
//! sort by the time of their making. All fit the saga id's `[A-Za-z0-9_-]{1,64}`.

use std::{fmt, str::FromStr};

use data_encoding::BASE32_DNSSEC;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::wire::wire_text;

#[cfg(test)]
mod tests;

/// Characters after the prefix: 128 bits in base32.
const BODY: usize = 26;

/// The text is not an id of the wanted kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected `{prefix}` and 26 characters of 0-9, a-v")]
pub struct IdError {
    prefix: &'static str,
}

macro_rules! prefixed_id {
    ($(#[$docs:meta])* $type:ident, $prefix:literal) => {
        $(#[$docs])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $type(String);

        impl $type {
            /// What every id of this kind starts with.
            pub const PREFIX: &'static str = $prefix;

            /// The id with these 128 bits.
            pub fn from_uuid(bits: Uuid) -> Self {
                Self::from_bits(*bits.as_bytes())
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The id as text, owned.
            pub fn into_string(self) -> String {
                self.0
            }

            fn from_bits(bits: [u8; 16]) -> Self {
                Self(format!("{}{}", $prefix, BASE32_DNSSEC.encode(&bits)))
            }
        }

        impl FromStr for $type {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                match text.strip_prefix($prefix) {
                    Some(body) if is_body(body) => Ok(Self(text.to_owned())),
                    _ => Err(IdError { prefix: $prefix }),
                }
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }

        wire_text!($type, stringify!($type), |schema| {
            schema.pattern = Some(concat!("^", $prefix, "[0-9a-v]{26}$").to_owned());
            schema.example = Some(concat!($prefix, "06a7kq2v9tb4rd8m1f3g5h7jcs").into());
        });
    };
}

prefixed_id!(
    /// An order, and the saga that carries it: both have the same id.
    OrderId,
    "ord_"
);
prefixed_id!(
    /// A payment.
    PaymentId,
    "pay_"
);
prefixed_id!(
    /// A notification.
    NotificationId,
    "ntf_"
);

impl OrderId {
    /// The id of the order that `caller` places under `key` (the Idempotency-Key): always the
    /// same, so that a repeated request meets the saga that the first one started.
    pub fn derived(caller: &str, key: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"jetsaga order v1");
        for part in [caller, key] {
            // The length before each part: no two pairs are the same bytes.
            hash.update(part.len().to_be_bytes());
            hash.update(part.as_bytes());
        }
        let mut bits = [0; 16];
        bits.copy_from_slice(&hash.finalize()[..16]);
        Self::from_bits(bits)
    }

    /// A fresh id, for an order without a key.
    pub fn random() -> Self {
        Self::from_uuid(Uuid::new_v4())
    }
}

impl PaymentId {
    /// A fresh id; later ones sort after earlier ones.
    pub fn fresh() -> Self {
        Self::from_uuid(Uuid::now_v7())
    }
}

impl NotificationId {
    /// A fresh id; later ones sort after earlier ones.
    pub fn fresh() -> Self {
        Self::from_uuid(Uuid::now_v7())
    }
}

fn is_body(body: &str) -> bool {
    body.len() == BODY && body.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'v'))
}

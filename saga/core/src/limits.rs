//! Sizes that hold everywhere, and the check of a JSON value against them.

use serde_json::Value;

use crate::json::Json;

/// Default limit of a saga's input, in bytes of JSON.
pub const INPUT_MAX: u32 = 64 * 1024;
/// Default limit of a step's output, in bytes of JSON.
pub const OUTPUT_MAX: u32 = 16 * 1024;
/// Most bytes that a record may have: a quarter of the server's default message limit.
pub const RECORD_MAX: u32 = 256 * 1024;
/// Part of [`RECORD_MAX`] kept for everything that is neither input nor output.
pub const RECORD_RESERVE: u32 = 8 * 1024;
/// Part of [`RECORD_MAX`] kept for each step's state and reason.
pub const STEP_RESERVE: u32 = 2 * 1024;
/// Most bytes of a reason's code.
pub const REASON_CODE_MAX: usize = 64;
/// Most bytes of a reason's detail; longer ones are cut.
pub const REASON_DETAIL_MAX: usize = 1024;
/// Deepest nesting of an input or output.
pub const NESTING_MAX: usize = 32;
/// Largest integer that every JSON reader keeps exactly (2^53 - 1).
pub const INTEGER_MAX: i64 = 9_007_199_254_740_991;
/// Longest saga id, step, service or type name, in bytes.
pub const NAME_MAX: usize = 64;
/// Most steps in a definition; every ready set fits one machine word.
pub const STEPS_MAX: usize = 64;

// A record can always be appended after an effect: what may stand in it besides input and outputs
// fits the reserves, so sizes are refused when a definition is checked and never afterwards.
const _: () = assert!(REASON_CODE_MAX + REASON_DETAIL_MAX < 2 * 1024);
const _: () = assert!(INPUT_MAX + OUTPUT_MAX + RECORD_RESERVE + STEP_RESERVE <= RECORD_MAX);

/// Why a JSON value cannot be an input or output.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TooMuch {
    /// The JSON text is larger than the definition allows.
    #[error("{bytes} bytes of JSON; at most {limit} are allowed")]
    Bytes {
        /// Its size in bytes.
        bytes: usize,
        /// The limit in bytes.
        limit: u32,
    },
    /// Arrays and objects are nested too deeply.
    #[error("nested deeper than {NESTING_MAX} levels")]
    Nesting,
    /// A number that not every reader of JSON keeps exactly.
    #[error("the number {0} is outside ±(2^53 - 1)")]
    Integer(String),
}

/// Checks that `value` may stand in a record: size, nesting, exact integers.
pub fn check(value: &Value, limit: u32) -> Result<(), TooMuch> {
    check_shape(value, 0)?;
    let bytes = value.to_string().len();
    if u32::try_from(bytes).is_ok_and(|bytes| bytes <= limit) {
        Ok(())
    } else {
        Err(TooMuch::Bytes { bytes, limit })
    }
}

/// [`check`], without a look inside where the text says enough.
pub(crate) fn check_json(value: &Json, limit: u32) -> Result<(), TooMuch> {
    // What is plain is within the other limits, and no longer than when it is written anew.
    let bytes = value.plain_text().map(|text| u32::try_from(text.len()));
    if matches!(bytes, Some(Ok(bytes)) if bytes <= limit) { Ok(()) } else { check(value, limit) }
}

fn check_shape(value: &Value, depth: usize) -> Result<(), TooMuch> {
    if depth > NESTING_MAX {
        return Err(TooMuch::Nesting);
    }
    match value {
        Value::Number(number) => {
            let exact = match number.as_i64() {
                Some(integer) => (-INTEGER_MAX..=INTEGER_MAX).contains(&integer),
                None => number.is_f64(),
            };
            if exact { Ok(()) } else { Err(TooMuch::Integer(number.to_string())) }
        }
        Value::Array(items) => items.iter().try_for_each(|item| check_shape(item, depth + 1)),
        Value::Object(fields) => fields.values().try_for_each(|item| check_shape(item, depth + 1)),
        Value::Null | Value::Bool(_) | Value::String(_) => Ok(()),
    }
}

/// Cuts `text` to at most `limit` bytes at a character boundary.
pub fn cut(text: &str, limit: usize) -> String {
    let mut end = text.len().min(limit);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

/// Whether `text` may be a saga id: `[A-Za-z0-9_-]{1,64}`.
pub fn is_id(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    !text.is_empty() && text.len() <= NAME_MAX && text.bytes().all(allowed)
}

/// Whether `text` may be the name of a step or service: `[a-z0-9_-]{1,64}`.
pub fn is_name(text: &str) -> bool {
    is_id(text) && !text.bytes().any(|byte| byte.is_ascii_uppercase())
}

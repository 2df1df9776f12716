//! Which texts need not be looked into.

/// Deeper than this a text is looked into: within every limit on nesting.
const DEPTH: usize = 32;
/// Digits of a number that every reader keeps exactly.
const DIGITS: usize = 15;

/// Whether a JSON text without syntax errors is surely a value that may stand in a record, and is
/// written as compactly as can be: then it can be passed on as it is. `false` says nothing but that
/// it has to be looked into: for white space, escapes, negative numbers, fractions, exponents, long
/// numbers, deep nesting.
pub(super) fn is_plain(text: &str) -> bool {
    let mut rest = text.as_bytes();
    let (mut depth, mut digits) = (0_usize, 0_usize);
    while let [byte, after @ ..] = rest {
        rest = after;
        match byte {
            b'"' => match after_string(after) {
                Some(after) => rest = after,
                None => return false,
            },
            b'{' | b'[' if depth < DEPTH => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'0'..=b'9' if digits < DIGITS => {
                digits += 1;
                continue;
            }
            b',' | b':' => {}
            // The letters of true, false and null, where they are not an exponent.
            b'a' | b'e' | b'f' | b'l' | b'n' | b'r' | b's' | b't' | b'u' if digits == 0 => {}
            _ => return false,
        }
        digits = 0;
    }
    true
}

/// What follows a string without escapes, given what follows its first quotation mark.
fn after_string(rest: &[u8]) -> Option<&[u8]> {
    let end = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
    (rest[end] == b'"').then(|| &rest[end + 1..])
}

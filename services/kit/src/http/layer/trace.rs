//! W3C trace context: a request without one begins a trace.

use poem::Request;
use poem::http::HeaderValue;

const PARENT: &str = "traceparent";
const STATE: &str = "tracestate";

/// The request's `traceparent`. One that is missing or malformed is replaced by that of a new
/// trace, also in the request, so that whoever hands the headers on hands on the same trace.
pub(super) fn begin(request: &mut Request) -> String {
    if let Some(given) = request.header(PARENT).filter(|text| is_valid(text)) {
        return given.to_owned();
    }
    let fresh = format!("00-{:032x}-{:016x}-01", nonzero(rand::random()), span());
    let headers = request.headers_mut();
    // A state belongs to the parent that it came with.
    headers.remove(STATE);
    if let Ok(value) = HeaderValue::from_str(&fresh) {
        headers.insert(PARENT, value);
    }
    fresh
}

/// The trace's id, for the log.
pub(super) fn id(parent: &str) -> &str {
    parent.split('-').nth(1).unwrap_or_default()
}

fn nonzero(number: u128) -> u128 {
    number.max(1)
}

fn span() -> u64 {
    rand::random::<u64>().max(1)
}

/// `00-<32 hex>-<16 hex>-<2 hex>`, in small letters, neither id all zero.
fn is_valid(text: &str) -> bool {
    let is_hex = |part: &str| {
        part.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    let is_zero = |part: &str| part.bytes().all(|byte| byte == b'0');
    let parts: Vec<&str> = text.split('-').collect();
    let [version, trace, span, flags] = parts.as_slice() else { return false };
    let lengths = (version.len(), trace.len(), span.len(), flags.len());
    lengths == (2, 32, 16, 2)
        && parts.iter().all(|part| is_hex(part))
        && *version != "ff"
        && !is_zero(trace)
        && !is_zero(span)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_trace_is_kept_and_a_malformed_one_replaced() {
        let mut request = Request::builder().header(PARENT, GIVEN).header(STATE, "a=b").finish();
        assert_eq!(begin(&mut request), GIVEN);
        assert_eq!(request.header(STATE), Some("a=b"));
        assert_eq!(id(GIVEN), "0af7651916cd43dd8448eb211c80319c");
        let zero = GIVEN.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32));
        for wrong in ["", "x", &GIVEN.to_uppercase(), &GIVEN[1..], &zero, &format!("{GIVEN}-0")] {
            let mut request =
                Request::builder().header(STATE, "a=b").header(PARENT, wrong).finish();
            let begun = begin(&mut request);
            assert!(is_valid(&begun) && begun != wrong, "{wrong} became {begun}");
            assert_eq!(request.header(PARENT), Some(begun.as_str()));
            assert_eq!(request.header(STATE), None);
        }
    }
}

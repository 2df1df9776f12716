//! Pages: opaque cursors and limits.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Problem;

/// Most entries of a page.
const LIMIT_MAX: u32 = 100;
/// Entries of a page when nothing is asked.
const LIMIT_DEFAULT: u32 = 20;

/// A position in a list, opaque to clients.
#[derive(Debug, Clone, Copy)]
pub struct Cursor;

impl Cursor {
    /// The text for clients.
    pub fn encode(position: &impl Serialize) -> String {
        let json = serde_json::to_vec(position).unwrap_or_default();
        data_encoding::BASE64URL_NOPAD.encode(&json)
    }

    /// The position that a client hands back.
    ///
    /// # Errors
    /// 400 `invalid_cursor` for anything but what [`Cursor::encode`] made.
    pub fn decode<T: DeserializeOwned>(text: &str) -> Result<T, Problem> {
        let json = data_encoding::BASE64URL_NOPAD.decode(text.as_bytes()).ok();
        json.and_then(|json| serde_json::from_slice(&json).ok()).ok_or_else(|| {
            let detail = "the cursor is not one that this list gave out; start without one";
            Problem::bad_request("invalid_cursor", detail)
        })
    }
}

/// The number of entries to list, from a query parameter.
///
/// # Errors
/// 400 `invalid_limit` outside 1 to 100.
pub fn page_limit(limit: Option<u32>) -> Result<u32, Problem> {
    match limit.unwrap_or(LIMIT_DEFAULT) {
        limit @ 1..=LIMIT_MAX => Ok(limit),
        _ => Err(Problem::bad_request("invalid_limit", format!("limit must be 1 to {LIMIT_MAX}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_went_out_and_nothing_else_is_one() {
        let position = ("2026-11-23T09:00:00Z".to_owned(), "ord_1".to_owned());
        let text = Cursor::encode(&position);
        assert_eq!(Cursor::decode::<(String, String)>(&text).unwrap(), position);
        for wrong in ["", "x", "%%%", &text[1..], &Cursor::encode(&7)] {
            let problem = Cursor::decode::<(String, String)>(wrong).unwrap_err();
            assert_eq!((problem.status, problem.code.as_str()), (400, "invalid_cursor"), "{wrong}");
        }
    }

    #[test]
    fn a_page_has_a_limit() {
        assert_eq!((page_limit(None).unwrap(), page_limit(Some(100)).unwrap()), (20, 100));
        for wrong in [0, 101, u32::MAX] {
            assert_eq!(page_limit(Some(wrong)).unwrap_err().code, "invalid_limit");
        }
    }
}

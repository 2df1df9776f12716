//! The header `Prefer` (RFC 7240).

use std::time::Duration;

/// Longest wait that is granted, in seconds.
const MAX: u64 = 30;

/// The wait that is asked for, cut to what is granted; `None`: none is asked for.
pub(super) fn wait(header: &str) -> Option<Duration> {
    let seconds = header.split([',', ';']).find_map(|preference| {
        let (name, value) = preference.split_once('=')?;
        let is_wait = name.trim().eq_ignore_ascii_case("wait");
        is_wait.then(|| value.trim().trim_matches('"').parse::<u64>().ok())?
    })?;
    Some(Duration::from_secs(seconds.min(MAX)))
}

/// The header `Preference-Applied`.
pub(super) fn applied(wait: Duration) -> String {
    format!("wait={}", wait.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_found_among_other_preferences_and_capped() {
        assert_eq!(wait("wait=5"), Some(Duration::from_secs(5)));
        assert_eq!(wait("respond-async, Wait = 100"), Some(Duration::from_secs(30)));
        assert_eq!(wait("respond-async"), None);
        assert_eq!(wait("wait=soon"), None);
        assert_eq!(applied(Duration::from_secs(7)), "wait=7");
    }
}

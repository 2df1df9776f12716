//! Versions of the server, and which of them will do.

use std::fmt;
use std::str::FromStr;

/// A nats-server version: `2.15.1`, `v2.14.5`, `2.12.15-RC.1`.
///
/// A pre-release comes before the release of the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    major: u32,
    minor: u32,
    patch: u32,
    /// Sorts a pre-release (`false`) before its release (`true`).
    is_release: bool,
}

/// The text is not a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a nats-server version")]
pub struct NotAVersion(String);

impl Version {
    /// The version that the launcher gets and that the tests run against.
    pub const PINNED: Self = Self::release(2, 15, 1);
    /// The first good one of the 2.12 line: older ones may lose the guard of an append.
    pub const OLDEST_2_12: Self = Self::release(2, 12, 15);
    /// The first good one of the 2.14 line; everything newer will do too.
    pub const OLDEST_2_14: Self = Self::release(2, 14, 5);

    const fn release(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch, is_release: true }
    }

    /// Whether the engine may run on it: 2.12.15 and later of the 2.12 line, or 2.14.5 and newer.
    pub fn is_supported(self) -> bool {
        let is_2_12 = self.major == 2 && self.minor == 12;
        (is_2_12 && self >= Self::OLDEST_2_12) || self >= Self::OLDEST_2_14
    }

    /// Reads the answer of `nats-server --version`: `nats-server: v2.15.1`.
    ///
    /// # Errors
    /// When no word of it is a version.
    pub fn of_output(output: &str) -> Result<Self, NotAVersion> {
        let mut words = output.split_whitespace();
        words
            .find_map(|word| word.parse().ok())
            .ok_or_else(|| NotAVersion(output.trim().to_owned()))
    }
}

impl FromStr for Version {
    type Err = NotAVersion;

    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        parse(text).ok_or_else(|| NotAVersion(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<Version> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let text = text.split_once('+').map_or(text, |(version, _build)| version);
    let (numbers, is_release) =
        text.split_once('-').map_or((text, true), |(numbers, _pre)| (numbers, false));
    let mut parts = numbers.split('.').map(|part| part.parse().ok());
    let (major, minor, patch) = (parts.next()??, parts.next()??, parts.next()??);
    parts.next().is_none().then_some(Version { major, minor, patch, is_release })
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pre = if self.is_release { "" } else { "-pre" };
        write!(f, "{}.{}.{}{pre}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn versions_are_read_as_servers_print_them() {
        assert_eq!(Version::of_output("nats-server: v2.15.1\n").unwrap(), Version::PINNED);
        assert_eq!(version("2.15.1+build.7"), Version::PINNED);
        assert_eq!(version("v2.12.15").to_string(), "2.12.15");
        assert!(version("2.15.1-RC.1") < Version::PINNED);
        for text in ["", "2.15", "2.15.x", "2.15.1.1", "fifteen", "-1.2.3"] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
        assert!(Version::of_output("command not found").is_err());
    }

    #[test]
    fn only_versions_that_keep_the_guard_are_supported() {
        for good in ["2.12.15", "2.12.16", "2.14.5", "2.14.6", "2.15.0", "2.15.1", "3.0.0"] {
            assert!(version(good).is_supported(), "{good}");
        }
        let bad =
            ["2.9.10", "2.11.6", "2.12.14", "2.12.15-RC.1", "2.13.9", "2.14.4", "2.14.5-RC.1"];
        for bad in bad {
            assert!(!version(bad).is_supported(), "{bad}");
        }
    }
}

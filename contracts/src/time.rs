//! Points in time as the API writes them: RFC 3339, UTC, `Z`, milliseconds.

use std::{fmt, str::FromStr};

use chrono::{DateTime, SecondsFormat, SubsecRound, Utc};

use crate::wire::wire_text;

/// A point in time in whole milliseconds. As text it sorts like the time itself (years 0–9999).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(DateTime<Utc>);

impl Timestamp {
    /// The machine's clock, now.
    pub fn now() -> Self {
        Utc::now().into()
    }

    /// The point in time, for arithmetic.
    pub fn utc(self) -> DateTime<Utc> {
        self.0
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(time: DateTime<Utc>) -> Self {
        Self(time.trunc_subsecs(3))
    }
}

impl FromStr for Timestamp {
    type Err = chrono::ParseError;

    fn from_str(text: &str) -> Result<Self, chrono::ParseError> {
        Ok(DateTime::parse_from_rfc3339(text)?.with_timezone(&Utc).into())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

wire_text!(Timestamp, "timestamp", |schema| {
    schema.format = Some("date-time");
    schema.example = Some("2026-11-23T09:00:00.000Z".into());
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_utc_with_milliseconds_whatever_came_in() {
        let wire = |text: &str| text.parse::<Timestamp>().unwrap().to_string();
        assert_eq!(wire("2026-11-23T10:00:00.1239+01:00"), "2026-11-23T09:00:00.123Z");
        assert_eq!(wire("2026-11-23T09:00:00Z"), "2026-11-23T09:00:00.000Z");
        assert!("yesterday".parse::<Timestamp>().is_err());
        let now = Timestamp::now();
        assert_eq!(now, now.to_string().parse().unwrap());
    }
}

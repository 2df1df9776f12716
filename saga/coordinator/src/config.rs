//! Options as written, and as checked.

use std::time::Duration;

use saga_engine::coordinator::{Options, Retention};

/// Options of the coordinator.
#[derive(Debug, Clone, clap::Args)]
pub struct CoordinatorOptions {
    /// How long the history of a finished saga stays in the stream: 90s, 30m, 24h, 7d
    #[arg(long, env = "JETSAGA_KEEP_HISTORY", default_value = "24h", value_parser = duration)]
    pub keep_history: Duration,

    /// How long its last message stays, so that a repeated start is refused
    #[arg(long, env = "JETSAGA_KEEP_ENDING", default_value = "7d", value_parser = duration)]
    pub keep_ending: Duration,

    /// Keep finished sagas for ever
    #[arg(long, env = "JETSAGA_KEEP_EVERYTHING")]
    pub keep_everything: bool,
}

/// Why the options cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Invalid {
    /// A last message cannot leave before the history that it ends.
    #[error("--keep-ending must not be shorter than --keep-history")]
    EndingBeforeHistory,
}

impl TryFrom<CoordinatorOptions> for Options {
    type Error = Invalid;

    fn try_from(written: CoordinatorOptions) -> Result<Self, Invalid> {
        let (grace, retention) = (written.keep_history, written.keep_ending);
        if retention < grace {
            return Err(Invalid::EndingBeforeHistory);
        }
        let enabled = !written.keep_everything;
        Ok(Self { retention: Retention { enabled, grace, retention }, ..Self::default() })
    }
}

/// Reads a duration: a whole number and `s`, `m`, `h` or `d`.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a duration like 90s, 30m, 24h or 7d");
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 24 * 3_600,
        _ => return Err(wrong()),
    };
    let number: u64 =
        text.strip_suffix(unit).unwrap_or_default().parse().map_err(|_error| wrong())?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(keep_history: &str, keep_ending: &str) -> CoordinatorOptions {
        CoordinatorOptions {
            keep_history: duration(keep_history).unwrap(),
            keep_ending: duration(keep_ending).unwrap(),
            keep_everything: false,
        }
    }

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("7d"), Ok(Duration::from_hours(168)));
        for wrong in ["", "7", "d", "-1s", "1.5h", "1ss", "99999999999999999999s"] {
            assert!(duration(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn an_ending_stays_at_least_as_long_as_its_history() {
        assert!(Options::try_from(written("2h", "1h")).is_err());
        let options = Options::try_from(written("1h", "2h")).unwrap();
        assert_eq!(options.retention.grace, Duration::from_hours(1));
    }
}

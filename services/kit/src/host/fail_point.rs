//! A process that dies at a named point of its work, for tests of what happens then.

use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};

use saga_engine::testing::{Fault, Faults, Place, Point};
use thiserror::Error;

/// A point of a service's work at which its process dies as by `kill -9`, written
/// `after-effect:payment`, `after-effect:payment:refund` when it dies only at that step, or
/// `after-effect:payment:2` when it dies only the second time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailPoint {
    point: Point,
    service: String,
    /// At any step when there is none.
    step: Option<String>,
    time: u32,
}

/// Why a fail-point was refused.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum FailPointError {
    /// It is a release build.
    #[error("fail-points are for tests: a release build has none; unset JETSAGA_FAIL_POINT")]
    Release,
    /// It is not of the form POINT:SERVICE[:STEP][:TIME].
    #[error(
        "{0:?} is not POINT:SERVICE[:STEP][:TIME]; the points are {points}, times count from 1",
        points = Point::ALL.map(Point::name).join(", ")
    )]
    Unknown(String),
}

impl FromStr for FailPoint {
    type Err = FailPointError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::read(text, !cfg!(debug_assertions))
    }
}

impl FailPoint {
    fn read(text: &str, is_release: bool) -> Result<Self, FailPointError> {
        if is_release {
            return Err(FailPointError::Release);
        }
        Self::parts(text).ok_or_else(|| FailPointError::Unknown(text.to_owned()))
    }

    fn parts(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let (name, service) = (parts.next()?, parts.next()?.to_owned());
        let point = Point::ALL.into_iter().find(|point| point.name() == name)?;
        let mut rest: Vec<&str> = parts.collect();
        // Names of steps begin with a letter.
        let time = rest.pop_if(|last| last.starts_with(|first: char| first.is_ascii_digit()));
        let time = time.map_or(Some(1), |time| time.parse().ok().filter(|time| *time > 0))?;
        let step = match rest.as_slice() {
            [] => None,
            [step] => Some((*step).to_owned()),
            _ => return None,
        };
        Some(Self { point, service, step, time })
    }

    /// A hook that ends the process without any cleaning up once the point is reached.
    pub fn faults(self) -> Faults {
        let left = AtomicU32::new(self.time);
        Faults::new(move |place: Place| {
            let is_step = self.step.as_ref().is_none_or(|step| *step == place.step);
            let is_here = place.point == self.point && place.service == self.service && is_step;
            if is_here && left.fetch_sub(1, Ordering::Relaxed) == 1 {
                // What a killed process leaves behind: nothing is flushed, closed or handed back.
                std::process::abort();
            }
            std::future::ready(Fault::Proceed)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<FailPoint, FailPointError> {
        FailPoint::read(text, false)
    }

    #[test]
    fn a_fail_point_is_a_point_a_service_a_step_and_a_time() {
        let expected = |step: Option<&str>, time| {
            let step = step.map(str::to_owned);
            Ok(FailPoint { point: Point::AfterEffect, service: "payment".into(), step, time })
        };
        assert_eq!(read("after-effect:payment"), expected(None, 1));
        assert_eq!(read("after-effect:payment:2"), expected(None, 2));
        assert_eq!(read("after-effect:payment:charge"), expected(Some("charge"), 1));
        assert_eq!(read("after-effect:payment:charge:3"), expected(Some("charge"), 3));
    }

    #[test]
    fn what_is_not_one_is_refused_with_the_list() {
        let wrong =
            ["", "after-effect", "after:payment", "after-effect:payment:0", "after-effect:a:b:c:1"];
        for text in wrong {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains("before-effect, before-call"), "{text}: {error}");
        }
    }

    #[test]
    fn a_release_build_refuses_each() {
        for text in ["after-effect:payment", "nonsense"] {
            assert_eq!(FailPoint::read(text, true), Err(FailPointError::Release));
        }
    }
}

//! A process that dies at a named point of a step, for tests of what happens then.

use std::str::FromStr;

use saga_engine::testing::{Fault, Faults, Place, Point};
use thiserror::Error;

/// A point of a step at which the process dies as by `kill -9`; written `after-effect:payment`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailPoint {
    point: Point,
    step: String,
}

/// Why a fail-point was refused.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum FailPointError {
    /// It is a release build.
    #[error("fail-points are for tests: a release build has none; unset JETSAGA_FAIL_POINT")]
    Release,
    /// It is not of the form POINT:STEP.
    #[error("{0:?} is not POINT:STEP; the points are {points}", points = names())]
    Unknown(String),
}

fn names() -> String {
    Point::ALL.map(Point::name).join(", ")
}

impl FromStr for FailPoint {
    type Err = FailPointError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !cfg!(debug_assertions) {
            return Err(FailPointError::Release);
        }
        let unknown = || FailPointError::Unknown(text.to_owned());
        let (name, step) = text.split_once(':').ok_or_else(unknown)?;
        let point = Point::ALL.into_iter().find(|point| point.name() == name);
        Ok(Self { point: point.ok_or_else(unknown)?, step: step.to_owned() })
    }
}

impl FailPoint {
    /// A hook that ends the process without any cleaning up once the point is reached.
    pub fn faults(self) -> Faults {
        Faults::new(move |place: Place| {
            if place.point == self.point && place.step == self.step {
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

    #[test]
    fn a_fail_point_is_a_point_and_a_step() {
        let expected = FailPoint { point: Point::AfterEffect, step: "payment".into() };
        assert_eq!("after-effect:payment".parse(), Ok(expected));
    }

    #[test]
    fn what_is_not_one_is_refused_with_the_list() {
        for text in ["", "after-effect", "after:payment"] {
            let error = text.parse::<FailPoint>().unwrap_err().to_string();
            assert!(error.contains("before-effect, before-call"), "{error}");
        }
    }
}

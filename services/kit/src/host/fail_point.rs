//! A process that dies at a named point of its work, for tests of what happens then.

use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};

use saga_engine::testing::{Fault, Faults, Place, Point};
use thiserror::Error;

/// A point of a service's work at which its process dies as by `kill -9`, written
/// `after-effect:payment`, or `after-effect:payment:2` when it dies only the second time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailPoint {
    point: Point,
    service: String,
    time: u32,
}

/// Why a fail-point was refused.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum FailPointError {
    /// It is a release build.
    #[error("fail-points are for tests: a release build has none; unset JETSAGA_FAIL_POINT")]
    Release,
    /// It is not of the form POINT:SERVICE or POINT:SERVICE:TIME.
    #[error(
        "{0:?} is not POINT:SERVICE or POINT:SERVICE:TIME; the points are {points}, times count \
         from 1",
        points = Point::ALL.map(Point::name).join(", ")
    )]
    Unknown(String),
}

impl FromStr for FailPoint {
    type Err = FailPointError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !cfg!(debug_assertions) {
            return Err(FailPointError::Release);
        }
        let read = || {
            let (name, rest) = text.split_once(':')?;
            let point = Point::ALL.into_iter().find(|point| point.name() == name)?;
            let (service, time) = rest.split_once(':').unwrap_or((rest, "1"));
            let time = time.parse().ok().filter(|time| *time > 0)?;
            Some(Self { point, service: service.to_owned(), time })
        };
        read().ok_or_else(|| FailPointError::Unknown(text.to_owned()))
    }
}

impl FailPoint {
    /// A hook that ends the process without any cleaning up once the point is reached.
    pub fn faults(self) -> Faults {
        let left = AtomicU32::new(self.time);
        Faults::new(move |place: Place| {
            let is_here = place.point == self.point && place.service == self.service;
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

    #[test]
    fn a_fail_point_is_a_point_a_service_and_a_time() {
        let expected =
            |time| FailPoint { point: Point::AfterEffect, service: "payment".into(), time };
        assert_eq!("after-effect:payment".parse(), Ok(expected(1)));
        assert_eq!("after-effect:payment:2".parse(), Ok(expected(2)));
    }

    #[test]
    fn what_is_not_one_is_refused_with_the_list() {
        for text in ["", "after-effect", "after:payment", "after-effect:payment:0"] {
            let error = text.parse::<FailPoint>().unwrap_err().to_string();
            assert!(error.contains("before-effect, before-call"), "{error}");
        }
    }
}

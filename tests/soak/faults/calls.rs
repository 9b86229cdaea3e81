//! Constant calls, and why some of them failed.

use super::course::Course;
use super::scene::{Route, link_to};
use super::weather::Window;
use crate::call::call;
use std::time::Duration;

/// Pause between two calls on one route.
const PAUSE: Duration = Duration::from_millis(60);
/// How long after the end of a fault a call may still come upon its traces, such as a connection that is being reset.
const TRACES: Duration = Duration::from_millis(500);
/// How long Envoy may leave a gateway out after it failed several times in a row, and the sweep that ends it
/// (`xds/translate`: at most 30 s, and 1 s), with a margin for a call that waits in it.
pub(crate) const LEFT_OUT: Duration = Duration::from_secs(32);
/// Most failures of one route that are kept; the others count as unexplained.
const MAX_KEPT: usize = 20_000;

/// A call that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) begin: Duration,
    pub(crate) end: Duration,
    pub(crate) why: String,
}

/// What came of the calls of one route.
#[derive(Debug)]
pub(crate) struct Called {
    pub(crate) route: Route,
    pub(crate) answered: u64,
    pub(crate) failed: u64,
    pub(crate) failures: Vec<Failure>,
    /// When a caller was answered that must not be.
    pub(crate) let_in: Option<Duration>,
}

/// Calls until the run is over.
pub(crate) fn keep_calling(route: &Route, course: &Course) -> Called {
    let mut called = Called {
        route: route.clone(),
        answered: 0,
        failed: 0,
        failures: Vec::new(),
        let_in: None,
    };
    while course.sleep(PAUSE) {
        let begin = course.clock();
        let result = call(route.port);
        let end = course.clock();
        match result {
            Ok(_) => {
                called.answered += 1;
                if !route.allowed {
                    called.let_in.get_or_insert(end);
                }
            }
            Err(error) => {
                called.failed += 1;
                if called.failures.len() < MAX_KEPT {
                    let why = format!("{error:#}");
                    called.failures.push(Failure { begin, end, why });
                }
            }
        }
    }
    called
}

/// Why a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Its path was broken.
    Broken,
    /// Its path had been broken so long ago, and Envoy may still leave it out.
    LeftOut(Duration),
    /// Nothing that we did.
    Unknown,
}

/// Why a call to a cluster failed. The death of a control plane is no reason: calls do not need one.
pub(crate) fn cause(to: &str, failure: &Failure, windows: &[Window]) -> Cause {
    let link = link_to(to);
    let mut latest = None;
    for window in windows
        .iter()
        .filter(|window| window.of == link && window.begin <= failure.end)
    {
        let Some(end) = window.end else {
            return Cause::Broken;
        };
        if failure.begin <= end + TRACES {
            return Cause::Broken;
        }
        latest = latest.max(Some(end));
    }
    match latest.map(|end| failure.begin.saturating_sub(end)) {
        Some(since) if since <= LEFT_OUT => Cause::LeftOut(since),
        _ => Cause::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn window(of: &str, begin: u64, end: Option<u64>) -> Window {
        Window {
            of: of.to_owned(),
            what: "closed",
            begin: at(begin),
            end: end.map(at),
        }
    }

    fn of(begin: u64, end: u64, windows: &[Window]) -> Cause {
        let failure = Failure {
            begin: at(begin),
            end: at(end),
            why: String::new(),
        };
        cause("west", &failure, windows)
    }

    #[test]
    fn only_a_fault_of_its_own_path_explains_a_failed_call() {
        let windows = [
            window("calls to-west", 10_000, Some(12_000)),
            window("calls to-east", 50_000, Some(60_000)),
            window("peering west-east", 50_000, None),
            window("server west", 50_000, None),
        ];
        assert_eq!(of(9_000, 9_999, &windows), Cause::Unknown);
        assert_eq!(of(9_000, 10_001, &windows), Cause::Broken);
        assert_eq!(of(11_000, 11_001, &windows), Cause::Broken);
        assert_eq!(of(12_400, 12_500, &windows), Cause::Broken);
        assert_eq!(of(14_000, 14_100, &windows), Cause::LeftOut(at(2_000)));
        assert_eq!(of(55_000, 55_100, &windows), Cause::Unknown);
        assert_eq!(of(1_000, 1_100, &[]), Cause::Unknown);
    }

    #[test]
    fn a_fault_that_lasts_explains_what_comes_after_its_beginning() {
        let windows = [window("calls to-west", 10_000, None)];
        assert_eq!(of(90_000, 90_100, &windows), Cause::Broken);
        assert_eq!(of(9_000, 9_100, &windows), Cause::Unknown);
    }
}

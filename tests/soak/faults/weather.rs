//! Which faults befall a link or a server, by seed, and when they did.

use super::course::Course;
use super::proxy::{Proxy, Weather};
use fastrand::Rng;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What crosses a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Crosses {
    /// The stream between two servers.
    Peering,
    /// Calls, on their way to the mesh gateway of a cluster.
    Calls,
}

/// One fault of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Connections break, new ones are made.
    Cut { reset: bool },
    /// Connections break for one end, the other one does not know.
    HalfOpen { deaf_dialer: bool, held: Duration },
    /// For so long.
    During(Weather, Duration),
}

impl Fault {
    /// The next fault of a link. What carries calls is broken for short times, for calls are what is looked at there;
    /// a peering sometimes for longer than its heartbeats and keepalives wait.
    pub(crate) fn next(random: &mut Rng, crosses: Crosses) -> Self {
        let millis = |random: &mut Rng, range: Range<u64>| Duration::from_millis(random.u64(range));
        let long = crosses == Crosses::Peering && random.u8(..100) < 12;
        let lasts = match (crosses, long) {
            (Crosses::Calls, _) => 300..6_000,
            (Crosses::Peering, false) => 500..30_000,
            (Crosses::Peering, true) => 60_000..150_000,
        };
        let lasts = millis(random, lasts);
        match random.u8(..100) {
            0..20 => Fault::Cut { reset: random.bool() },
            20..35 => Fault::HalfOpen {
                deaf_dialer: random.bool(),
                held: lasts,
            },
            35..55 => Fault::During(Weather::Closed, lasts),
            55..75 => Fault::During(Weather::Silent, lasts),
            75..90 => Fault::During(Weather::Slow(millis(random, 20..1_500)), lasts),
            _ => Fault::During(Weather::Narrow(random.usize(500..20_000)), lasts),
        }
    }

    /// What it is called in the report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Fault::Cut { .. } => "cut",
            Fault::HalfOpen { .. } => "half-open",
            Fault::During(Weather::Clear, _) => "clear",
            Fault::During(Weather::Closed, _) => "closed",
            Fault::During(Weather::Silent, _) => "silent",
            Fault::During(Weather::Slow(_), _) => "slow",
            Fault::During(Weather::Narrow(_), _) => "narrow",
        }
    }

    /// How long its traces last.
    fn lasts(self) -> Duration {
        match self {
            Fault::Cut { .. } => Duration::ZERO,
            Fault::HalfOpen { held, .. } => held,
            Fault::During(_, lasts) => lasts,
        }
    }
}

/// A fault that was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    /// The name of the link or of the server.
    pub(crate) of: String,
    pub(crate) what: &'static str,
    pub(crate) begin: Duration,
    /// `None` while it lasts.
    pub(crate) end: Option<Duration>,
}

/// All faults so far.
#[derive(Default)]
pub(crate) struct Almanac {
    windows: Mutex<Vec<Window>>,
}

impl Almanac {
    /// Takes note of the beginning of a fault; its number.
    pub(crate) fn begin(&self, of: &str, what: &'static str, course: &Course) -> usize {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        windows.push(Window {
            of: of.to_owned(),
            what,
            begin: course.clock(),
            end: None,
        });
        windows.len() - 1
    }

    /// Takes note of the end of a fault.
    pub(crate) fn end(&self, number: usize, course: &Course) {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(window) = windows.get_mut(number) {
            window.end = Some(course.clock());
        }
    }

    /// All of them.
    pub(crate) fn windows(&self) -> Vec<Window> {
        self.windows
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// How many of each.
    pub(crate) fn counts(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for window in self.windows() {
            let kind = window.of.split(' ').next().unwrap_or_default().to_owned();
            *counts.entry(format!("{kind} {}", window.what)).or_default() += 1;
        }
        counts
    }
}

/// Breaks one link again and again, with pauses, until the run is over; then it is clear.
pub(crate) fn befall(
    (name, proxy, crosses): (&str, &Proxy, Crosses),
    seed: u64,
    course: &Course,
    almanac: &Almanac,
) {
    let mut random = Rng::with_seed(seed);
    loop {
        let pause = Duration::from_millis(random.u64(4_000..30_000));
        if !course.sleep(pause) {
            break;
        }
        let fault = Fault::next(&mut random, crosses);
        let number = almanac.begin(name, fault.name(), course);
        match fault {
            Fault::Cut { reset } => proxy.cut(reset),
            Fault::HalfOpen { deaf_dialer, held } => proxy.half_open(deaf_dialer, held),
            Fault::During(weather, _) => proxy.set(weather),
        }
        course.sleep(fault.lasts());
        proxy.set(Weather::Clear);
        if matches!(fault, Fault::HalfOpen { .. }) {
            // What is still held, when the run is over before its time.
            proxy.release();
        }
        almanac.end(number, course);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_comes_and_the_same_seed_brings_the_same() {
        for crosses in [Crosses::Peering, Crosses::Calls] {
            let faults = |seed| {
                let mut random = Rng::with_seed(seed);
                (0..200)
                    .map(|_| Fault::next(&mut random, crosses))
                    .collect::<Vec<_>>()
            };
            let mut names: Vec<&str> = faults(1).into_iter().map(Fault::name).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names, ["closed", "cut", "half-open", "narrow", "silent", "slow"]);
            assert_eq!(faults(1), faults(1));
            assert_ne!(faults(1), faults(2));
        }
    }

    #[test]
    fn a_peering_is_sometimes_silent_for_longer_than_its_heartbeats_wait() {
        let mut random = Rng::with_seed(1);
        let all: Vec<Fault> = (0..1_000)
            .map(|_| Fault::next(&mut random, Crosses::Peering))
            .collect();
        let silent = all
            .iter()
            .filter(|fault| fault.name() == "silent" && fault.lasts() > Duration::from_secs(120));
        assert!(silent.count() > 0);
    }

    #[test]
    fn faults_are_counted_by_what_they_befell() {
        let (almanac, course) = (Almanac::default(), Course::begin());
        for of in ["peering east-west", "peering north-west", "server west"] {
            let number = almanac.begin(of, "cut", &course);
            almanac.end(number, &course);
        }
        almanac.begin("server west", "kill", &course);
        let counts = almanac.counts();
        let expected = [("peering cut", 2), ("server cut", 1), ("server kill", 1)];
        assert_eq!(
            counts,
            expected.map(|(name, count)| (name.to_owned(), count)).into()
        );
        let ended = almanac
            .windows()
            .iter()
            .filter(|window| window.end.is_some())
            .count();
        assert_eq!(ended, 3);
    }
}

//! From what is known of a stream to what an operator is told: is what we hold of the peer what it exports?

use super::Freshness;
use peerway_model::freshness::FreshnessState as State;
use std::time::Duration;

/// How long what was proven counts as fresh: two heartbeats each way (a proof needs one in each direction), and a
/// margin for slow networks.
pub const FRESH_FOR: Duration = Duration::from_secs(45);

/// A state with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The state.
    pub state: State,
    /// Why it is not active; empty when it is.
    pub reason: String,
    /// How old what we hold may be: since it was last proven. `None` when it never was.
    pub age: Option<Duration>,
}

impl Freshness {
    /// The state at `now`; `failure` is why there is no stream, if there is none.
    pub fn judge(&self, failure: Option<&str>, now: Duration) -> Judgement {
        let age = self.proven.map(|at| now.saturating_sub(at));
        let (state, reason) = match failure {
            Some(failure) => (State::Failing, failure.to_owned()),
            None => match self.problem() {
                Some(problem) => (State::Diverged, problem),
                None if !self.synced => (
                    State::Stale,
                    "the first synchronisation of the stream is under way".to_owned(),
                ),
                None if age.is_none_or(|age| age > FRESH_FOR) => (
                    State::Stale,
                    format!(
                        "no heartbeat has proven it for more than {} s",
                        FRESH_FOR.as_secs()
                    ),
                ),
                None => (State::Active, String::new()),
            },
        };
        Judgement { state, reason, age }
    }

    /// What is not held as the peer exports it.
    fn problem(&self) -> Option<String> {
        let first = |(what, why): (&String, &String), count: usize| match count {
            1 => format!("{what}: {why}"),
            _ => format!("{what}: {why} (and {} more)", count - 1),
        };
        if let Some(one) = self.diverged.first_key_value() {
            return Some(first(one, self.diverged.len()));
        }
        if self.digest_differs {
            return Some("what came from the peer is not all that it has sent".to_owned());
        }
        if let Some((what, why)) = self.refused.first_key_value() {
            // The refusal names the resource.
            return Some(match self.refused.len() {
                1 => why.clone(),
                count => format!("{why} (and {} more than {what})", count - 1),
            });
        }
        let withheld = self.withheld_by_peer.first_key_value()?;
        Some(format!(
            "the peer withholds {}",
            first(withheld, self.withheld_by_peer.len())
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn only_what_is_proven_and_whole_is_active() {
        let state = |freshness: &Freshness, now| freshness.judge(None, at(now)).state;
        let fresh = Freshness {
            synced: true,
            proven: Some(at(100)),
            ..Freshness::default()
        };
        let one = BTreeMap::from([("service \"web\"".to_owned(), "why".to_owned())]);
        assert_eq!(state(&fresh, 145), State::Active);
        assert_eq!(state(&fresh, 146), State::Stale);
        assert_eq!(fresh.judge(None, at(292)).age, Some(at(192)));
        let failing = fresh.judge(Some("gone"), at(110));
        assert_eq!((failing.state, failing.reason.as_str()), (State::Failing, "gone"));
        assert_eq!(failing.age, Some(at(10)));
        for broken in [
            Freshness {
                diverged: one.clone(),
                ..fresh.clone()
            },
            Freshness {
                refused: one.clone(),
                ..fresh.clone()
            },
            Freshness {
                withheld_by_peer: one,
                ..fresh.clone()
            },
            Freshness {
                digest_differs: true,
                ..fresh.clone()
            },
        ] {
            assert_eq!(state(&broken, 100), State::Diverged);
            assert!(!broken.judge(None, at(100)).reason.is_empty());
        }
        let young = Freshness {
            synced: false,
            ..fresh
        };
        assert_eq!(state(&young, 100), State::Stale);
        assert_eq!(state(&Freshness::default(), 0), State::Stale);
    }
}

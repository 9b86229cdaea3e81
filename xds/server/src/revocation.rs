//! When something was last taken away from callers.
//!
//! A policy is delivered by itself, so that its change leaves the connections of its listener alone. That is right for
//! whoever may still call. Where somebody may not any more, the listener is told apart from what it was ([`Mark`]):
//! Envoy then drains the connections that it has, and everybody who may call connects again. A gateway that stands for
//! several services has a chain for each, of which only those that decide by that policy are told apart.
//!
//! Nothing of it is stored. What a process has not seen happen it cannot tell from a revocation, so a policy that it
//! meets is marked with that moment. Who comes back with the same policies as those that are in force keeps its
//! listener, whatever the mark on it: nothing was taken away while it was gone. The process takes the mark over, so that
//! the next change of the policy does not look like more than it is.

use peerway_mesh::{Chain, Fragment, Lets, Traffic};
use peerway_state::Revision;
use peerway_xds_translate::{Dialect, version};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// Digits of the version of a policy in that of its listener.
const POLICY_DIGITS: usize = 16;
/// Policies whose versions are spelt out in that of their listener; of more a hash of them is. Should another compiler
/// bring another one, proxies are sent once what they already have.
const MAX_POLICIES_SPELT: usize = 2;

/// By the name of a policy.
#[derive(Default)]
pub(crate) struct Revocations {
    known: HashMap<String, Known>,
}

struct Known {
    newest: Arc<Fragment>,
    /// Of the newest.
    version: String,
    /// The revision that last took something away, as far as is known.
    since: Revision,
    /// How that is known.
    known_by: KnownBy,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum KnownBy {
    /// Not at all: this process has met the policy then.
    Meeting,
    /// By somebody who came back with it.
    Word,
    /// This process has seen it.
    Sight,
}

/// What tells a listener that decides about callers apart from itself with other policies.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Mark {
    /// The revisions since which connections are decided anew, by chain; 0 for one that decides about nobody.
    pub(crate) since: Vec<Revision>,
    /// The versions of the policies.
    policies: String,
}

impl Mark {
    /// The version of a listener with this content.
    pub(crate) fn version(&self, content: &str) -> String {
        let first = self.since.first();
        let since: Vec<String> = match self.since.iter().all(|since| Some(since) == first) {
            true => first.iter().map(ToString::to_string).collect(),
            false => self.since.iter().map(ToString::to_string).collect(),
        };
        format!("{content}.{}.{}", since.join("-"), self.policies)
    }
}

/// The revisions by chain that a version tells, for a listener of so many.
fn told(version: &str, chains: usize) -> Option<Vec<Revision>> {
    let text = version.split('.').nth(1)?;
    let since: Vec<Revision> = text.split('-').map(str::parse).collect::<Result<_, _>>().ok()?;
    match since.as_slice() {
        [one] => Some(vec![*one; chains]),
        several => (several.len() == chains).then_some(since),
    }
}

/// Whether a client that has the listener version `has` may keep it instead of `own`: the same content, under the same
/// policies.
pub(crate) fn is_held_as(own: &str, has: &str) -> bool {
    fn parts(version: &str) -> Option<(&str, &str)> {
        let (content, rest) = version.split_once('.')?;
        Some((content, rest.split_once('.')?.1))
    }
    parts(own).is_some_and(|own| parts(has) == Some(own))
}

impl Revocations {
    /// Takes note of a fragment that shows the state at a revision.
    pub(crate) fn look(&mut self, fragment: &Arc<Fragment>, at: Revision) {
        let Some(lets) = lets(fragment) else { return };
        let known = self.known.get(fragment.name());
        if known.is_some_and(|known| Arc::ptr_eq(&known.newest, fragment)) {
            return;
        }
        let (since, known_by) = match known {
            None => (at, KnownBy::Meeting),
            Some(known) if self::lets(&known.newest).is_some_and(|before| lets.still_lets(before)) => {
                (known.since, known.known_by)
            }
            Some(_) => (at, KnownBy::Sight),
        };
        let known = Known {
            newest: Arc::clone(fragment),
            // Any dialect tells policies apart.
            version: version(fragment, Dialect::From1_36),
            since,
            known_by,
        };
        self.known.insert(fragment.name().to_owned(), known);
    }

    /// The mark of a listener that decides about callers; `None` for all other fragments.
    pub(crate) fn mark(&self, fragment: &Fragment) -> Option<Mark> {
        let Fragment::Listener(listener) = fragment else {
            return None;
        };
        let mut digits: Vec<&str> = Vec::new();
        let mut since = Vec::new();
        for chain in &listener.chains {
            let known = policies(chain)
                .into_iter()
                .filter_map(|name| self.known.get(name));
            let mut newest = 0;
            for known in known {
                newest = known.since.max(newest);
                digits.push(known.version.get(..POLICY_DIGITS).unwrap_or(&known.version));
            }
            since.push(newest);
        }
        if digits.is_empty() {
            return None;
        }
        let policies = match digits.len() <= MAX_POLICIES_SPELT {
            true => digits.concat(),
            false => {
                let mut hasher = DefaultHasher::new();
                digits.hash(&mut hasher);
                format!("{:016x}", hasher.finish())
            }
        };
        Some(Mark { since, policies })
    }

    /// Takes note that somebody came with a listener of this version, which may stay. Of several the newest counts.
    pub(crate) fn came_with(&mut self, listener: &Fragment, content: &str, version: &str) {
        let (Fragment::Listener(held), Some(mark)) = (listener, self.mark(listener)) else {
            return;
        };
        if !is_held_as(&mark.version(content), version) {
            return;
        }
        let Some(told) = told(version, held.chains.len()) else {
            return;
        };
        for (chain, since) in held.chains.iter().zip(told) {
            for name in policies(chain) {
                let Some(known) = self.known.get_mut(name) else {
                    continue;
                };
                match known.known_by {
                    KnownBy::Meeting => known.since = since,
                    KnownBy::Word => known.since = known.since.max(since),
                    KnownBy::Sight => continue,
                }
                known.known_by = KnownBy::Word;
            }
        }
    }

    /// Forgets policies that nobody has any more.
    pub(crate) fn sweep(&mut self) {
        self.known.retain(|_, known| Arc::strong_count(&known.newest) > 1);
    }
}

/// The names of the policies that a chain decides by.
fn policies(chain: &Chain) -> Vec<&String> {
    match &chain.traffic {
        Traffic::Tcp(tcp) => tcp.policy.iter().collect(),
        Traffic::Http(http) => {
            let policy = http.policy.iter();
            policy
                .flat_map(|policy| {
                    [&policy.lines, &policy.requests]
                        .into_iter()
                        .chain(&policy.tokens)
                })
                .collect()
        }
    }
}

fn lets(fragment: &Fragment) -> Option<&Lets> {
    match fragment {
        Fragment::Policy(policy) => Some(&policy.lets),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use peerway_mesh::{
        Authorization, Caller, CallerPattern, Direction, Intake, Listener, Policy, Tcp, Telemetry,
    };
    use peerway_model::config::Pattern;
    use peerway_model::{Namespace, Partition, ServiceAddress, ServiceName, TrustDomain};

    fn pattern(name: &str) -> CallerPattern {
        CallerPattern {
            trust_domain: TrustDomain::new("a.consul").unwrap(),
            partition: Pattern::Exact(Partition::default()),
            namespace: Pattern::Exact(Namespace::default()),
            service: match name {
                "*" => Pattern::Any,
                name => Pattern::Exact(ServiceName::new(name).unwrap()),
            },
        }
    }

    /// Each caller is `name` or `name-except`.
    fn policy(callers: &[&str]) -> Arc<Fragment> {
        named("p", callers)
    }

    fn named(name: &str, callers: &[&str]) -> Arc<Fragment> {
        let caller = |text: &&str| {
            let (name, except) = text.split_once('-').map_or((*text, None), |(a, b)| (a, Some(b)));
            Caller {
                include: pattern(name),
                except: except.map(pattern).into_iter().collect(),
            }
        };
        Arc::new(Fragment::Policy(Policy {
            name: name.to_owned(),
            lets: Lets::Connections(Authorization {
                callers: callers.iter().map(caller).collect(),
            }),
        }))
    }

    fn listener() -> Fragment {
        deciding_by(&["p"])
    }

    fn deciding_by(policies: &[&str]) -> Fragment {
        Fragment::Listener(Listener {
            name: "l".to_owned(),
            address: ServiceAddress {
                address: "127.0.0.1".to_owned(),
                port: 1,
            },
            direction: Direction::Inbound,
            redirected: false,
            chains: policies
                .iter()
                .map(|policy| Chain {
                    server_names: Vec::new(),
                    destinations: Vec::new(),
                    tls: None,
                    serving: None,
                    stat_prefix: String::new(),
                    traffic: Traffic::Tcp(Tcp {
                        policy: Some((*policy).to_owned()),
                        cluster: "c".to_owned(),
                        server_first: false,
                    }),
                })
                .collect(),
            telemetry: Telemetry::default(),
            intake: Intake::default(),
        })
    }

    #[test]
    fn only_what_is_taken_away_counts() {
        let mut revocations = Revocations::default();
        assert_eq!(revocations.mark(&listener()), None);
        for (at, callers, since) in [
            (5, &["web"][..], 5),
            (6, &["web", "app"], 5),
            (7, &["app"], 7),
            (8, &["*"], 7),
            (9, &["*-web"], 9),
            // What was cut out stays cut out.
            (10, &["*-web", "web"], 9),
            (11, &["*-web"], 11),
            (12, &["*"], 11),
            (13, &[], 13),
        ] {
            revocations.look(&policy(callers), at);
            assert_eq!(
                revocations.mark(&listener()).map(|mark| mark.since),
                Some(vec![since]),
                "{callers:?}"
            );
        }
    }

    #[test]
    fn who_comes_back_keeps_its_listener_only_under_the_same_policies() {
        let version = |at, callers: &[&str], content: &str| {
            let mut revocations = Revocations::default();
            revocations.look(&policy(callers), at);
            revocations.mark(&listener()).unwrap().version(content)
        };
        let own = version(9, &["web"], "abc");
        assert!(is_held_as(&own, &version(2, &["web"], "abc")));
        assert!(!is_held_as(&own, &version(2, &["app"], "abc")));
        assert!(!is_held_as(&own, &version(2, &["web"], "abd")));
        for other in ["abc", "", "abc.9", "abc.9."] {
            assert!(!is_held_as(&own, other), "{other}");
        }
        assert!(!is_held_as("abc", "abc.9.f"));
    }

    #[test]
    fn the_mark_of_who_comes_back_is_taken_over_until_something_is_taken_away() {
        let mut revocations = Revocations::default();
        let since = |revocations: &Revocations| revocations.mark(&listener()).unwrap().since[0];
        revocations.look(&policy(&["web"]), 20);
        let told = |since: Revision, revocations: &Revocations| {
            let mark = revocations.mark(&listener()).unwrap();
            Mark {
                since: vec![since],
                ..mark
            }
            .version("abc")
        };
        revocations.came_with(&listener(), "abc", "abc.4.other");
        revocations.came_with(&listener(), "abd", &told(4, &revocations));
        assert_eq!(
            since(&revocations),
            20,
            "not of this policy, or not this listener"
        );
        for (came, expected) in [(4, 4), (7, 7), (5, 7)] {
            revocations.came_with(&listener(), "abc", &told(came, &revocations));
            assert_eq!(since(&revocations), expected);
        }
        revocations.look(&policy(&["web", "app"]), 21);
        assert_eq!(since(&revocations), 7);
        revocations.look(&policy(&["app"]), 22);
        revocations.came_with(&listener(), "abc", &told(9, &revocations));
        assert_eq!(since(&revocations), 22);
    }

    #[test]
    fn a_chain_is_told_apart_by_its_own_policy_only() {
        let gateway = deciding_by(&["p", "q", "r"]);
        let mut revocations = Revocations::default();
        for name in ["p", "q", "r"] {
            revocations.look(&named(name, &["web", "app"]), 5);
        }
        let mark = revocations.mark(&gateway).unwrap();
        assert_eq!(mark.since, [5, 5, 5]);
        assert!(mark.version("abc").starts_with("abc.5."));
        revocations.look(&named("q", &["web"]), 8);
        let mark = revocations.mark(&gateway).unwrap();
        assert_eq!(mark.since, [5, 8, 5]);
        let version = mark.version("abc");
        assert!(version.starts_with("abc.5-8-5."), "{version}");

        // Another process, which knows nothing of it, takes it over.
        let mut other = Revocations::default();
        for (name, callers) in [
            ("p", &["web", "app"][..]),
            ("q", &["web"]),
            ("r", &["web", "app"]),
        ] {
            other.look(&named(name, callers), 20);
        }
        assert!(is_held_as(
            &other.mark(&gateway).unwrap().version("abc"),
            &version
        ));
        other.came_with(&gateway, "abc", &version);
        assert_eq!(other.mark(&gateway).unwrap().since, [5, 8, 5]);
        // What is told of another number of chains is nothing.
        other.came_with(&gateway, "abc", &version.replace("5-8-5", "5-9"));
        assert_eq!(other.mark(&gateway).unwrap().since, [5, 8, 5]);
    }

    #[test]
    fn what_nobody_has_is_forgotten() {
        let mut revocations = Revocations::default();
        let held = policy(&["web"]);
        revocations.look(&held, 1);
        revocations.sweep();
        assert_eq!(revocations.known.len(), 1);
        drop(held);
        revocations.sweep();
        assert!(revocations.known.is_empty());
    }
}

//! The one meaning of intentions: the reference evaluator.
//!
//! Everything that enforces policy (the Envoy filters that `mesh` and `xds/translate` make) is tested against
//! [`decide`]. Rules: xDS facts, section 3.3.

mod request;

pub use request::Request;

use crate::config::{
    Action, ConfigKey, HeaderName, JwtRequirement, Member, Pattern, ServiceIntentions, Source, Verdict,
};
use crate::key::{Origin, ServiceKey};
use crate::name::{GroupName, Namespace, Partition, PeerName, ProviderName, ServiceName};
use std::collections::BTreeSet;
use std::fmt;

/// Callers that a rule is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Callers {
    /// The peer that they live in, or this cluster.
    pub origin: Origin,
    /// Their partition; `None` for a peer's, where the peer decides it.
    pub partition: Option<Partition>,
    /// Their namespace.
    pub namespace: Pattern<Namespace>,
    /// Their name.
    pub name: Pattern<ServiceName>,
}

impl Callers {
    /// The callers that a source of an entry is about: those of each member where it names a sameness group.
    fn of(source: &Source, members: impl Fn(&GroupName) -> Vec<Member>) -> Vec<Self> {
        let places = match (&source.group, &source.peer) {
            (Some(group), _) => members(group),
            (None, Some(peer)) => vec![Member::Peer(peer.clone())],
            (None, None) => vec![Member::Partition(source.partition.clone())],
        };
        let at = |place| {
            let (origin, partition) = match place {
                Member::Partition(partition) => (Origin::Local, Some(partition)),
                Member::Peer(peer) => (Origin::Peer(peer), None),
            };
            Callers {
                origin,
                partition,
                namespace: source.namespace.clone(),
                name: source.name.clone(),
            }
        };
        places.into_iter().map(at).collect()
    }

    /// Whether `caller` is one of them.
    pub fn include(&self, caller: &ServiceKey) -> bool {
        self.origin == caller.origin
            && self
                .partition
                .as_ref()
                .is_none_or(|partition| *partition == caller.partition)
            && self.namespace.matches(&caller.namespace)
            && self.name.matches(&caller.name)
    }

    /// Whether some caller may be in both.
    pub fn overlaps(&self, other: &Callers) -> bool {
        self.origin == other.origin
            && self.partition == other.partition
            && self.namespace.overlaps(&other.namespace)
            && self.name.overlaps(&other.name)
    }

    /// The peer that they live in.
    pub fn peer(&self) -> Option<&PeerName> {
        self.origin.peer()
    }
}

/// One rule on a destination.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// Whom it is about.
    pub callers: Callers,
    /// What happens to their calls.
    pub verdict: Verdict,
    /// A token that their requests need, or they are refused whatever the verdict says.
    pub jwt: Option<JwtRequirement>,
    /// A provider of tokens that the rule names and that is not there: the rule denies.
    pub missing: Option<ProviderName>,
    /// 9 (most exact) to 1.
    pub precedence: u8,
    /// The entry that it stands in.
    pub entry: ConfigKey,
}

/// The rules on `destination`, the deciding one of any two first. Of several rules about exactly the same callers
/// only the one of highest precedence is kept: it hides the others entirely. Where one names a peer or a partition and
/// another one a sameness group with that member, the first one is kept. `known` tells which providers of tokens the
/// partition of the destination has, `members` the members of a sameness group of it: none of one that is not there.
pub fn rules_for<'a>(
    entries: impl IntoIterator<Item = &'a ServiceIntentions>,
    destination: &ServiceKey,
    known: impl Fn(&ProviderName) -> bool,
    members: impl Fn(&GroupName) -> Vec<Member>,
) -> Vec<Rule> {
    let mut rules: Vec<(bool, Rule)> = entries
        .into_iter()
        .filter(|entry| {
            entry.partition == destination.partition
                && entry.namespace.matches(&destination.namespace)
                && entry.name.matches(&destination.name)
        })
        .flat_map(|entry| {
            let key = crate::ConfigEntry::ServiceIntentions(entry.clone()).key();
            let (known, members) = (&known, &members);
            entry.sources.iter().flat_map(move |source| {
                let key = key.clone();
                Callers::of(source, members).into_iter().map(move |callers| {
                    let rule = Rule {
                        callers,
                        verdict: source.verdict.clone(),
                        jwt: entry.jwt.clone(),
                        missing: named(entry, source).find(|name| !known(name)).cloned(),
                        precedence: entry.precedence(source),
                        entry: key.clone(),
                    };
                    (source.group.is_some(), rule)
                })
            })
        })
        .collect();
    // Stable: of two groups with the same member the one that the entry names first counts.
    rules.sort_by(|(of_group, a), (of_other, b)| {
        b.precedence
            .cmp(&a.precedence)
            .then_with(|| (&a.callers, of_group, &a.entry).cmp(&(&b.callers, of_other, &b.entry)))
    });
    let mut kept: Vec<Rule> = Vec::with_capacity(rules.len());
    let mut seen = std::collections::BTreeSet::new();
    for (_, rule) in rules {
        if seen.insert(rule.callers.clone()) {
            kept.push(rule);
        }
    }
    kept
}

/// The providers of tokens that a source names, or its entry for all sources.
fn named<'a>(entry: &'a ServiceIntentions, source: &'a Source) -> impl Iterator<Item = &'a ProviderName> {
    let permissions = source.verdict.permissions().iter();
    let own = permissions.filter_map(|permission| permission.jwt.as_ref());
    own.chain(&entry.jwt).flat_map(JwtRequirement::providers)
}

/// The headers that some permission of `rules` looks at, sorted.
///
/// A request that has one of them in several lines is refused: which of the lines the application believes is not
/// known, and Envoy compares them joined in one version and one by one in another.
pub fn looked_at(rules: &[Rule]) -> BTreeSet<HeaderName> {
    rules
        .iter()
        .flat_map(|rule| rule.verdict.permissions())
        .flat_map(|permission| &permission.http.headers)
        .map(|header| header.name.clone())
        .collect()
}

/// What was decided and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether the call goes on.
    pub action: Action,
    /// The rule that decided, or that left it to the default; `None` when no rule is about the caller, and when the
    /// request was refused before rules were looked at.
    pub by: Option<Rule>,
    /// Why.
    pub why: Why,
}

/// Why something was decided. Displays as a sentence; [`Why::code`] is for programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// No rule is about the caller.
    NoRule,
    /// The rule treats all calls alike.
    Rule,
    /// This permission of the rule is the first that the request fits.
    Permission(usize),
    /// The rule has permissions, and the request fits none.
    NoPermission,
    /// The rule has permissions, and there are no requests: the service does not speak HTTP.
    NoRequests,
    /// The request has several lines of this header, and a permission looks at it.
    SeveralLines(HeaderName),
    /// The entry of the rule wants a token that the request does not carry.
    NoToken(JwtRequirement),
    /// The rule names this provider of tokens, which is not there.
    NoProvider(ProviderName),
}

impl Why {
    /// One of `no-rule`, `rule`, `permission`, `no-permission`, `no-requests`, `several-lines`, `no-token`,
    /// `no-provider`.
    pub fn code(&self) -> &'static str {
        match self {
            Why::NoRule => "no-rule",
            Why::Rule => "rule",
            Why::Permission(_) => "permission",
            Why::NoPermission => "no-permission",
            Why::NoRequests => "no-requests",
            Why::SeveralLines(_) => "several-lines",
            Why::NoToken(_) => "no-token",
            Why::NoProvider(_) => "no-provider",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::NoRule => f.write_str("no intention is about this caller, so the default decides"),
            Why::Rule => f.write_str("the intention treats all calls of this caller alike"),
            Why::Permission(index) => write!(f, "the request fits Permissions[{index}] of the intention"),
            Why::NoPermission => {
                f.write_str("the request fits no permission of the intention, so the default decides")
            }
            Why::NoToken(jwt) => {
                let names: Vec<&str> = jwt.providers().map(ProviderName::as_str).collect();
                write!(
                    f,
                    "the intention wants a JSON Web Token of {} with the claims that it names, which the request does not carry",
                    names.join(" or ")
                )
            }
            Why::NoProvider(name) => write!(
                f,
                "the intention names the jwt-provider {name}, which does not exist, so it denies"
            ),
            Why::NoRequests => f.write_str(
                "the intention has permissions or wants a JSON Web Token, but the service does not speak http, http2 or grpc, so it denies",
            ),
            Why::SeveralLines(name) => write!(
                f,
                "the request has several lines of the header {name}, which a permission looks at, so it is refused"
            ),
        }
    }
}

/// Decides about a call: the first of `rules` (as ordered by [`rules_for`]) that includes the caller, else `default`.
/// `request` is `None` where the destination does not speak HTTP.
pub fn decide(rules: &[Rule], default: Action, caller: &ServiceKey, request: Option<&Request>) -> Decision {
    if let Some(request) = request
        && let Some(name) = looked_at(rules)
            .into_iter()
            .find(|name| request.lines(name).count() > 1)
    {
        return Decision {
            action: Action::Deny,
            by: None,
            why: Why::SeveralLines(name),
        };
    }
    let Some(rule) = rules.iter().find(|rule| rule.callers.include(caller)) else {
        return Decision {
            action: default,
            by: None,
            why: Why::NoRule,
        };
    };
    if let Some(name) = &rule.missing {
        return Decision {
            action: Action::Deny,
            by: Some(rule.clone()),
            why: Why::NoProvider(name.clone()),
        };
    }
    if let Some(jwt) = request.and_then(|request| unmet(rule, request)) {
        return Decision {
            action: Action::Deny,
            by: Some(rule.clone()),
            why: Why::NoToken(jwt),
        };
    }
    let (action, why) = match (&rule.verdict, request) {
        (_, None) if rule.jwt.is_some() => (Action::Deny, Why::NoRequests),
        (Verdict::Always(action), _) => (*action, Why::Rule),
        (Verdict::ByRequest(_), None) => (Action::Deny, Why::NoRequests),
        (Verdict::ByRequest(permissions), Some(request)) => {
            match permissions.iter().position(|permission| request.fits(permission)) {
                Some(index) => (permissions[index].action, Why::Permission(index)),
                None => (default, Why::NoPermission),
            }
        }
    };
    Decision {
        action,
        by: Some(rule.clone()),
        why,
    }
}

/// The token that a rule wants and a request does not carry.
fn unmet(rule: &Rule, request: &Request) -> Option<JwtRequirement> {
    let jwt = rule.jwt.as_ref()?;
    (!jwt.is_met_by(&request.tokens)).then(|| jwt.clone())
}

#[cfg(test)]
mod tests;

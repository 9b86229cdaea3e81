//! The one meaning of intentions: the reference evaluator.
//!
//! Everything that enforces policy (the Envoy filters that `mesh` and `xds/translate` make) is tested against
//! [`decide`]. Rules: xDS facts, section 3.3.

use crate::config::{Action, ConfigKey, Pattern, ServiceIntentions, Source};
use crate::key::{Origin, ServiceKey};
use crate::name::{Namespace, Partition, PeerName, ServiceName};

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
    /// The callers that a source of an entry is about.
    pub fn of(source: &Source) -> Self {
        Callers {
            origin: source.peer.clone().map_or(Origin::Local, Origin::Peer),
            partition: source.peer.is_none().then(|| source.partition.clone()),
            namespace: source.namespace.clone(),
            name: source.name.clone(),
        }
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
    pub action: Action,
    /// 9 (most exact) to 1.
    pub precedence: u8,
    /// The entry that it stands in.
    pub entry: ConfigKey,
}

/// The rules on `destination`, the deciding one of any two first. Of several rules about exactly the same callers
/// only the one of highest precedence is kept: it hides the others entirely.
pub fn rules_for<'a>(
    entries: impl IntoIterator<Item = &'a ServiceIntentions>,
    destination: &ServiceKey,
) -> Vec<Rule> {
    let mut rules: Vec<Rule> = entries
        .into_iter()
        .filter(|entry| {
            entry.partition == destination.partition
                && entry.namespace.matches(&destination.namespace)
                && entry.name.matches(&destination.name)
        })
        .flat_map(|entry| {
            let key = crate::ConfigEntry::ServiceIntentions(entry.clone()).key();
            entry.sources.iter().map(move |source| Rule {
                callers: Callers::of(source),
                action: source.action,
                precedence: entry.precedence(source),
                entry: key.clone(),
            })
        })
        .collect();
    rules.sort_by(|a, b| {
        b.precedence
            .cmp(&a.precedence)
            .then_with(|| (&a.callers, &a.entry).cmp(&(&b.callers, &b.entry)))
    });
    let mut kept: Vec<Rule> = Vec::with_capacity(rules.len());
    let mut seen = std::collections::BTreeSet::new();
    for rule in rules {
        if seen.insert(rule.callers.clone()) {
            kept.push(rule);
        }
    }
    kept
}

/// What was decided and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether the call goes on.
    pub action: Action,
    /// The rule that decided; `None` when the default did.
    pub by: Option<Rule>,
}

/// Decides about a call: the first of `rules` (as ordered by [`rules_for`]) that includes the caller, else `default`.
pub fn decide(rules: &[Rule], default: Action, caller: &ServiceKey) -> Decision {
    match rules.iter().find(|rule| rule.callers.include(caller)) {
        Some(rule) => Decision {
            action: rule.action,
            by: Some(rule.clone()),
        },
        None => Decision {
            action: default,
            by: None,
        },
    }
}

#[cfg(test)]
mod tests;

//! Findings that somebody depends on, and the index of who depends on what.

use super::{Finding, FindingKey, find};
use crate::fragment_key::FragmentKey;
use crate::read::{Dependency, Reading};
use peerway_model::config::Action;
use peerway_model::{InstanceKey, PeeringKey};
use peerway_state::{Snapshot, Topic};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// Something built from what it read. The order is the order of upkeep.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Dependent {
    /// A finding.
    Finding(FindingKey),
    /// The shape of a proxy.
    Shape(Arc<InstanceKey>),
    /// A fragment.
    Fragment(Arc<FragmentKey>),
}

struct Held {
    answer: Finding,
    reads: HashSet<Dependency>,
}

/// All findings that somebody depends on, and the index.
pub(crate) struct Findings {
    default: Action,
    /// The peers of whom what is held is too old.
    stale: BTreeSet<PeeringKey>,
    held: HashMap<FindingKey, Held>,
    index: HashMap<Dependency, HashSet<Dependent>>,
    orphans: Vec<FindingKey>,
    built: u64,
}

impl Findings {
    /// None yet; `default` is what happens to callers about whom no intention says anything.
    pub(crate) fn new(default: Action) -> Self {
        Findings {
            default,
            stale: BTreeSet::new(),
            held: HashMap::new(),
            index: HashMap::new(),
            orphans: Vec::new(),
            built: 0,
        }
    }

    /// What happens to callers about whom no intention says anything.
    pub(crate) fn default_action(&self) -> Action {
        self.default
    }

    /// The peers of whom what is held is too old.
    pub(crate) fn stale(&self) -> &BTreeSet<PeeringKey> {
        &self.stale
    }

    /// Replaces them; returns who depends on one whose state is another one now.
    pub(crate) fn judge(&mut self, stale: BTreeSet<PeeringKey>) -> BTreeSet<Dependent> {
        let turned: Vec<PeeringKey> = self.stale.symmetric_difference(&stale).cloned().collect();
        self.stale = stale;
        turned
            .into_iter()
            .filter_map(|peering| self.index.get(&Dependency::Age(peering)))
            .flatten()
            .cloned()
            .collect()
    }

    /// The answer, found now unless it is already held.
    pub(crate) fn answer(&mut self, snapshot: &Snapshot, key: &FindingKey) -> Finding {
        if let Some(held) = self.held.get(key) {
            return held.answer.clone();
        }
        let (answer, reads) = self.build(snapshot, key);
        self.reindex(&Dependent::Finding(key.clone()), &HashSet::new(), &reads);
        // Whoever asks has not been indexed yet; if it never is, the next sweep takes this one.
        self.orphans.push(key.clone());
        let held = Held {
            answer: answer.clone(),
            reads,
        };
        self.held.insert(key.clone(), held);
        answer
    }

    /// Finds again what is held; whether the answer is another one.
    pub(crate) fn refresh(&mut self, snapshot: &Snapshot, key: &FindingKey) -> bool {
        let Some(before) = self.held.remove(key) else {
            return false;
        };
        let (answer, reads) = self.build(snapshot, key);
        self.reindex(&Dependent::Finding(key.clone()), &before.reads, &reads);
        let changed = answer != before.answer;
        let answer = if changed { answer } else { before.answer };
        self.held.insert(key.clone(), Held { answer, reads });
        changed
    }

    fn build(&mut self, snapshot: &Snapshot, key: &FindingKey) -> (Finding, HashSet<Dependency>) {
        self.built += 1;
        Reading::record(snapshot, self, |reading| find(key, reading))
    }

    /// Replaces what `dependent` depends on.
    pub(crate) fn reindex(
        &mut self,
        dependent: &Dependent,
        before: &HashSet<Dependency>,
        after: &HashSet<Dependency>,
    ) {
        for gone in before.difference(after) {
            let Some(dependents) = self.index.get_mut(gone) else {
                continue;
            };
            dependents.remove(dependent);
            if dependents.is_empty() {
                self.index.remove(gone);
                if let Dependency::Finding(key) = gone {
                    self.orphans.push(key.clone());
                }
            }
        }
        for new in after.difference(before) {
            self.index
                .entry(new.clone())
                .or_default()
                .insert(dependent.clone());
        }
    }

    /// Drops findings that nobody depends on.
    pub(crate) fn sweep(&mut self) {
        while let Some(key) = self.orphans.pop() {
            if self.index.contains_key(&Dependency::Finding(key.clone())) {
                continue;
            }
            if let Some(held) = self.held.remove(&key) {
                self.reindex(&Dependent::Finding(key), &held.reads, &HashSet::new());
            }
        }
    }

    /// Who depends on a topic.
    pub(crate) fn readers_of(&self, topic: &Topic) -> impl Iterator<Item = &Dependent> {
        self.index
            .get(&Dependency::Topic(topic.clone()))
            .into_iter()
            .flatten()
    }

    /// Who depends on a finding.
    pub(crate) fn dependents_of(&self, key: &FindingKey) -> impl Iterator<Item = &Dependent> {
        self.index
            .get(&Dependency::Finding(key.clone()))
            .into_iter()
            .flatten()
    }

    /// The keys of all that are held, in no order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &FindingKey> {
        self.held.keys()
    }

    /// How many are held.
    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    /// How often one was found, since the beginning.
    pub(crate) fn built(&self) -> u64 {
        self.built
    }
}

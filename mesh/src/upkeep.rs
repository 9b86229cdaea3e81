//! Upkeep: views that follow the state, rebuilding only what read something that changed.

use crate::finding::{Dependent, Findings};
use crate::fragment::{Fragment, View};
use crate::fragment_key::FragmentKey;
use crate::pieces;
use crate::read::{Dependency, Reading};
use crate::shape::{Shape, shape};
use peerway_model::config::Action;
use peerway_model::{InstanceKey, PeeringKey, SpiffeId};
use peerway_state::{ChangeSet, Snapshot};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// Views of the watched proxies, kept as the state changes. One owner drives it; it is not meant to be shared.
pub struct Mesh {
    snapshot: Arc<Snapshot>,
    findings: Findings,
    fragments: HashMap<Arc<FragmentKey>, HeldFragment>,
    proxies: BTreeMap<Arc<InstanceKey>, HeldProxy>,
    /// Fragments whose last user has given them back in this round; another proxy may still take them.
    unused: Vec<Arc<FragmentKey>>,
    shapes_rebuilt: u64,
    fragments_rebuilt: u64,
}

/// How much is kept and how much work it took. The work is counted since the start and never goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Watched proxies, registered or not.
    pub proxies: usize,
    /// Fragments that some watched proxy needs.
    pub fragments: usize,
    /// Facts between state and fragments that something depends on.
    pub findings: usize,
    /// How often a shape was built.
    pub shapes_rebuilt: u64,
    /// How often a fragment was built.
    pub fragments_rebuilt: u64,
    /// How often a finding was made.
    pub findings_rebuilt: u64,
}

/// A proxy whose view became another one, and the new view; `None` when it has none any more.
pub type Changed = (InstanceKey, Option<Arc<View>>);

struct HeldFragment {
    value: Option<Arc<Fragment>>,
    reads: HashSet<Dependency>,
    users: HashSet<Arc<InstanceKey>>,
}

#[derive(Default)]
struct HeldProxy {
    identity: Option<SpiffeId>,
    dns_names: Vec<String>,
    leaves: Arc<[(String, SpiffeId)]>,
    keys: Vec<Arc<FragmentKey>>,
    reads: HashSet<Dependency>,
    view: Option<Arc<View>>,
    /// Whether two fragments of the shape want one place in the view, so that one of them is not in it.
    crowded: bool,
}

/// What happened to a proxy during one round of upkeep.
#[derive(Default)]
struct Touched {
    /// The view has to be put together anew.
    anew: bool,
    /// Fragments that only got other content.
    replaced: Vec<Arc<Fragment>>,
}

impl Mesh {
    /// No proxies yet, at `snapshot`. Callers about whom no intention says anything are refused.
    pub fn new(snapshot: Arc<Snapshot>) -> Self {
        Mesh::with_default(snapshot, Action::Deny)
    }

    /// The same, but this happens to callers about whom no intention says anything.
    pub fn with_default(snapshot: Arc<Snapshot>, default: Action) -> Self {
        Mesh {
            snapshot,
            findings: Findings::new(default),
            fragments: HashMap::new(),
            proxies: BTreeMap::new(),
            unused: Vec::new(),
            shapes_rebuilt: 0,
            fragments_rebuilt: 0,
        }
    }

    /// Starts keeping the view of a proxy and returns it: `None` while the proxy is not registered here as a sidecar
    /// or gateway, or the cluster has no roots; [`Mesh::update`] tells when that changes. Watching twice is the
    /// same as watching once.
    pub fn watch(&mut self, proxy: &InstanceKey) -> Option<Arc<View>> {
        if let Some(held) = self.proxies.get(proxy) {
            return held.view.clone();
        }
        let key = Arc::new(proxy.clone());
        self.proxies.insert(key.clone(), HeldProxy::default());
        self.reshape(&key);
        let view = self.assemble(&key);
        if let Some(held) = self.proxies.get_mut(&key) {
            held.view.clone_from(&view);
        }
        self.sweep();
        view
    }

    /// Stops keeping the view of a proxy and drops what nobody else needs. Does nothing for an unknown proxy.
    pub fn unwatch(&mut self, proxy: &InstanceKey) {
        let Some((key, held)) = self.proxies.remove_entry(proxy) else {
            return;
        };
        self.findings
            .reindex(&Dependent::Shape(key.clone()), &held.reads, &HashSet::new());
        for fragment in &held.keys {
            self.release(fragment, &key);
        }
        self.sweep();
    }

    /// Goes on to `snapshot`, which differs from the one before by `changes`, and returns exactly the proxies whose
    /// view differs, by key. Fragments with the same content keep their `Arc`.
    pub fn update(&mut self, snapshot: Arc<Snapshot>, changes: &ChangeSet) -> Vec<Changed> {
        self.snapshot = snapshot;
        let mut dirty = BTreeSet::new();
        for topic in changes.iter() {
            dirty.extend(self.findings.readers_of(topic).cloned());
        }
        self.settle(dirty)
    }

    /// Goes on to `snapshot`, from which anything may differ. Returns what [`Mesh::update`] returns; what turns out
    /// equal keeps its `Arc` all the same.
    pub fn reload(&mut self, snapshot: Arc<Snapshot>) -> Vec<Changed> {
        self.snapshot = snapshot;
        let findings = self.findings.keys().cloned().map(Dependent::Finding);
        let shapes = self.proxies.keys().cloned().map(Dependent::Shape);
        let fragments = self.fragments.keys().cloned().map(Dependent::Fragment);
        let dirty = findings.chain(shapes).chain(fragments).collect();
        self.settle(dirty)
    }

    /// Says of which peers what is held is so old that nobody knows any more how they are; none at first. Not a matter
    /// of the snapshot, since time makes it so. Returns what [`Mesh::update`] returns.
    pub fn judge(&mut self, stale: BTreeSet<PeeringKey>) -> Vec<Changed> {
        let dirty = self.findings.judge(stale);
        self.settle(dirty)
    }

    /// The revision of the snapshot that it is at.
    pub fn revision(&self) -> u64 {
        self.snapshot.revision()
    }

    /// The view of a watched proxy.
    pub fn view(&self, proxy: &InstanceKey) -> Option<Arc<View>> {
        self.proxies.get(proxy)?.view.clone()
    }

    /// How much is kept and how much work it took.
    pub fn stats(&self) -> Stats {
        Stats {
            proxies: self.proxies.len(),
            fragments: self.fragments.len(),
            findings: self.findings.len(),
            shapes_rebuilt: self.shapes_rebuilt,
            fragments_rebuilt: self.fragments_rebuilt,
            findings_rebuilt: self.findings.built(),
        }
    }

    /// All fragments, in no order.
    #[cfg(test)]
    pub(crate) fn held(&self) -> impl Iterator<Item = (FragmentKey, Arc<Fragment>)> {
        self.fragments
            .iter()
            .filter_map(|(key, held)| Some((FragmentKey::clone(key), held.value.clone()?)))
    }

    /// Rebuilds what is dirty, in the order of [`Dependent`]: findings first, each after what it reads, then shapes,
    /// then fragments. A changed answer makes its dependents dirty, and they all come later in that order.
    fn settle(&mut self, mut dirty: BTreeSet<Dependent>) -> Vec<Changed> {
        let mut touched: BTreeMap<Arc<InstanceKey>, Touched> = BTreeMap::new();
        while let Some(next) = dirty.pop_first() {
            match next {
                Dependent::Finding(key) => {
                    if self.findings.refresh(&self.snapshot, &key) {
                        dirty.extend(self.findings.dependents_of(&key).cloned());
                    }
                }
                Dependent::Shape(proxy) => {
                    if self.reshape(&proxy) {
                        touched.entry(proxy).or_default().anew = true;
                    }
                }
                Dependent::Fragment(key) => self.refresh_fragment(&key, &mut touched),
            }
        }
        let changed = touched
            .into_iter()
            .filter_map(|(proxy, how)| self.finish(&proxy, &how))
            .collect();
        self.sweep();
        changed
    }

    /// Builds the shape of a proxy and takes and gives back fragments accordingly; whether it is another one.
    fn reshape(&mut self, proxy: &Arc<InstanceKey>) -> bool {
        let Some(held) = self.proxies.get_mut(proxy) else {
            return false;
        };
        self.shapes_rebuilt += 1;
        let (built, reads) = Reading::record(&self.snapshot, &mut self.findings, |reading| {
            shape(proxy, reading)
        });
        self.findings
            .reindex(&Dependent::Shape(proxy.clone()), &held.reads, &reads);
        held.reads = reads;
        let (identity, dns_names, leaves, wanted) = match built {
            Some(Shape {
                identity,
                dns_names,
                leaves,
                keys,
            }) => (Some(identity), dns_names, leaves, keys),
            None => (None, Vec::new(), Vec::new(), Vec::new()),
        };
        let same_keys = held.keys.iter().map(|key| &**key).eq(&wanted);
        let same_leaves = held.dns_names == dns_names && *held.leaves == *leaves;
        if same_keys && held.identity == identity && same_leaves {
            return false;
        }
        held.identity = identity;
        held.dns_names = dns_names;
        held.leaves = leaves.into();
        let before = std::mem::take(&mut held.keys);
        // Taken before the others are given back, so that what stays is not built again.
        let after: Vec<Arc<FragmentKey>> = wanted.into_iter().map(|key| self.acquire(key, proxy)).collect();
        let stays: HashSet<&FragmentKey> = after.iter().map(|key| &**key).collect();
        for key in before.iter().filter(|key| !stays.contains(&***key)) {
            self.release(key, proxy);
        }
        if let Some(held) = self.proxies.get_mut(proxy) {
            held.keys = after;
        }
        true
    }

    fn acquire(&mut self, key: FragmentKey, user: &Arc<InstanceKey>) -> Arc<FragmentKey> {
        if let Some((key, _)) = self.fragments.get_key_value(&key) {
            let key = key.clone();
            if let Some(held) = self.fragments.get_mut(&key) {
                held.users.insert(user.clone());
            }
            return key;
        }
        let key = Arc::new(key);
        let (built, reads) = self.build(&key);
        self.findings
            .reindex(&Dependent::Fragment(key.clone()), &HashSet::new(), &reads);
        let held = HeldFragment {
            value: built.map(Arc::new),
            reads,
            users: HashSet::from([user.clone()]),
        };
        self.fragments.insert(key.clone(), held);
        key
    }

    fn release(&mut self, key: &Arc<FragmentKey>, user: &Arc<InstanceKey>) {
        let Some(held) = self.fragments.get_mut(key) else {
            return;
        };
        held.users.remove(user);
        if held.users.is_empty() {
            self.unused.push(key.clone());
        }
    }

    /// Drops fragments and findings that nobody needs at the end of a round.
    fn sweep(&mut self) {
        for key in std::mem::take(&mut self.unused) {
            if self.fragments.get(&key).is_some_and(|held| held.users.is_empty())
                && let Some(held) = self.fragments.remove(&key)
            {
                self.findings
                    .reindex(&Dependent::Fragment(key), &held.reads, &HashSet::new());
            }
        }
        self.findings.sweep();
    }

    fn build(&mut self, key: &FragmentKey) -> (Option<Fragment>, HashSet<Dependency>) {
        self.fragments_rebuilt += 1;
        Reading::record(&self.snapshot, &mut self.findings, |reading| {
            pieces::build(key, reading)
        })
    }

    fn refresh_fragment(
        &mut self,
        key: &Arc<FragmentKey>,
        touched: &mut BTreeMap<Arc<InstanceKey>, Touched>,
    ) {
        // Shapes are done by now: what has no users will have none.
        if self.fragments.get(key).is_none_or(|held| held.users.is_empty()) {
            return;
        }
        let (built, reads) = self.build(key);
        let Some(held) = self.fragments.get_mut(key) else {
            return;
        };
        self.findings
            .reindex(&Dependent::Fragment(key.clone()), &held.reads, &reads);
        held.reads = reads;
        if held.value.as_deref() == built.as_ref() {
            return;
        }
        let before = std::mem::replace(&mut held.value, built.map(Arc::new));
        let replaced = match (before, &held.value) {
            (Some(before), Some(after)) if place(&before) == place(after) => Some(after.clone()),
            _ => None,
        };
        for user in &held.users {
            let how = touched.entry(user.clone()).or_default();
            match &replaced {
                Some(after) => how.replaced.push(after.clone()),
                None => how.anew = true,
            }
        }
    }

    /// Brings the view of a touched proxy up to date; the view if it differs from the one before.
    fn finish(&mut self, proxy: &Arc<InstanceKey>, how: &Touched) -> Option<Changed> {
        let held = self.proxies.get(proxy)?;
        let after = match &held.view {
            Some(view) if !how.anew && !held.crowded => Some(replace(view, &how.replaced)),
            _ => self.assemble(proxy),
        };
        let held = self.proxies.get_mut(proxy)?;
        if held.view == after {
            return None;
        }
        held.view.clone_from(&after);
        Some(((**proxy).clone(), after))
    }

    /// Puts the view of a proxy together from its fragments.
    fn assemble(&mut self, proxy: &InstanceKey) -> Option<Arc<View>> {
        let held = self.proxies.get_mut(proxy)?;
        held.crowded = false;
        let identity = held.identity.clone()?;
        let dns_names = held.dns_names.clone();
        let leaves = held.leaves.clone();
        let mut fragments: Vec<Arc<Fragment>> = held
            .keys
            .iter()
            .filter_map(|key| self.fragments.get(key)?.value.clone())
            .collect();
        let built = fragments.len();
        // Stable, so of two with the same place the first of the shape stays.
        fragments.sort_by(|a, b| place(a).cmp(&place(b)));
        fragments.dedup_by(|later, earlier| place(later) == place(earlier));
        held.crowded = fragments.len() < built;
        Some(Arc::new(View {
            identity,
            dns_names,
            leaves,
            fragments,
        }))
    }
}

/// Where a fragment stands in a view.
fn place(fragment: &Fragment) -> (crate::FragmentKind, &str) {
    (fragment.kind(), fragment.name())
}

/// The same view with other content at a few places: the common case, and cheap for large views. Only for views that
/// are not crowded: there, each place belongs to one fragment.
fn replace(view: &View, replaced: &[Arc<Fragment>]) -> Arc<View> {
    let mut next = view.clone();
    for after in replaced {
        let at = next
            .fragments
            .binary_search_by(|held| place(held).cmp(&place(after)));
        if let Ok(at) = at
            && let Some(held) = next.fragments.get_mut(at)
        {
            *held = after.clone();
        }
    }
    Arc::new(next)
}

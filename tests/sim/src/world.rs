//! The scheduler: all clusters, all connections, one queue of events.

use crate::cluster::Cluster;
use crate::content;
use crate::event::Event;
use crate::ledger::{Introductions, Pair, Promises, Versions};
use crate::network::Connection;
use crate::random::{Random, hash};
use crate::rows;
use crate::task::{Task, monotonic};
use crate::{Counts, MAX_LINES, Sabotage, Violation};
use peerway_peering_link::parts::Claim;
use peerway_state::{ChangeSet, Op, Row, RowChange, RowKey, Topic, Transaction};
use std::collections::BTreeMap;

/// The end of a history on which an invariant does not hold, or on which the harness itself cannot go on.
pub(crate) type Outcome<T = ()> = Result<T, Violation>;

/// How old what is called fresh may be: what the link says, and what a commit takes until a slow task has heard of it.
/// In milliseconds.
const FRESH_ENOUGH: u64 = 45_000 + 10_000;

/// How long it may take until somebody notices that a service is lost. In milliseconds.
const NOTICED: u64 = 5_000;

/// Everything there is in one history.
pub(crate) struct World {
    pub(crate) random: Random,
    /// Milliseconds since the beginning.
    pub(crate) now: u64,
    queue: BTreeMap<(u64, u64), Event>,
    numbers: u64,
    pub(crate) steps: u64,
    pub(crate) clusters: Vec<Cluster>,
    pub(crate) tasks: BTreeMap<u64, Task>,
    pub(crate) connections: BTreeMap<u64, Connection>,
    /// Until when nothing crosses between two clusters.
    pub(crate) blocked: BTreeMap<Pair, u64>,
    /// Pairs that were connected before.
    pub(crate) met: BTreeMap<Pair, u64>,
    pub(crate) versions: BTreeMap<Pair, Versions>,
    pub(crate) introductions: Introductions,
    pub(crate) promises: Promises,
    /// What the calls that establish a peering hold.
    pub(crate) claims: BTreeMap<u64, Claim>,
    /// Tokens that were made, for a second use.
    pub(crate) tokens: Vec<(usize, usize, String)>,
    /// Whether faults may happen.
    pub(crate) faults: bool,
    pub(crate) actions_left: u64,
    pub(crate) sabotage: Sabotage,
    pub(crate) lines: Vec<String>,
    pub(crate) trace: u64,
    pub(crate) counts: Counts,
}

impl World {
    pub(crate) fn new(seed: u64, sabotage: Sabotage) -> Outcome<Self> {
        let mut random = Random::new(seed);
        let count = usize::try_from(random.within(2, 6)).unwrap_or(2);
        let mut clusters = Vec::new();
        for index in 0..count {
            let mut cluster = Cluster::new(index, &mut random).map_err(|invalid| broken(&invalid))?;
            if sabotage == Sabotage::Trusting {
                cluster.believed = Some(cluster.snapshot.clone());
            }
            cluster.keeps_imports = sabotage == Sabotage::KeepImports;
            clusters.push(cluster);
        }
        let mut world = World {
            now: 0,
            queue: BTreeMap::new(),
            numbers: 0,
            steps: 0,
            clusters,
            tasks: BTreeMap::new(),
            connections: BTreeMap::new(),
            blocked: BTreeMap::new(),
            met: BTreeMap::new(),
            versions: BTreeMap::new(),
            introductions: Introductions::default(),
            promises: Promises::default(),
            claims: BTreeMap::new(),
            tokens: Vec::new(),
            faults: true,
            actions_left: random.within(20, 120),
            random,
            sabotage,
            lines: Vec::new(),
            trace: 0,
            counts: Counts::default(),
        };
        world.say(format!("{count} clusters"));
        world.settle_in()?;
        world.after(0, Event::Act);
        Ok(world)
    }

    /// A new number for a task or a connection.
    pub(crate) fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// Schedules an event in so many milliseconds.
    pub(crate) fn after(&mut self, delay: u64, event: Event) {
        let number = self.number();
        self.queue.insert((self.now + delay, number), event);
    }

    /// Takes the next event, if it is due before `limit`, and moves the clock to it.
    pub(crate) fn next(&mut self, limit: u64) -> Option<Event> {
        let entry = self.queue.first_entry()?;
        let (at, _) = *entry.key();
        if at > limit {
            return None;
        }
        self.now = at;
        self.steps += 1;
        Some(entry.remove())
    }

    /// Adds a line to the history.
    pub(crate) fn say(&mut self, text: impl AsRef<str>) {
        let line = format!("{:>8.3} s  {}", self.now as f64 / 1000.0, text.as_ref());
        self.trace = hash(self.trace, &line);
        if self.lines.len() >= MAX_LINES {
            self.lines.drain(..MAX_LINES / 4);
        }
        self.lines.push(line);
    }

    /// Until when nothing crosses between two clusters; 0 when it does.
    pub(crate) fn blocked_until(&self, a: usize, b: usize) -> u64 {
        let pair = (a.min(b), a.max(b));
        self.blocked
            .get(&pair)
            .copied()
            .filter(|until| *until > self.now)
            .unwrap_or(0)
    }

    /// Commits at a cluster, tells everybody who listens there, and checks what is left.
    pub(crate) fn commit(&mut self, cluster: usize, transaction: &Transaction) -> Outcome<bool> {
        let applied = match self.clusters[cluster].commit(transaction) {
            Ok(applied) => applied,
            Err(refused) => {
                if !matches!(refused, peerway_state::Refused::Conflict { .. }) {
                    return Err(Violation::new("no refused commit", refused.to_string()));
                }
                return Ok(false);
            }
        };
        if applied.rows.is_empty() {
            return Ok(true);
        }
        self.listen(cluster, &applied.changes);
        self.check_peerings(cluster, transaction, &applied.rows)?;
        self.counts.commits += 1;
        let local = applied.rows.iter().any(is_local);
        if local {
            self.note_exports(cluster)?;
        }
        Ok(true)
    }

    fn listen(&mut self, cluster: usize, changes: &ChangeSet) {
        let relevant = |topic: &Topic| matches!(topic, Topic::Peerings | Topic::Secrets(_) | Topic::Roots);
        if changes.iter().any(relevant) {
            self.wake(cluster);
        }
        let mut hearing = Vec::new();
        for task in self.tasks.values_mut().filter(|task| task.cluster == cluster) {
            task.heard.merge(changes);
            if !task.hearing {
                task.hearing = true;
                hearing.push(task.id);
            }
        }
        for task in hearing {
            let delay = self.random.below(15);
            self.after(delay, Event::Feed { task });
        }
    }

    /// The supervisor of a cluster looks again soon.
    pub(crate) fn wake(&mut self, cluster: usize) {
        let (epoch, up) = (self.clusters[cluster].epoch, self.clusters[cluster].up);
        if up && !std::mem::replace(&mut self.clusters[cluster].reconciling, true) {
            let delay = self.random.below(10);
            self.after(delay, Event::Reconcile { cluster, epoch });
        }
    }

    /// A peering that ends takes along what was imported over it, and its secrets.
    fn check_peerings(
        &mut self,
        cluster: usize,
        transaction: &Transaction,
        changes: &[RowChange],
    ) -> Outcome {
        let touched = changes.iter().any(|change| {
            matches!(change, RowChange::Delete(RowKey::Peering(_)))
                || matches!(change, RowChange::Put(row) if matches!(row.row, Row::Peering(_)))
        });
        let forgets = transaction
            .ops
            .iter()
            .any(|op| matches!(op, Op::ForgetImports(_)));
        if !touched && !forgets {
            return Ok(());
        }
        for other in 0..self.clusters.len() {
            let key = rows::peering(other).map_err(|invalid| broken(&invalid))?;
            let snapshot = &self.clusters[cluster].snapshot;
            let peering = snapshot.peering(&key);
            if peering.is_some_and(|peering| peering.is_live()) {
                continue;
            }
            let left = content::held(snapshot, other).map_err(|invalid| broken(&invalid))?;
            if left != content::Content::default() {
                let text = format!("c{cluster} still holds of c{other}: {}", left.summary());
                return Err(Violation::new("an ended peering leaves no rows", text));
            }
            if peering.is_none() && snapshot.secrets(&key).is_some() {
                return Err(Violation::new(
                    "an ended peering leaves no rows",
                    format!("c{cluster} still holds secrets of c{other}"),
                ));
            }
            self.versions.entry((other, cluster)).or_default().forget();
        }
        Ok(())
    }

    /// Writes down what a cluster exports to every other one.
    fn note_exports(&mut self, cluster: usize) -> Outcome {
        for other in (0..self.clusters.len()).filter(|other| *other != cluster) {
            let offered =
                content::offered(&self.clusters[cluster], other).map_err(|invalid| broken(&invalid))?;
            self.versions
                .entry((cluster, other))
                .or_default()
                .export(&offered, self.now);
        }
        Ok(())
    }

    /// Checks that whoever says that what it holds is fresh has nothing that was replaced longer ago than it takes to
    /// notice. Of a peer that knows no pulses nothing can be proven, it may lag behind unseen.
    pub(crate) fn check_fresh(&self) -> Outcome {
        let moment = self.now.saturating_sub(FRESH_ENOUGH);
        let noticed = self.now.saturating_sub(NOTICED);
        for (pair, versions) in &self.versions {
            let (exporter, importer) = *pair;
            let (there, here) = (&self.clusters[exporter], &self.clusters[importer]);
            if !here.up || there.terms.plain || here.terms.plain {
                continue;
            }
            let key = rows::peering(exporter).map_err(|invalid| broken(&invalid))?;
            let standing = here.table.standing(&key, None, monotonic(self.now));
            let live = here
                .snapshot
                .peering(&key)
                .is_some_and(|peering| peering.is_live());
            if !live || standing.is_none_or(|standing| standing.state != "ACTIVE") {
                continue;
            }
            let held = content::held(&here.snapshot, exporter).map_err(|invalid| broken(&invalid))?;
            let filter = &here.terms.limits.filter;
            if let Some(old) = versions.older_than(&held, moment, noticed, |name| filter.allows(name)) {
                let text = format!("c{importer} says that what it holds of c{exporter} is fresh: {old}");
                return Err(Violation::new("nothing stale is reported fresh", text));
            }
        }
        Ok(())
    }

    /// Checks what a cluster holds of another one after an import.
    pub(crate) fn check_import(&mut self, importer: usize, exporter: usize) -> Outcome {
        let held =
            content::held(&self.clusters[importer].snapshot, exporter).map_err(|invalid| broken(&invalid))?;
        self.versions
            .entry((exporter, importer))
            .or_default()
            .import(&held)
            .map_err(|problem| {
                let text = format!("c{importer} of c{exporter}: {problem}");
                Violation::new("never back in time", text)
            })
    }
}

fn is_local(change: &RowChange) -> bool {
    match change {
        RowChange::Put(row) => is_local_key(&row.row.key()),
        RowChange::Delete(key) => is_local_key(key),
    }
}

fn is_local_key(key: &RowKey) -> bool {
    match key {
        RowKey::Roots | RowKey::CaKey(_) | RowKey::Config(_) => true,
        // They bound what is exported.
        RowKey::Grants(_) => true,
        RowKey::Peering(_) | RowKey::Secrets(_) | RowKey::Bundle(_) | RowKey::Audit(_) => false,
        RowKey::Node(key) => key.origin.is_local(),
        RowKey::Instance(key) => key.node.origin.is_local(),
        RowKey::Check(key) => key.node.origin.is_local(),
        RowKey::VirtualAddress(key) => key.origin.is_local(),
    }
}

/// The harness itself made something that is not valid.
pub(crate) fn broken(problem: &impl std::fmt::Display) -> Violation {
    Violation::new("the harness is sound", problem.to_string())
}

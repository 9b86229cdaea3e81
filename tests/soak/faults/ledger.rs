//! What one cluster was told to hold, and what it acknowledged: the truth that it and its peers are held to. Pure.
//!
//! There is one writer, and it repeats a write until that is acknowledged. So at any time at most one write may or may
//! not have been made, and what a peer may see of each instance is a list of values in their order.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Something that is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Write {
    /// Registers an instance, stamped with this version.
    Put {
        service: String,
        id: String,
        version: u64,
    },
    /// Deregisters an instance.
    Delete { id: String },
    /// Says which services each peer may see.
    Export(BTreeMap<String, BTreeSet<String>>),
    /// Writes the intention of a service, stamped with this version.
    Intend { service: String, version: u64 },
    /// Deletes the intention of a service.
    Forbid { service: String },
}

/// Everything that a cluster holds of its own, as far as it is looked at here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    /// Service and version by the id of the instance.
    pub(crate) instances: BTreeMap<String, (String, u64)>,
    /// Services by peer.
    pub(crate) exports: BTreeMap<String, BTreeSet<String>>,
    /// Versions by service.
    pub(crate) intentions: BTreeMap<String, u64>,
}

impl Held {
    fn apply(&mut self, write: &Write) {
        match write.clone() {
            Write::Put { service, id, version } => {
                self.instances.insert(id, (service, version));
            }
            Write::Delete { id } => {
                self.instances.remove(&id);
            }
            Write::Export(exports) => self.exports = exports,
            Write::Intend { service, version } => {
                self.intentions.insert(service, version);
            }
            Write::Forbid { service } => {
                self.intentions.remove(&service);
            }
        }
    }

    /// What a peer may see: versions by instance.
    fn visible(&self, peer: &str) -> BTreeMap<String, u64> {
        let Some(exported) = self.exports.get(peer) else {
            return BTreeMap::new();
        };
        let seen = self
            .instances
            .iter()
            .filter(|(_, (service, _))| exported.contains(service));
        seen.map(|(id, (_, version))| (id.clone(), *version)).collect()
    }
}

/// A value that a peer may see of an instance: its version, or that it is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Value {
    version: Option<u64>,
    /// When it was first asked for.
    tried: Duration,
    /// When it was acknowledged.
    acknowledged: Option<Duration>,
}

/// All values of one instance for one peer, and how far that has come.
#[derive(Clone, Debug)]
struct History {
    values: Vec<Value>,
    reached: usize,
}

/// The ledger of one cluster.
pub(crate) struct Ledger {
    held: Held,
    pending: Option<Write>,
    /// By peer and instance.
    histories: BTreeMap<(String, String), History>,
    /// Acknowledged writes.
    pub(crate) writes: u64,
}

impl Ledger {
    /// A cluster that holds nothing, with these peers.
    pub(crate) fn new() -> Self {
        Ledger {
            held: Held::default(),
            pending: None,
            histories: BTreeMap::new(),
            writes: 0,
        }
    }

    /// A write is about to be asked for.
    pub(crate) fn ask(&mut self, write: Write, now: Duration) {
        let before = self.held.clone();
        let mut after = before.clone();
        after.apply(&write);
        let peers: BTreeSet<&String> = before.exports.keys().chain(after.exports.keys()).collect();
        for peer in peers {
            let (was, is) = (before.visible(peer), after.visible(peer));
            let ids: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
            for id in ids.into_iter().filter(|id| was.get(*id) != is.get(*id)) {
                let history = self
                    .histories
                    .entry((peer.clone(), id.clone()))
                    .or_insert_with(History::new);
                history.values.push(Value {
                    version: is.get(id).copied(),
                    tried: now,
                    acknowledged: None,
                });
            }
        }
        self.pending = Some(write);
    }

    /// The write that was asked for was acknowledged.
    pub(crate) fn acknowledge(&mut self, now: Duration) {
        let Some(write) = self.pending.take() else { return };
        self.held.apply(&write);
        self.writes += 1;
        for history in self.histories.values_mut() {
            for value in history
                .values
                .iter_mut()
                .rev()
                .take_while(|value| value.acknowledged.is_none())
            {
                value.acknowledged = Some(now);
            }
        }
    }

    /// What the cluster lost, or holds though nobody asked for it, when it holds `found`.
    pub(crate) fn lost(&self, found: &Held) -> Option<String> {
        let mut perhaps = self.held.clone();
        if let Some(write) = &self.pending {
            perhaps.apply(write);
        }
        if *found == self.held || *found == perhaps {
            return None;
        }
        let differ = |what: &str, acknowledged: &dyn std::fmt::Debug, found: &dyn std::fmt::Debug| {
            format!("{what} are {found:?}, acknowledged were {acknowledged:?}")
        };
        let mut told = Vec::new();
        if found.instances != self.held.instances {
            told.push(differ("instances", &self.held.instances, &found.instances));
        }
        if found.exports != self.held.exports {
            told.push(differ("exports", &self.held.exports, &found.exports));
        }
        if found.intentions != self.held.intentions {
            told.push(differ("intentions", &self.held.intentions, &found.intentions));
        }
        Some(format!("{}; under way is {:?}", told.join("; "), self.pending))
    }

    /// What is wrong with what a peer held (versions by instance) when it was read, which was over at `read`: that it is
    /// older than everything that was acknowledged at `since`, that it was never asked for, or that it is older than
    /// what the peer held before. With `service` only that one was read.
    pub(crate) fn judge(
        &mut self,
        peer: &str,
        service: Option<&str>,
        found: &BTreeMap<String, u64>,
        since: Duration,
        read: Duration,
    ) -> Vec<Untrue> {
        let is_read = |id: &str| match service {
            Some(service) => id.strip_prefix(service).is_some_and(|rest| rest.starts_with('-')),
            None => true,
        };
        let mut untrue = Vec::new();
        let unknown = found
            .keys()
            .filter(|id| !self.histories.contains_key(&(peer.to_owned(), (*id).clone())));
        untrue.extend(unknown.map(|id| Untrue {
            kind: Kind::NeverExported,
            text: format!("{id} is held by {peer} and was never exported to it"),
        }));
        for ((_, id), history) in self
            .histories
            .iter_mut()
            .filter(|((to, id), _)| to == peer && is_read(id))
        {
            let version = found.get(id).copied();
            if let Some(kind) = history.judge(version, since, read) {
                untrue.push(Untrue {
                    kind,
                    text: format!(
                        "{id} is held by {peer} in version {version:?} at {read:?} (proven as of {since:?}), its history is {}",
                        history.tail()
                    ),
                });
            }
        }
        untrue
    }

    /// What a peer has to hold in the end.
    pub(crate) fn visible(&self, peer: &str) -> BTreeMap<String, u64> {
        self.held.visible(peer)
    }
}

/// What cannot be true of what a peer holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Untrue {
    pub(crate) kind: Kind,
    pub(crate) text: String,
}

/// Why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// It was said to be newer than it is.
    Stale,
    /// Nobody ever wrote it, or it was not exported to this peer.
    NeverExported,
    /// The peer held something newer before.
    WentBack,
}

impl History {
    fn new() -> Self {
        let nothing = Value {
            version: None,
            tried: Duration::ZERO,
            acknowledged: Some(Duration::ZERO),
        };
        History {
            values: vec![nothing],
            reached: 0,
        }
    }

    fn judge(&mut self, version: Option<u64>, since: Duration, read: Duration) -> Option<Kind> {
        let is_it = |value: &Value| value.version == version && value.tried <= read;
        let Some(last) = self.values.iter().rposition(is_it) else {
            return Some(Kind::NeverExported);
        };
        // The oldest value that it can be, if it did not go back; what is not there looks the same each time.
        let Some(further) = self.values.iter().skip(self.reached).position(is_it) else {
            return Some(Kind::WentBack);
        };
        self.reached += further;
        let known = |value: &Value| value.acknowledged.is_some_and(|at| at <= since);
        let least = self.values.iter().rposition(known).unwrap_or(0);
        (last < least).then_some(Kind::Stale)
    }

    /// The last values in a few words.
    fn tail(&self) -> String {
        let last = self.values.iter().rev().take(6).rev();
        let words: Vec<String> = last
            .map(|value| format!("{:?} acknowledged at {:?}", value.version, value.acknowledged))
            .collect();
        words.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn exports(services: &[&str]) -> Write {
        let services = services.iter().map(|name| (*name).to_owned()).collect();
        Write::Export(BTreeMap::from([("east".to_owned(), services)]))
    }

    fn put(version: u64) -> Write {
        Write::Put {
            service: "web".to_owned(),
            id: "web-1".to_owned(),
            version,
        }
    }

    fn web(version: u64) -> BTreeMap<String, u64> {
        BTreeMap::from([("web-1".to_owned(), version)])
    }

    fn write(ledger: &mut Ledger, write: Write, now: u64) {
        ledger.ask(write, at(now));
        ledger.acknowledge(at(now));
    }

    /// Exported in versions 1 to 3 at 10, 20 and 30 s.
    fn three() -> Ledger {
        let mut ledger = Ledger::new();
        write(&mut ledger, exports(&["web"]), 1);
        for version in 1..=3 {
            write(&mut ledger, put(version), 10 * version);
        }
        ledger
    }

    fn kinds(untrue: &[Untrue]) -> Vec<Kind> {
        untrue.iter().map(|one| one.kind).collect()
    }

    #[test]
    fn what_is_older_than_it_is_said_to_be_is_stale() {
        let judged = |found: &BTreeMap<String, u64>, since| {
            kinds(&three().judge("east", None, found, at(since), at(50)))
        };
        assert_eq!(judged(&web(3), 50), []);
        assert_eq!(judged(&web(2), 29), []);
        assert_eq!(judged(&web(2), 30), [Kind::Stale]);
        assert_eq!(judged(&BTreeMap::new(), 9), []);
        assert_eq!(judged(&BTreeMap::new(), 10), [Kind::Stale]);
    }

    #[test]
    fn what_nobody_wrote_or_exported_is_told() {
        assert_eq!(
            kinds(&three().judge("east", None, &web(7), at(0), at(50))),
            [Kind::NeverExported]
        );
        assert_eq!(
            kinds(&three().judge("north", None, &web(3), at(0), at(50))),
            [Kind::NeverExported]
        );
        // Read before it was even asked for.
        assert_eq!(
            kinds(&three().judge("east", None, &web(3), at(0), at(29))),
            [Kind::NeverExported]
        );
    }

    #[test]
    fn of_one_service_only_that_is_judged() {
        let nothing = BTreeMap::new();
        assert_eq!(three().judge("east", Some("we"), &nothing, at(50), at(50)), []);
        let judged = three().judge("east", Some("web"), &nothing, at(50), at(50));
        assert_eq!(kinds(&judged), [Kind::Stale]);
    }

    #[test]
    fn nobody_goes_back() {
        let mut ledger = three();
        assert_eq!(ledger.judge("east", None, &web(2), at(0), at(50)), []);
        assert_eq!(
            kinds(&ledger.judge("east", None, &web(1), at(0), at(50))),
            [Kind::WentBack]
        );
        assert_eq!(
            kinds(&ledger.judge("east", None, &BTreeMap::new(), at(0), at(50))),
            [Kind::WentBack]
        );
        assert_eq!(ledger.judge("east", None, &web(3), at(0), at(50)), []);
    }

    #[test]
    fn what_is_not_exported_any_more_is_gone_as_what_is_deregistered() {
        for removal in [
            exports(&[]),
            Write::Delete {
                id: "web-1".to_owned(),
            },
        ] {
            let mut ledger = three();
            write(&mut ledger, removal, 40);
            let judged = ledger.judge("east", None, &web(3), at(40), at(50));
            assert_eq!(kinds(&judged), [Kind::Stale]);
            assert_eq!(ledger.judge("east", None, &BTreeMap::new(), at(40), at(50)), []);
            assert!(ledger.visible("east").is_empty());
        }
    }

    #[test]
    fn a_write_that_is_not_acknowledged_may_be_there_or_not() {
        let mut ledger = three();
        let acknowledged = ledger.held.clone();
        ledger.ask(put(4), at(40));
        for version in [3, 4] {
            assert_eq!(ledger.judge("east", None, &web(version), at(50), at(50)), []);
        }
        assert_eq!(ledger.lost(&acknowledged), None);
        let mut made = acknowledged.clone();
        made.apply(&put(4));
        assert_eq!(ledger.lost(&made), None);
        ledger.acknowledge(at(51));
        assert!(ledger.lost(&acknowledged).unwrap().contains("instances"));
        assert_eq!(
            kinds(&ledger.judge("east", None, &web(3), at(51), at(52))),
            [Kind::WentBack]
        );
    }

    #[test]
    fn intentions_and_exports_are_held_to_the_letter() {
        let mut ledger = three();
        let intend = Write::Intend {
            service: "web".to_owned(),
            version: 1,
        };
        write(&mut ledger, intend, 40);
        let held = ledger.held.clone();
        assert_eq!(ledger.lost(&held), None);
        let without = Held {
            intentions: BTreeMap::new(),
            ..held.clone()
        };
        assert!(ledger.lost(&without).unwrap().contains("intentions"));
        let more = Held {
            exports: BTreeMap::new(),
            ..held
        };
        assert!(ledger.lost(&more).unwrap().contains("exports"));
        write(
            &mut ledger,
            Write::Forbid {
                service: "web".to_owned(),
            },
            50,
        );
        assert!(ledger.held.intentions.is_empty());
    }
}

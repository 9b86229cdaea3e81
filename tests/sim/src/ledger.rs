//! What the harness knows by itself and holds the clusters to: every version of every export, and every secret with
//! what the wire facts (section 2.5) allow for it.

use crate::content::Content;
use std::collections::{BTreeMap, BTreeSet};

/// An ordered pair of clusters: exporter and importer, or acceptor and dialer.
pub(crate) type Pair = (usize, usize);

/// No instances.
const EMPTY: u64 = 0;

/// Every version of what one cluster exported to another, and how far the importer has come.
#[derive(Default)]
pub(crate) struct Versions {
    /// Hash and the moment since when it was exported.
    exported: BTreeMap<String, Vec<(u64, u64)>>,
    reached: BTreeMap<String, usize>,
    /// The importer has forgotten everything and not imported the service since.
    forgotten: BTreeSet<String>,
    /// When the importer last lost a service by an error of its own.
    lost: BTreeMap<String, u64>,
}

impl Versions {
    /// Takes note of what is exported now.
    pub(crate) fn export(&mut self, content: &Content, moment: u64) {
        let now = content.hashes();
        for name in self.exported.keys().cloned().collect::<Vec<_>>() {
            if !now.contains_key(&name) {
                self.push(name, EMPTY, moment);
            }
        }
        for (name, hash) in now {
            self.push(name, hash, moment);
        }
    }

    fn push(&mut self, name: String, hash: u64, moment: u64) {
        let versions = self.exported.entry(name).or_insert_with(|| vec![(EMPTY, 0)]);
        if versions.last().is_none_or(|(last, _)| *last != hash) {
            versions.push((hash, moment));
        }
    }

    /// The importer lost what it held of a service, by no fault of its exporter.
    pub(crate) fn lose(&mut self, name: &str, moment: u64) {
        self.lost.insert(name.to_owned(), moment);
        self.forgotten.insert(name.to_owned());
    }

    /// What the importer holds that was not exported any more at `moment`, or since. What it lost after `noticed` does
    /// not count yet.
    pub(crate) fn older_than(
        &self,
        content: &Content,
        moment: u64,
        noticed: u64,
        wanted: impl Fn(&str) -> bool,
    ) -> Option<String> {
        let now = content.hashes();
        self.exported
            .iter()
            .filter(|(name, _)| wanted(name) && self.lost.get(*name).is_none_or(|lost| *lost < noticed))
            .find_map(|(name, versions)| {
                let hash = now.get(name).copied().unwrap_or(EMPTY);
                let newest = versions.iter().rposition(|(version, _)| *version == hash);
                let until = match newest {
                    None => 0,
                    Some(at) => versions.get(at + 1).map_or(u64::MAX, |(_, since)| *since),
                };
                (until <= moment).then(|| format!("service {name} is what was exported until {until} ms"))
            })
    }

    /// The importer has removed everything, as it must when the peering ends.
    pub(crate) fn forget(&mut self) {
        self.forgotten = self.exported.keys().cloned().collect();
    }

    /// Checks what the importer holds now: for each service a version that was exported, and none from before the
    /// one that it held already.
    pub(crate) fn import(&mut self, content: &Content) -> Result<(), String> {
        let now = content.hashes();
        for name in now.keys() {
            if !self.exported.contains_key(name) {
                return Err(format!("service {name} was never exported"));
            }
        }
        for (name, versions) in &self.exported {
            let hash = now.get(name).copied().unwrap_or(EMPTY);
            if hash == EMPTY && self.forgotten.contains(name) {
                continue;
            }
            let reached = self.reached.entry(name.clone()).or_default();
            match versions
                .iter()
                .skip(*reached)
                .position(|(version, _)| *version == hash)
            {
                Some(further) => {
                    *reached += further;
                    self.forgotten.remove(name);
                }
                None if versions.iter().any(|(version, _)| *version == hash) => {
                    return Err(format!("service {name} went back in time"));
                }
                None => return Err(format!("service {name} has a content that was never exported")),
            }
        }
        Ok(())
    }
}

/// A secret, and for what it is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) secret: String,
    /// Of the token that it came from.
    pub(crate) accessor: String,
    /// When the token expires by the acceptor's wall clock, unix milliseconds.
    pub(crate) until: Option<u64>,
    /// By which it can be asked for again.
    pub(crate) request: Option<String>,
    /// The datacenter that its user has to name.
    pub(crate) datacenter: Option<String>,
    /// The services that its user may see.
    pub(crate) services: Option<BTreeSet<String>>,
}

/// The secrets of one introduction as the facts have them.
#[derive(Clone, Default)]
pub(crate) struct Secrets {
    pub(crate) establishment: Option<Held>,
    pub(crate) pending: Option<Held>,
    pub(crate) active: Option<Held>,
}

/// All introductions by the acceptor's id.
#[derive(Default)]
pub(crate) struct Introductions {
    secrets: BTreeMap<String, Secrets>,
}

impl Introductions {
    pub(crate) fn of(&self, id: &str) -> Secrets {
        self.secrets.get(id).cloned().unwrap_or_default()
    }

    /// The unused token of this request, which is to be given out again when the acceptor's wall clock shows `wall`.
    pub(crate) fn unused_of(&self, id: &str, request: Option<&str>, wall: u64) -> Option<Held> {
        let unused = self.secrets.get(id)?.establishment.as_ref()?;
        let same = request.is_some() && unused.request.as_deref() == request;
        (same && unused.until.is_none_or(|until| wall < until)).then(|| unused.clone())
    }

    pub(crate) fn token(&mut self, id: &str, held: Held) {
        self.secrets.entry(id.to_owned()).or_default().establishment = Some(held);
    }

    pub(crate) fn deleted(&mut self, id: &str) {
        self.secrets.remove(id);
    }

    /// The token was revoked: what came of it opens nothing any more.
    pub(crate) fn revoked(&mut self, id: &str, accessor: &str) {
        if let Some(Secrets {
            establishment,
            pending,
            active,
        }) = self.secrets.get_mut(id)
        {
            for slot in [establishment, pending, active] {
                slot.take_if(|held| held.accessor == accessor);
            }
        }
    }

    /// Whether this exchange is allowed when the acceptor's wall clock shows `wall`.
    pub(crate) fn may_exchange(&self, id: &str, offered: &str, wall: u64) -> bool {
        let unused = self
            .secrets
            .get(id)
            .and_then(|secrets| secrets.establishment.as_ref());
        unused.is_some_and(|held| held.secret == offered && held.until.is_none_or(|until| wall < until))
    }

    pub(crate) fn exchanged(&mut self, id: &str, stream: &str) {
        let secrets = self.secrets.entry(id.to_owned()).or_default();
        secrets.pending = secrets.establishment.take().map(|held| Held {
            secret: stream.to_owned(),
            ..held
        });
    }

    /// Whether a dialer that says it is `datacenter` may open a stream with this secret.
    pub(crate) fn may_open(&self, id: &str, offered: &str, datacenter: &str) -> bool {
        let known = self.secrets.get(id);
        let held = known.and_then(|secrets| {
            [&secrets.active, &secrets.pending]
                .into_iter()
                .flatten()
                .find(|held| held.secret == offered)
        });
        held.is_some_and(|held| held.datacenter.as_ref().is_none_or(|bound| bound == datacenter))
    }

    pub(crate) fn opened(&mut self, id: &str, offered: &str) {
        if let Some(secrets) = self.secrets.get_mut(id)
            && secrets.active.as_ref().is_none_or(|held| held.secret != offered)
        {
            secrets.active = secrets.pending.take();
        }
    }
}

/// An introduction that succeeded and that nobody has touched since: it must hold in the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Promise {
    /// The acceptor's id.
    pub(crate) peer_id: String,
}

/// The promises by acceptor and dialer.
#[derive(Default)]
pub(crate) struct Promises(pub(crate) BTreeMap<Pair, Promise>);

impl Promises {
    /// Something was done that may undo what these two have.
    pub(crate) fn withdraw(&mut self, a: usize, b: usize) {
        self.0.remove(&(a, b));
        self.0.remove(&(b, a));
    }
}

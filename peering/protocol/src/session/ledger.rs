//! What came of the peer's services, one line for each: what was offered, what became of it and what it takes up. The
//! importer's side of the digest, and what its limits are measured by.

use super::{Stored, UNSENT_FOR};
use crate::freshness::{ImportedService, Mark, Standing};
use crate::limits::ImportLimits;
use crate::resource::{Listed, SIDECAR_SUFFIX};
use std::collections::BTreeMap;
use std::time::Duration;

/// Most services with a line, mesh faces included: those that may be imported, and as many that are refused.
pub(super) const MAX_LINES: usize = 4 * crate::admit::MAX_SERVICES;

/// The lines by resource id, and their sums.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    lines: BTreeMap<String, Line>,
    /// Lines that hold something, by service: one for a service alone, two with its mesh face.
    services: BTreeMap<String, usize>,
    instances: usize,
    bytes: usize,
    offered: u64,
    /// Something came that has no line, so that digests cannot be compared.
    overflowed: bool,
}

#[derive(Debug)]
pub(super) struct Line {
    /// The digest of the newest offer on this stream.
    offered: Option<u64>,
    /// The digest of the version that is held, if it came on this stream.
    held: Option<u64>,
    received: Option<Mark>,
    applied: Option<Mark>,
    instances: usize,
    bytes: usize,
    pub(super) standing: Standing,
    /// The size of a version that a limit refused.
    waits: Option<(usize, usize)>,
    /// Since when what is stored has another content.
    suspected: Option<Duration>,
}

/// The circumstances of a comparison.
pub(super) struct Look<'a> {
    pub(super) now: Duration,
    /// Whether the first synchronisation is over.
    pub(super) synced: bool,
    /// Whether all that was sent has come.
    pub(super) whole: bool,
    /// What the peer cannot send.
    pub(super) withheld: &'a BTreeMap<String, String>,
}

/// What a service takes up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub(super) instances: usize,
    pub(super) bytes: usize,
}

fn service_of(name: &str) -> &str {
    name.strip_suffix(SIDECAR_SUFFIX).unwrap_or(name)
}

impl Ledger {
    /// Takes what was held before the stream began.
    pub(super) fn inherit(&mut self, stored: &BTreeMap<String, super::StoredService>) {
        for (name, stored) in stored {
            if !self.lines.contains_key(name) {
                let size = Size {
                    instances: stored.instances,
                    bytes: 0,
                };
                self.put(name, size, |line| line.standing = Standing::Inherited);
            }
        }
    }

    /// Why a version of this size cannot be taken; `None` when it can.
    pub(super) fn over_limit(&self, name: &str, size: Size, limits: &ImportLimits) -> Option<String> {
        if size.instances == 0 {
            return None;
        }
        let Some(line) = self.lines.get(name) else {
            return Some(format!("the peer has offered more than {MAX_LINES} names"));
        };
        let (held, bytes) = (line.instances, line.bytes);
        let over = |what: &str, count: usize, limit: usize, setting: &str| {
            (count > limit).then(|| {
                format!(
                    "with it there would be {count} {what} of this peer, at most {limit} are imported; raise peering.imports.{setting} or leave services out with peering.imports.exclude"
                )
            })
        };
        let new = usize::from(!self.services.contains_key(service_of(name)));
        over(
            "services",
            self.services.len() + new,
            limits.max_services,
            "max_services",
        )
        .or_else(|| {
            let count = self.instances - held + size.instances;
            over("instances", count, limits.max_instances, "max_instances")
        })
        .or_else(|| {
            over(
                "bytes",
                self.bytes - bytes + size.bytes,
                limits.max_bytes,
                "max_bytes",
            )
        })
    }

    /// Takes note of an offer.
    pub(super) fn received(&mut self, name: &str, digest: u64, mark: Mark) {
        if self.lines.len() >= MAX_LINES && !self.lines.contains_key(name) {
            self.overflowed = true;
            return;
        }
        let line = self.lines.entry(name.to_owned()).or_insert_with(Line::empty);
        let before = line.offered.replace(digest).unwrap_or(0);
        line.received = Some(mark);
        self.offered = self.offered.wrapping_sub(before).wrapping_add(digest);
    }

    /// The newest offer is what is held now; `filtered` when the operator does not want it, and nothing is.
    pub(super) fn applied(&mut self, name: &str, size: Size, digest: u64, mark: Mark, filtered: bool) {
        if !self.lines.contains_key(name) {
            return;
        }
        let size = if filtered || size.instances == 0 {
            Size {
                instances: 0,
                bytes: 0,
            }
        } else {
            size
        };
        self.put(name, size, |line| {
            line.held = Some(if filtered { 0 } else { digest });
            line.applied = Some(mark);
            line.waits = None;
            line.suspected = None;
            line.standing = if filtered {
                Standing::Filtered
            } else {
                Standing::Applied
            };
        });
    }

    /// The newest offer was refused; `limited` has its size when a limit did.
    pub(super) fn refused(&mut self, name: &str, reason: &str, limited: Option<Size>) {
        if let Some(line) = self.lines.get_mut(name) {
            line.standing = Standing::Refused(reason.to_owned());
            line.waits = limited.map(|size| (size.instances, size.bytes));
        }
    }

    /// Whether something that a limit refused would fit by now.
    pub(super) fn has_room_again(&self, limits: &ImportLimits) -> bool {
        self.lines.iter().any(|(name, line)| {
            line.waits.is_some_and(|(instances, bytes)| {
                self.over_limit(name, Size { instances, bytes }, limits).is_none()
            })
        })
    }

    /// Takes a list: what it does not keep is gone. Returns the names of what went.
    pub(super) fn keep(&mut self, listed: &Listed<'_>) -> Vec<String> {
        let gone: Vec<String> = self
            .lines
            .keys()
            .filter(|name| !listed.keeps(name))
            .cloned()
            .collect();
        for name in &gone {
            self.put(
                name,
                Size {
                    instances: 0,
                    bytes: 0,
                },
                |_| {},
            );
            if let Some(line) = self.lines.remove(name) {
                self.offered = self.offered.wrapping_sub(line.offered.unwrap_or(0));
            }
        }
        gone
    }

    /// Whether something came about this service.
    pub(super) fn has_heard_of(&self, name: &str) -> bool {
        self.lines.get(name).is_some_and(|line| line.received.is_some())
    }

    /// The sum of the digests of all offers but those of `withheld`; `None` when something is missing from it.
    pub(super) fn digest<'a>(&self, withheld: impl Iterator<Item = &'a String>) -> Option<u64> {
        let left_out = withheld
            .filter_map(|name| self.lines.get(name)?.offered)
            .fold(0, u64::wrapping_add);
        (!self.overflowed).then(|| self.offered.wrapping_sub(left_out))
    }

    /// Compares what is stored with what should be, and says what differs by name. Before the first synchronisation
    /// nothing is known of what is stored and did not come yet.
    ///
    /// Services share nodes, so the newer version of a node that came with one service shows in another one, whose own
    /// newer version may still be on its way: content that differs counts only when nothing is, which `whole` says, or
    /// when it does so for [`UNSENT_FOR`].
    pub(super) fn compare(&mut self, stored: &Stored, look: &Look<'_>) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        for (name, line) in &mut self.lines {
            let (Some(held), Standing::Applied | Standing::Filtered | Standing::Diverged(_)) =
                (line.held, &line.standing)
            else {
                continue;
            };
            let now = stored.services.get(name).map_or(0, |stored| stored.digest);
            if now == held {
                line.suspected = None;
                if matches!(line.standing, Standing::Diverged(_)) {
                    line.standing = Standing::Applied;
                }
                continue;
            }
            let how = match (held, now) {
                (_, 0) => "it was applied, and is not there",
                (0, _) => "it is there, and the peer has no instances of it",
                _ => {
                    let since = *line.suspected.get_or_insert(look.now);
                    let long = look.now.saturating_sub(since) >= UNSENT_FOR;
                    if look.withheld.contains_key(name) || !(look.whole || long) {
                        continue;
                    }
                    "what is there is not what was applied"
                }
            };
            line.standing = Standing::Diverged(how.to_owned());
            found.insert(name.clone(), how.to_owned());
        }
        if look.synced {
            for name in stored
                .services
                .keys()
                .filter(|name| !self.lines.contains_key(*name))
            {
                let how = "it is there, and the peer does not export it";
                found.insert(name.clone(), how.to_owned());
            }
        }
        found
    }

    /// Every line for a report.
    pub(super) fn report(&self, withheld: &BTreeMap<String, String>) -> BTreeMap<String, ImportedService> {
        let mut report: BTreeMap<String, ImportedService> = self
            .lines
            .iter()
            .map(|(name, line)| {
                let shown = ImportedService {
                    received: line.received,
                    applied: line.applied,
                    instances: line.instances,
                    standing: line.standing.clone(),
                    withheld: None,
                };
                (name.clone(), shown)
            })
            .collect();
        for (name, why) in withheld {
            let entry = report.entry(name.clone()).or_insert(ImportedService {
                received: None,
                applied: None,
                instances: 0,
                standing: Standing::Inherited,
                withheld: None,
            });
            entry.withheld = Some(why.clone());
        }
        report
    }

    /// Changes a line and keeps the sums right.
    fn put(&mut self, name: &str, size: Size, change: impl FnOnce(&mut Line)) {
        let line = self.lines.entry(name.to_owned()).or_insert_with(Line::empty);
        let (held, bytes) = (line.instances, line.bytes);
        line.instances = size.instances;
        line.bytes = size.bytes;
        change(line);
        self.instances = self.instances - held + size.instances;
        self.bytes = self.bytes - bytes + size.bytes;
        let service = service_of(name);
        match (held > 0, size.instances > 0) {
            (false, true) => *self.services.entry(service.to_owned()).or_default() += 1,
            (true, false) => {
                if let Some(count) = self.services.get_mut(service) {
                    *count -= 1;
                    if *count == 0 {
                        self.services.remove(service);
                    }
                }
            }
            _ => {}
        }
    }
}

impl Line {
    fn empty() -> Self {
        Line {
            offered: None,
            held: None,
            received: None,
            applied: None,
            instances: 0,
            bytes: 0,
            standing: Standing::Inherited,
            waits: None,
            suspected: None,
        }
    }
}

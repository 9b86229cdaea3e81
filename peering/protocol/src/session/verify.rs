//! Finding out whether what is held is what the peer exports, and getting it again if it is not.
//!
//! What was applied is compared with what is stored whenever the peer is heard of, whoever it is. A peer that knows
//! pulses also says what it has sent, and which of our own heartbeats it had heard when that was current: so we know
//! as of which moment of our own clock we are up to date, however slow the network was.

use super::ledger::Look;
use super::{Effect, Session};
use crate::freshness::{Freshness, MAX_REFUSED_KEPT};
use crate::message::{Code, MAX_WITHHELD_TOLD, Message, Pulse, Refusal, Request};
use crate::resource::ResourceType;
use crate::{End, digest};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a peer may list a service without having sent it: a Consul server sends the list first.
pub const UNSENT_FOR: Duration = Duration::from_secs(20);
/// Shortest time between two full exports that a peer may ask for on one stream.
pub const RESYNC_INTERVAL: Duration = Duration::from_secs(10);
/// How often what is stored is compared and the per-service report is renewed while something changes.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// What is stored of one service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredService {
    /// See [`crate::digest::of_rows`].
    pub digest: u64,
    /// How many instances there are.
    pub instances: usize,
}

/// What is stored of a peer.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Stored {
    /// The services that have instances, by name.
    pub services: BTreeMap<String, StoredService>,
    /// See [`crate::digest::of_bundle`]; `None` when there is none.
    pub bundle: Option<u64>,
}

impl Session {
    /// Says what was stored of the peer before anything came over this stream.
    pub fn inherit(&mut self, stored: &Stored) {
        self.ledger.inherit(&stored.services);
    }

    /// Goes on where the stream before left off: how often data was asked for anew, and as of when what is held was
    /// proven.
    pub fn succeed(&mut self, before: &Freshness) {
        self.freshness.resync = before.resync;
        self.freshness.proven = before.proven;
        self.freshness.divergences_total = before.divergences_total;
    }

    /// Takes a heartbeat.
    pub(super) fn on_heartbeat(&mut self, pulse: Option<Pulse>, now: Duration) -> Vec<Effect> {
        self.freshness.last_heartbeat = Some(now);
        match pulse.filter(|_| self.freshness.digests) {
            Some(pulse) => {
                self.heard_clock = self.heard_clock.max(pulse.clock);
                self.freshness.peer_withholds(pulse.withheld);
                if let Some(theirs) = pulse.digest {
                    let own = self.received_digest();
                    let differs = own.is_some_and(|own| own != theirs);
                    self.freshness.divergences_total += u64::from(differs && !self.freshness.digest_differs);
                    self.freshness.digest_differs = differs;
                }
                let echoed = pulse.echo.checked_sub(1).map(Duration::from_millis);
                self.whole = true;
                self.to_prove = echoed.map(|since| self.freshness.started.saturating_add(since).min(now));
            }
            None => self.to_prove = (!self.freshness.digests).then_some(now),
        }
        vec![Effect::Verify]
    }

    fn received_digest(&self) -> Option<digest::Digest> {
        Some(digest::Digest {
            services: self.ledger.digest(self.freshness.withheld_by_peer.keys())?,
            list: self.list.unwrap_or(0),
            bundle: self.bundle.unwrap_or(0),
        })
    }

    /// Takes what is stored of the peer, in answer to [`Effect::Verify`].
    pub fn on_verified(&mut self, stored: &Stored, now: Duration) -> Vec<Effect> {
        if !self.running() {
            return Vec::new();
        }
        self.check_synced(now);
        let found = self.find_divergence(stored, now);
        self.freshness.divergences_total +=
            u64::from(!found.is_empty() && self.freshness.diverged.is_empty());
        self.freshness.diverged = found;
        self.report_now();
        if self.freshness.diverged.is_empty() && !self.freshness.digest_differs {
            let proof = self.to_prove.take().filter(|_| self.freshness.synced);
            self.freshness.proven = self.freshness.proven.max(proof);
            // Only worth it where it costs no stream.
            if !self.freshness.digests || !self.ledger.has_room_again(&self.terms.limits) {
                return Vec::new();
            }
        }
        self.resync(now)
    }

    /// The first synchronisation is over when the list and the roots are here, and something came of everything listed.
    fn check_synced(&mut self, now: Duration) {
        if self.freshness.synced || self.list.is_none() || self.bundle.is_none() || !self.unsent().is_empty()
        {
            return;
        }
        self.freshness.synced = true;
        // A peer that knows pulses exported what came after our stream had begun; of others we know no better.
        let since = if self.freshness.digests {
            self.freshness.started
        } else {
            now
        };
        self.freshness.proven = self.freshness.proven.max(Some(since));
    }

    /// What is listed and neither came nor is withheld.
    fn unsent(&self) -> Vec<&String> {
        let missing = |name: &&String| {
            !self.ledger.has_heard_of(name) && !self.freshness.withheld_by_peer.contains_key(*name)
        };
        self.freshness.imported.iter().filter(missing).collect()
    }

    fn find_divergence(&mut self, stored: &Stored, now: Duration) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        let mut add = |what: String, how: String| {
            if found.len() < MAX_REFUSED_KEPT {
                found.insert(what, how);
            }
        };
        let look = Look {
            now,
            synced: self.freshness.synced,
            whole: std::mem::take(&mut self.whole),
            withheld: &self.freshness.withheld_by_peer,
        };
        for (name, how) in self.ledger.compare(stored, &look) {
            add(super::name_of(ResourceType::ExportedService, &name), how);
        }
        if self.bundle.is_some() && self.bundle != stored.bundle {
            let what = super::name_of(ResourceType::TrustBundle, "roots");
            add(what, "what is there is not what was applied".to_owned());
        }
        let unsent: Vec<String> = self.unsent().into_iter().cloned().collect();
        if unsent.is_empty() {
            self.unsent_since = None;
        } else if now.saturating_sub(*self.unsent_since.get_or_insert(now)) >= UNSENT_FOR {
            for name in unsent {
                let what = super::name_of(ResourceType::ExportedService, &name);
                add(what, "the peer lists it, and never sent it".to_owned());
            }
        }
        found
    }

    /// Gets everything anew, unless that was done a short while ago. A peer that does not know how to be asked sends
    /// everything on a new stream.
    fn resync(&mut self, now: Duration) -> Vec<Effect> {
        if !self.freshness.resync.allowed(now) {
            return Vec::new();
        }
        self.freshness.resync = self.freshness.resync.made(now);
        let reason = self.freshness.judge(None, now).reason;
        let mut effects = vec![Effect::Resync {
            reason: reason.clone(),
        }];
        if self.freshness.digests {
            let request = Request {
                peer_id: String::new(),
                nonce: String::new(),
                url: ResourceType::ExportedService.url().to_owned(),
                error: None,
                digests: 0,
                resync: true,
            };
            effects.push(self.send(Message::Request(request)));
        } else {
            let text = format!("what is held of the peer has diverged, a new stream gets it anew: {reason}");
            effects.extend(self.end(End::Failed(Refusal::new(Code::Unavailable, text))));
        }
        effects
    }

    /// Everything that is exported is sent, or waits in order to be: a pulse may say so.
    pub fn exports_are_current(&mut self) {
        self.certified = self.heard_clock;
    }

    /// The pulse for the next heartbeat, if the peer understands one.
    pub(super) fn pulse(&self, now: Duration) -> Option<Pulse> {
        if !self.freshness.digests {
            return None;
        }
        let since = now.saturating_sub(self.freshness.started).as_millis();
        let told = self.withheld.iter().take(MAX_WITHHELD_TOLD);
        let comparable = self.exports.is_some() && self.withheld.len() <= MAX_WITHHELD_TOLD;
        Some(Pulse {
            clock: u64::try_from(since).unwrap_or(u64::MAX - 1) + 1,
            echo: self.certified,
            digest: comparable.then(|| self.sent_digest()),
            withheld: told.map(|(id, why)| (id.clone(), why.clone())).collect(),
        })
    }

    /// Something changed, here or in what is stored: it is compared and reported within a second.
    pub fn report_soon(&mut self, now: Duration) {
        self.report_due.get_or_insert(now.saturating_add(REPORT_INTERVAL));
    }

    fn report_now(&mut self) {
        self.report_due = None;
        let report = self.ledger.report(&self.freshness.withheld_by_peer);
        self.freshness.services_in = report.into();
        self.freshness.services_out = self.sent_report().into();
    }
}

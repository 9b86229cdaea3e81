//! What the client has of one kind, as far as its answers tell.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::{InFlightStatus, KindStatus, Nack, Refusal};
use crate::holding::{Holding, Versioned};
use crate::kind::Kind;

/// What the client has under one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Has {
    /// Nothing, or it dropped what it had and waits for it.
    Nothing,
    /// The version that it took last.
    Accepted(Box<str>),
    /// Perhaps a newer one than the last accepted: it refused a response as a whole but may have used a part.
    Unsure(Option<Box<str>>),
    /// It was told that the resource does not exist.
    Absent,
}

/// One name of a kind.
#[derive(Debug)]
struct Entry {
    /// Subscribed by name; otherwise only covered by the wildcard.
    named: bool,
    has: Has,
    /// Send once more whatever the answer to the outstanding response: it was asked for after that was sent.
    resend: bool,
    /// The version that the client refuses, while it is the wanted one.
    refused: Option<Box<(Box<str>, Nack)>>,
    /// The holding since which the resource is gone.
    gone: Option<u64>,
}

impl Entry {
    const fn new(named: bool, has: Has) -> Self {
        Self {
            named,
            has,
            resend: false,
            refused: None,
            gone: None,
        }
    }

    fn wants<R: Versioned>(&self, resource: &R) -> bool {
        if self.resend {
            return true;
        }
        match (&self.refused, &self.has) {
            (Some(refused), _) if *refused.0 == *resource.version() => false,
            (_, Has::Accepted(accepted)) => !resource.is_held_as(accepted),
            _ => true,
        }
    }
}

/// The response that waits for an answer.
#[derive(Debug)]
pub(crate) struct InFlight<R> {
    pub(crate) nonce: String,
    pub(crate) resources: Vec<R>,
    pub(crate) removed: Vec<String>,
    /// The holding whose additions of this kind are all answered with it, if that is so.
    pub(crate) made: Option<u64>,
    /// The same for additions and removals.
    pub(crate) done: Option<u64>,
}

impl<R: Versioned> InFlight<R> {
    pub(crate) fn names(&self) -> Vec<(String, String)> {
        self.resources
            .iter()
            .map(|r| (r.name().to_owned(), r.version().to_owned()))
            .collect()
    }

    fn mentions(&self, name: &str) -> bool {
        self.resources.iter().any(|r| r.name() == name) || self.removed.iter().any(|removed| removed == name)
    }
}

/// What is left to send of one kind.
#[derive(Debug)]
pub(crate) struct Plan<R> {
    /// New content, in order of name. The flag says that the client has nothing usable under the name.
    pub(crate) upserts: Vec<(R, bool)>,
    /// Subscribed names that never existed for the client and are answered with "does not exist".
    pub(crate) absent: Vec<String>,
    /// What the client has to drop, and since which holding.
    pub(crate) removals: Vec<(String, u64)>,
}

/// One kind of one stream.
#[derive(Debug)]
pub(crate) struct Track<R> {
    pub(crate) kind: Kind,
    /// A request of this kind has arrived.
    pub(crate) opened: bool,
    pub(crate) wildcard: bool,
    /// A wildcard was asked for and has not been answered: to be answered even when there is nothing.
    pub(crate) due: bool,
    /// A response of this kind has been answered.
    pub(crate) answered: bool,
    /// The last plan was empty and nothing happened since.
    pub(crate) idle: bool,
    pub(crate) in_flight: Option<InFlight<R>>,
    /// To be retried alone, because a response with all of them was refused.
    pub(crate) suspects: BTreeSet<String>,
    /// The newest holding whose additions are known to be answered; see `order`.
    pub(crate) made: u64,
    /// The same for additions and removals.
    pub(crate) done: u64,
    entries: BTreeMap<Box<str>, Entry>,
}

impl<R: Versioned> Track<R> {
    pub(crate) const fn new(kind: Kind) -> Self {
        Self {
            kind,
            opened: false,
            wildcard: false,
            due: false,
            answered: false,
            idle: false,
            in_flight: None,
            suspects: BTreeSet::new(),
            made: 0,
            done: 0,
            entries: BTreeMap::new(),
        }
    }

    /// How many names are subscribed one by one.
    pub(crate) fn subscriptions(&self) -> usize {
        self.entries.values().filter(|entry| entry.named).count()
    }

    /// Whether the name is subscribed by itself.
    pub(crate) fn is_subscribed(&self, name: &str) -> bool {
        self.entries.get(name).is_some_and(|entry| entry.named)
    }

    /// Takes over what the client kept from an earlier stream. Call after the first subscriptions.
    pub(crate) fn restore(&mut self, versions: Vec<(String, String)>) {
        for (name, version) in versions {
            let has = Has::Accepted(version.into_boxed_str());
            if let Some(entry) = self.entries.get_mut(name.as_str()) {
                entry.has = has;
            } else if self.wildcard {
                self.entries.insert(name.into_boxed_str(), Entry::new(false, has));
            }
        }
    }

    /// Subscribes to everything. What was covered already is sent again.
    pub(crate) fn subscribe_all(&mut self) {
        self.wildcard = true;
        self.due = true;
        for (name, entry) in &mut self.entries {
            if !entry.named {
                entry.asked_again(self.in_flight.as_ref(), name, self.kind);
            }
        }
    }

    /// Subscribes to a name. A name that was covered already is sent again.
    pub(crate) fn subscribe(&mut self, name: String) {
        let name = name.into_boxed_str();
        let in_flight = self.in_flight.as_ref();
        let entry = self
            .entries
            .entry(name.clone())
            .or_insert_with(|| Entry::new(true, Has::Nothing));
        entry.named = true;
        entry.asked_again(in_flight, &name, self.kind);
    }

    /// Ends the wildcard: the client drops what it did not ask for by name.
    pub(crate) fn unsubscribe_all(&mut self) {
        self.wildcard = false;
        self.due = false;
        self.entries.retain(|_, entry| entry.named);
    }

    /// Ends the subscription of a name. If the wildcard still covers it, the client is told again what it is.
    pub(crate) fn unsubscribe(&mut self, name: &str) {
        if !self.wildcard {
            self.entries.remove(name);
        } else if let Some(entry) = self.entries.get_mut(name) {
            entry.named = false;
            entry.asked_again(self.in_flight.as_ref(), name, self.kind);
        }
    }

    /// A new parent leaves for the client: if the client takes it, it drops what it has under the name.
    pub(crate) fn forget(&mut self, name: &str) {
        if let Some(entry) = self.entries.get_mut(name) {
            entry.resend |= self.in_flight.as_ref().is_some_and(|sent| sent.mentions(name));
            entry.dropped(self.kind);
            self.unmake();
        }
    }

    /// Something was asked for that no response so far can have answered.
    pub(crate) fn unmake(&mut self) {
        self.made = 0;
        self.idle = false;
        if let Some(sent) = &mut self.in_flight {
            sent.made = None;
        }
    }

    /// Notes which names came or went with the holding numbered `seq`.
    pub(crate) fn rebase(&mut self, holding: &Holding<R>, seq: u64) {
        self.idle = false;
        self.entries.retain(|name, entry| {
            let wanted = holding.get(self.kind, name);
            if let Some(resource) = wanted {
                entry.gone = None;
                if entry
                    .refused
                    .as_ref()
                    .is_some_and(|refused| *refused.0 != *resource.version())
                {
                    entry.refused = None;
                }
            } else {
                entry.gone.get_or_insert(seq);
                entry.refused = None;
            }
            // The wildcard brings the entry back when there is something to remember.
            wanted.is_some() || entry.named || entry.has != Has::Nothing
        });
    }

    /// What is left to send of the holding numbered `seq`, whether or not it may be sent now.
    pub(crate) fn plan(&mut self, holding: &Holding<R>, seq: u64) -> Plan<R> {
        let mut plan = Plan {
            upserts: Vec::new(),
            absent: Vec::new(),
            removals: Vec::new(),
        };
        if self.wildcard {
            for resource in holding.iter(self.kind) {
                match self.entries.get(resource.name()) {
                    None => plan.upserts.push((resource.clone(), true)),
                    Some(entry) => plan.consider(resource, entry),
                }
            }
        }
        for (name, entry) in &mut self.entries {
            if let Some(resource) = holding.get(self.kind, name) {
                if !self.wildcard {
                    plan.consider(resource, entry);
                }
                continue;
            }
            let gone = *entry.gone.get_or_insert(seq);
            let tell = entry.named && self.kind.answers_absence();
            if tell && (entry.has == Has::Nothing || entry.resend) {
                plan.absent.push(name.to_string());
            } else if matches!(entry.has, Has::Accepted(_) | Has::Unsure(_)) {
                plan.removals.push((name.to_string(), gone));
            }
        }
        plan
    }

    /// Notes that a response leaves.
    pub(crate) fn sent(&mut self, in_flight: InFlight<R>) {
        let carried = in_flight.resources.iter().map(Versioned::name);
        for name in carried.chain(in_flight.removed.iter().map(String::as_str)) {
            if let Some(entry) = self.entries.get_mut(name) {
                entry.resend = false;
            }
        }
        self.due = false;
        self.in_flight = Some(in_flight);
    }

    /// The client took the response.
    pub(crate) fn accepted(&mut self, sent: &InFlight<R>) {
        for resource in &sent.resources {
            self.suspects.remove(resource.name());
            let kind = self.kind;
            if let Some(entry) = self.covered(resource.name()) {
                entry.has = Has::Accepted(resource.version().into());
                entry.refused = None;
                if entry.resend {
                    // It took this, but has asked again or has been sent a new parent since.
                    entry.dropped(kind);
                }
            }
        }
        self.told(&sent.removed);
        self.answer(sent);
    }

    /// The client refused the response. Returns whether that names the bad part.
    pub(crate) fn refused(&mut self, sent: &InFlight<R>, reason: &Nack) -> bool {
        match sent.resources.as_slice() {
            // Nothing can be changed about a removal, and it cannot be split usefully: it counts as heard.
            [] => self.told(&sent.removed),
            [bad] if sent.removed.is_empty() => {
                self.suspects.remove(bad.name());
                if let Some(entry) = self.covered(bad.name()) {
                    entry.refused = Some(Box::new((bad.version().into(), reason.clone())));
                    if let Has::Unsure(last) = &mut entry.has {
                        entry.has = last.take().map_or(Has::Nothing, Has::Accepted);
                    }
                }
            }
            several => {
                for resource in several {
                    self.suspects.insert(resource.name().to_owned());
                    self.covered(resource.name());
                }
                let carried = several.iter().map(Versioned::name);
                for name in carried.chain(sent.removed.iter().map(String::as_str)) {
                    if let Some(entry) = self.entries.get_mut(name) {
                        entry.doubt(self.kind);
                    }
                }
                self.answered = true;
                self.unmake();
                return false;
            }
        }
        self.answer(sent);
        true
    }

    /// The entry of a name that the client still subscribes to.
    fn covered(&mut self, name: &str) -> Option<&mut Entry> {
        if self.wildcard && !self.entries.contains_key(name) {
            self.entries.insert(name.into(), Entry::new(false, Has::Nothing));
        }
        self.entries.get_mut(name)
    }

    /// The client knows that these names do not exist.
    fn told(&mut self, removed: &[String]) {
        for name in removed {
            match self.entries.get_mut(name.as_str()) {
                Some(entry) if entry.named => entry.has = Has::Absent,
                Some(_) => _ = self.entries.remove(name.as_str()),
                None => {}
            }
        }
    }

    /// Moves the marks to what the response confirms.
    fn answer(&mut self, sent: &InFlight<R>) {
        self.answered = true;
        self.idle = false;
        self.made = self.made.max(sent.made.unwrap_or(0));
        self.done = self.done.max(sent.done.unwrap_or(0));
    }

    /// Name, version and reason of what the client refuses, in order of name.
    pub(crate) fn refusals(&self) -> impl Iterator<Item = (&str, &str, &Nack)> {
        self.entries.iter().filter_map(|(name, entry)| {
            let (version, reason) = entry.refused.as_deref()?;
            Some((&**name, &**version, reason))
        })
    }

    /// Where this kind stands, for people.
    pub(crate) fn status(&self) -> KindStatus {
        let mut status = KindStatus {
            kind: self.kind,
            wildcard: self.wildcard,
            subscribed: Vec::new(),
            in_flight: self.in_flight.as_ref().map(|sent| InFlightStatus {
                nonce: sent.nonce.clone(),
                names: sent.names(),
                removed: sent.removed.clone(),
            }),
            accepted: Vec::new(),
            refused: Vec::new(),
            suspects: self.suspects.len(),
        };
        for (name, entry) in &self.entries {
            if entry.named {
                status.subscribed.push(name.to_string());
            }
            if let Has::Accepted(version) | Has::Unsure(Some(version)) = &entry.has {
                status.accepted.push((name.to_string(), version.to_string()));
            }
            if let Some((version, reason)) = entry.refused.as_deref() {
                status.refused.push(Refusal {
                    name: name.to_string(),
                    version: version.to_string(),
                    reason: reason.clone(),
                });
            }
        }
        status
    }
}

impl Entry {
    /// The client asks (again) for this name.
    fn asked_again<R: Versioned>(&mut self, in_flight: Option<&InFlight<R>>, name: &str, kind: Kind) {
        self.resend |= in_flight.is_some_and(|sent| sent.mentions(name));
        self.refused = None;
        self.dropped(kind);
    }

    /// The client may have dropped what it had, and waits for news of it, or may still have it.
    fn dropped(&mut self, kind: Kind) {
        if self.named && kind.answers_absence() {
            // Then "does not exist" is told without delay, which serves both cases.
            self.has = Has::Nothing;
        } else if matches!(self.has, Has::Accepted(_)) {
            self.doubt(kind);
        }
    }

    /// What the client has is no longer certain; the last accepted version is still shown.
    fn doubt(&mut self, kind: Kind) {
        self.has = match std::mem::replace(&mut self.has, Has::Nothing) {
            Has::Accepted(version) => Has::Unsure(Some(version)),
            Has::Unsure(version) => Has::Unsure(version),
            // It waits for a first answer, so a disappearance must not wait for others as a removal does.
            Has::Nothing | Has::Absent if self.named && kind.answers_absence() => Has::Nothing,
            Has::Nothing | Has::Absent => Has::Unsure(None),
        };
    }
}

impl<R: Versioned> Plan<R> {
    fn consider(&mut self, resource: &R, entry: &Entry) {
        if entry.wants(resource) {
            let lacking = entry.resend || !matches!(entry.has, Has::Accepted(_));
            self.upserts.push((resource.clone(), lacking));
        }
    }
}

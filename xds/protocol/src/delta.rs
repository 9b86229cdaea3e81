//! The incremental variant: only what changed is sent, and what is gone is named.

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use crate::event::{Event, Nack, StreamStatus};
use crate::holding::{Holding, Versioned};
use crate::kind::Kind;
use crate::limits::{Limits, ProtocolError};
use crate::order;
use crate::track::{InFlight, Plan, Track};

/// The name that subscribes to everything of a kind.
const WILDCARD: &str = "*";

/// A delta request without its wire types. Corresponds to `envoy.service.discovery.v3.DeltaDiscoveryRequest`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeltaRequest {
    /// The kind, from `type_url`.
    pub kind: Kind,
    /// Names to subscribe to; `*` for everything.
    pub subscribe: Vec<String>,
    /// Names to unsubscribe from.
    pub unsubscribe: Vec<String>,
    /// Name and version of what the client kept from an earlier stream; read from the first request of a kind.
    pub initial_versions: Vec<(String, String)>,
    /// The response that is answered; empty for none.
    pub nonce: String,
    /// Set if the answer is a refusal.
    pub error: Option<Nack>,
}

/// A delta response to be framed by the server. Corresponds to `DeltaDiscoveryResponse`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeltaResponse<R> {
    /// The kind.
    pub kind: Kind,
    /// Eight hexadecimal digits, unique within the stream.
    pub nonce: String,
    /// New content, in order of name.
    pub resources: Vec<R>,
    /// Names that do not exist or no longer exist, in order.
    pub removed: Vec<String>,
}

/// One delta stream.
///
/// At most one response of a kind is unanswered at any time, and only the newest holding is kept, so the memory
/// of a stream is bounded by its subscriptions, its holding and [`Limits`].
#[derive(Debug)]
pub struct DeltaStream<R> {
    limits: Limits,
    /// `None` until the first holding: nothing may be called absent before it is known.
    holding: Option<Holding<R>>,
    /// The number of the holding, counted from 1.
    seq: u64,
    /// The number of the holding that last changed a listener or a route.
    heads_changed: u64,
    last_nonce: u32,
    tracks: [Track<R>; Kind::COUNT],
}

impl<R: Versioned> DeltaStream<R> {
    /// A stream on which nothing was said yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let tracks = Kind::ALL.map(Track::new);
        Self {
            limits,
            holding: None,
            seq: 0,
            heads_changed: 0,
            last_nonce: 0,
            tracks,
        }
    }

    /// Takes a request: first its answer to the outstanding response, then its changes of subscriptions. Call
    /// [`Self::next_responses`] afterwards.
    ///
    /// # Errors
    /// The request exceeds a limit; nothing of it was taken, and the stream is to be ended.
    pub fn on_request(&mut self, request: DeltaRequest) -> Result<Vec<Event>, ProtocolError> {
        self.check(&request)?;
        let DeltaRequest {
            kind,
            subscribe,
            unsubscribe,
            initial_versions,
            nonce,
            error,
        } = request;
        let mut events = Vec::new();
        if !nonce.is_empty() || error.is_some() {
            events.push(self.answer(kind, nonce, error.map(Nack::bounded)));
        }
        let track = &mut self.tracks[kind.index()];
        let first = !std::mem::replace(&mut track.opened, true);
        if first {
            // A client that never names anything wants everything: the older way to say `*`.
            let wildcard = subscribe.is_empty() || subscribe.iter().any(|name| name == WILDCARD);
            events.push(Event::Opened {
                kind,
                wildcard,
                known: initial_versions.len(),
            });
            if subscribe.is_empty() {
                track.subscribe_all();
            }
        }
        if !subscribe.is_empty() || !unsubscribe.is_empty() {
            track.unmake();
        }
        for name in unsubscribe {
            if name == WILDCARD {
                track.unsubscribe_all();
            } else {
                track.unsubscribe(&name);
            }
        }
        for name in subscribe {
            if name == WILDCARD {
                track.subscribe_all();
            } else {
                track.subscribe(name);
            }
        }
        if first {
            track.restore(initial_versions);
            self.orphan(kind);
        }
        Ok(events)
    }

    /// Forgets what the client says that it kept of a kind where a new parent is on its way: the client wrote
    /// this before it took the parent, and drops the child then.
    fn orphan(&mut self, kind: Kind) {
        let on_the_way = self.tracks.iter().filter_map(|track| track.in_flight.as_ref());
        let parents: Vec<R> = on_the_way
            .flat_map(|sent| sent.resources.iter().cloned())
            .collect();
        for (child, name) in parents.iter().filter_map(Versioned::child) {
            if child == kind {
                self.tracks[kind.index()].forget(name);
            }
        }
    }

    /// Replaces what the proxy should hold. Only the newest holding counts: what was not sent of an older one
    /// never will be.
    pub fn set_holding(&mut self, holding: Holding<R>) {
        self.seq += 1;
        let old = self.holding.take();
        let holding = match &old {
            Some(old) => holding.sharing(old),
            None => holding,
        };
        for kind in Kind::ALL {
            if old.as_ref().is_some_and(|old| old.same_kind(&holding, kind)) {
                continue;
            }
            self.tracks[kind.index()].rebase(&holding, self.seq);
            if !order::needs(kind).is_empty() {
                self.heads_changed = self.seq;
            }
        }
        self.holding = Some(holding);
    }

    /// Everything that may be sent right now, in sending order. Empty before the first holding.
    pub fn next_responses(&mut self) -> Vec<DeltaResponse<R>> {
        let mut responses = Vec::new();
        let Some(holding) = self.holding.clone() else {
            return responses;
        };
        // Each pass but the last sends a response, of which each kind has at most one unanswered, or moves a
        // mark towards the number of the holding; so there are few passes.
        loop {
            let before = (responses.len(), self.marks());
            let heads_wait = [Kind::Listener, Kind::Route]
                .into_iter()
                .any(|kind| self.asks(kind, &holding));
            for kind in Kind::ALL {
                responses.extend(self.compose(kind, &holding, heads_wait));
            }
            if (responses.len(), self.marks()) == before {
                return responses;
            }
        }
    }

    /// What the proxy should hold, as far as this stream was told.
    #[must_use]
    pub fn holding(&self) -> Option<&Holding<R>> {
        self.holding.as_ref()
    }

    /// Where the stream stands, by kind. Costs a copy of every name that the stream knows.
    #[must_use]
    pub fn status(&self) -> StreamStatus {
        StreamStatus {
            kinds: self
                .tracks
                .iter()
                .filter(|t| t.opened)
                .map(Track::status)
                .collect(),
        }
    }

    /// Whether everything sent is answered and nothing is left to send.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.tracks.iter().filter(|track| track.opened).all(|track| {
            // A plan was made and found empty; without a holding there is nothing to plan.
            track.in_flight.is_none() && (track.idle || self.holding.is_none())
        })
    }

    /// The number of the newest holding, counted from 1 with each [`Self::set_holding`]; 0 before the first.
    #[must_use]
    pub fn holding_number(&self) -> u64 {
        self.seq
    }

    /// The number of the newest holding for all of which the client has answered, by taking or by refusing it: its
    /// resources, those that they led the client to ask for, and the removals. 0 as long as there is none. What was
    /// overtaken by a newer holding before it was sent counts as answered with that one. Goes back while the client
    /// waits for something that it has just asked for.
    #[must_use]
    pub fn answered(&self) -> u64 {
        let Some(holding) = &self.holding else { return 0 };
        // Nothing leads to these kinds: every client asks for them, if not at once.
        let unasked = |kind: Kind| kind.is_wildcard_capable() && holding.len(kind) > 0;
        let marks = self.tracks.iter().filter_map(|track| match track.opened {
            true => Some(track.made.min(track.done)),
            false => unasked(track.kind).then_some(0),
        });
        marks.min().unwrap_or(self.seq)
    }

    /// What the client refuses and would be sent if it did not, with its reasons. Costs a look at every name that
    /// the stream knows.
    #[must_use]
    pub fn refusals(&self) -> Vec<(Kind, R, Nack)> {
        let Some(holding) = &self.holding else {
            return Vec::new();
        };
        let of = |track: &Track<R>| -> Vec<(Kind, R, Nack)> {
            let refused = track.refusals().filter_map(|(name, version, reason)| {
                let wanted = holding
                    .get(track.kind, name)
                    .filter(|wanted| wanted.version() == version);
                Some((track.kind, wanted?.clone(), reason.clone()))
            });
            refused.collect()
        };
        self.tracks.iter().flat_map(of).collect()
    }

    /// Holds the request to the limits.
    fn check(&self, request: &DeltaRequest) -> Result<(), ProtocolError> {
        let kind = request.kind;
        let versions = &request.initial_versions;
        let counts = [
            ("subscribe", request.subscribe.len()),
            ("unsubscribe", request.unsubscribe.len()),
            ("initial_versions", versions.len()),
        ];
        let limit = self.limits.names_per_request;
        for (field, count) in counts {
            if count > limit {
                return Err(ProtocolError::TooManyNames {
                    kind,
                    field,
                    count,
                    limit,
                });
            }
        }
        let named = request.subscribe.iter().map(|name| ("subscribe", name));
        let dropped = request.unsubscribe.iter().map(|name| ("unsubscribe", name));
        let known = versions.iter().map(|(name, _)| ("initial_versions", name));
        for (field, name) in named.chain(dropped).chain(known) {
            if name.is_empty() {
                return Err(ProtocolError::EmptyName { kind, field });
            }
            self.check_length(kind, field, name)?;
        }
        for (_, version) in versions {
            self.check_length(kind, "initial_versions", version)?;
        }
        self.check_length(kind, "nonce", &request.nonce)?;
        if request.subscribe.is_empty() {
            return Ok(());
        }
        let track = &self.tracks[kind.index()];
        let added: BTreeSet<&str> = request.subscribe.iter().map(String::as_str).collect();
        let added = added
            .into_iter()
            .filter(|name| *name != WILDCARD && !track.is_subscribed(name))
            .count();
        // Names that the same request drops are not credited: the bound holds at every moment.
        let limit = self.limits.subscriptions_per_kind;
        if track.subscriptions() + added > limit {
            return Err(ProtocolError::TooManySubscriptions { kind, limit });
        }
        Ok(())
    }

    fn check_length(&self, kind: Kind, field: &'static str, item: &str) -> Result<(), ProtocolError> {
        let (bytes, limit) = (item.len(), self.limits.name_bytes);
        if bytes > limit {
            Err(ProtocolError::TooLong {
                kind,
                field,
                bytes,
                limit,
            })
        } else {
            Ok(())
        }
    }

    /// Takes the answer to a response.
    fn answer(&mut self, kind: Kind, nonce: String, reason: Option<Nack>) -> Event {
        let track = &mut self.tracks[kind.index()];
        let Some(sent) = track.in_flight.take_if(|sent| sent.nonce == nonce) else {
            return Event::StaleNonce { kind, nonce, reason };
        };
        let isolated = match &reason {
            None => {
                track.accepted(&sent);
                true
            }
            Some(reason) => track.refused(&sent, reason),
        };
        let (names, removed) = (sent.names(), sent.removed);
        match reason {
            None => Event::Acked {
                kind,
                nonce,
                names,
                removed,
            },
            Some(reason) => Event::Nacked {
                kind,
                nonce,
                names,
                removed,
                reason,
                isolated,
            },
        }
    }

    /// Whether the kind has additions that could leave if nothing else stood in the way.
    fn asks(&mut self, kind: Kind, holding: &Holding<R>) -> bool {
        let seq = self.seq;
        let track = &mut self.tracks[kind.index()];
        if !track.opened || track.in_flight.is_some() || track.idle {
            return false;
        }
        let plan = track.plan(holding, seq);
        track.due || !plan.upserts.is_empty() || !plan.absent.is_empty()
    }

    /// Whether everything that additions of `kind` could refer to is answered.
    fn may_add(&self, kind: Kind) -> bool {
        order::needs(kind)
            .iter()
            .map(|need| &self.tracks[need.index()])
            .all(|need| !need.opened || (need.in_flight.is_none() && need.made >= self.heads_changed))
    }

    /// The newest holding whose removals of `kind` may leave.
    fn may_remove_until(&self, kind: Kind) -> u64 {
        let referrers = order::referrers(kind);
        if !referrers.is_empty() && !self.tracks[kind.index()].answered {
            // A client that reconnects asks for its kinds one after the other. Until it has answered once, it
            // may still have referrers that this stream has not heard of.
            return 0;
        }
        let opened = referrers
            .iter()
            .map(|kind| &self.tracks[kind.index()])
            .filter(|track| track.opened);
        opened.map(|track| track.done).min().unwrap_or(u64::MAX)
    }

    /// How far each kind is answered.
    fn marks(&self) -> [(u64, u64); Kind::COUNT] {
        std::array::from_fn(|at| (self.tracks[at].made, self.tracks[at].done))
    }

    /// Whether mere refreshes of this kind stay behind until the waiting listeners and routes have left; a busy
    /// kind would otherwise delay those for ever. What the client lacks altogether never stays behind: it may be
    /// waiting for it.
    fn holds_back(&self, kind: Kind) -> bool {
        let ready = |kind: Kind| {
            let track = &self.tracks[kind.index()];
            !track.opened || track.made >= self.heads_changed
        };
        match kind {
            Kind::Cluster => ready(kind),
            // Envoy answers for clusters only when they are warm, which can take long: no reason to sit on news
            // of endpoints meanwhile.
            Kind::Secret | Kind::Endpoints => {
                order::needs(Kind::Route).iter().copied().all(ready)
                    && self.tracks[Kind::Cluster.index()].in_flight.is_none()
            }
            // Who is refused from now on is no news to sit on: only when listeners wait for nothing else.
            Kind::Extension => {
                let idle = |kind: Kind| self.tracks[kind.index()].in_flight.is_none();
                let others = order::needs(Kind::Route).iter().copied();
                ready(kind) && others.into_iter().all(|kind| ready(kind) && idle(kind))
            }
            Kind::Listener | Kind::Route => false,
        }
    }

    /// The response of this kind that may be sent now. `heads_wait`: there are listeners or routes to send.
    fn compose(&mut self, kind: Kind, holding: &Holding<R>, heads_wait: bool) -> Option<DeltaResponse<R>> {
        let seq = self.seq;
        let may_add = self.may_add(kind);
        let until = self.may_remove_until(kind);
        let hold_back = heads_wait && self.holds_back(kind);
        let track = &mut self.tracks[kind.index()];
        if !track.opened || track.in_flight.is_some() {
            return None;
        }
        if track.idle {
            track.made = seq;
            track.done = seq;
            return None;
        }
        let Plan {
            upserts,
            absent,
            removals,
        } = track.plan(holding, seq);
        if !track.answered && !removals.is_empty() {
            track.due = true;
        }
        track
            .suspects
            .retain(|name| upserts.iter().any(|(resource, _)| resource.name() == name));
        let asks = track.due || !upserts.is_empty() || !absent.is_empty();
        let oldest_kept = removals
            .iter()
            .map(|(_, gone)| *gone)
            .filter(|gone| *gone > until)
            .min();
        let done = oldest_kept.map_or(seq, |gone| gone - 1);
        let nothing_left = !asks && removals.is_empty();
        if !asks {
            track.made = seq;
        }
        if asks && !may_add {
            return None;
        }
        let mut removed: Vec<String> = removals
            .into_iter()
            .filter(|(_, gone)| *gone <= until)
            .map(|(name, _)| name)
            .collect();
        removed.extend(absent);
        removed.sort_unstable();
        let (resources, complete) = if track.suspects.is_empty() {
            let all = upserts.len();
            let chosen: Vec<R> = upserts
                .into_iter()
                .filter(|(_, lacking)| *lacking || !hold_back)
                .map(|(r, _)| r)
                .collect();
            let complete = chosen.len() == all;
            (chosen, complete)
        } else if removed.is_empty() {
            // The suspects are all in the plan; the first goes alone.
            let first = track.suspects.first().cloned().unwrap_or_default();
            (
                upserts
                    .into_iter()
                    .map(|(r, _)| r)
                    .filter(|r| r.name() == first)
                    .collect(),
                false,
            )
        } else {
            (Vec::new(), false)
        };
        if resources.is_empty() && removed.is_empty() && !track.due {
            if complete {
                track.done = track.done.max(done);
            }
            track.idle = nothing_left;
            return None;
        }
        self.last_nonce = self.last_nonce.wrapping_add(1);
        let nonce = format!("{:08x}", self.last_nonce);
        track.sent(InFlight {
            nonce: nonce.clone(),
            resources: resources.clone(),
            removed: removed.clone(),
            made: complete.then_some(seq),
            done: complete.then_some(done),
        });
        for (child, name) in resources.iter().filter_map(Versioned::child) {
            self.tracks[child.index()].forget(name);
        }
        Some(DeltaResponse {
            kind,
            nonce,
            resources,
            removed,
        })
    }
}

//! Which proxies are connected and where they stand.

use crate::limits::MAX_NACK_RESOURCES;
use crate::metrics;
use crate::node::Caller;
use crate::piece::Piece;
use crate::pump::Publication;
use crate::receipt::{self, Progress, Standing};
use crate::trust::{self, ProxyTrust};
use dashmap::DashMap;
use parking_lot::Mutex;
use peerway_model::{CaRoot, InstanceKey, ProxyReceipt, RefusedResource, ServiceKind, SpiffeId};
use peerway_runtime::UnixMillis;
use peerway_state::Revision;
use peerway_xds_protocol::{DeltaStream, Event, Kind, Nack, StreamStatus};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// One connected proxy.
#[derive(Clone, Debug)]
pub struct ProxyStatus {
    /// The proxy's instance.
    pub proxy: InstanceKey,
    /// Who it is; `None` while it is not registered.
    pub identity: Option<SpiffeId>,
    /// Major, minor and patch of its Envoy.
    pub envoy_version: (u32, u32, u32),
    /// When the stream was opened.
    pub connected_since: UnixMillis,
    /// Responses sent on the stream.
    pub pushes: u64,
    /// Responses accepted.
    pub acks: u64,
    /// Responses refused.
    pub nacks: u64,
    /// The last refusal, if there was one.
    pub last_nack: Option<LastNack>,
    /// How long the last change took until the proxy had answered for all of it.
    pub change_to_ack: Option<Duration>,
    /// Whether the proxy has answered for everything that it should hold.
    pub settled: bool,
    /// It has answered for everything up to this revision; `None` while it has not answered for anything.
    pub revision: Option<Revision>,
    /// What it refuses, at most [`MAX_REFUSALS_SHOWN`](crate::limits::MAX_REFUSALS_SHOWN).
    pub refused: Vec<RefusedResource>,
    /// Subscriptions, accepted versions and refused ones.
    pub stream: StreamStatus,
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastNack {
    /// The type of the resources.
    pub kind: Kind,
    /// Name and version of what was refused, at most [`MAX_NACK_RESOURCES`].
    pub resources: Vec<(String, String)>,
    /// The proxy's reason.
    pub reason: Nack,
    /// When.
    pub at: UnixMillis,
}

/// The connected proxies.
#[derive(Default)]
pub(crate) struct Sessions {
    next: AtomicU64,
    open: DashMap<u64, Arc<Session>>,
}

/// One stream of a proxy that has said who it is.
pub(crate) struct Session {
    pub(crate) caller: Caller,
    since: UnixMillis,
    /// What the stream follows, from when on it does.
    publication: OnceLock<Publication>,
    /// Locked for moments only, by the stream's task and by whoever asks for the status.
    pub(crate) live: Mutex<Live>,
}

pub(crate) struct Live {
    pub(crate) protocol: DeltaStream<Piece>,
    identity: Option<SpiffeId>,
    /// What it is counted as; `None` while it is nobody.
    counted: Option<&'static str>,
    pub(crate) progress: Progress,
    /// The roots of the leaves in the protocol's holding, by the names of their secrets.
    pub(crate) leaf_roots: BTreeMap<String, String>,
    /// Whether these are all that the proxy should have.
    pub(crate) has_leaves: bool,
    pushes: u64,
    acks: u64,
    nacks: u64,
    last_nack: Option<LastNack>,
    /// Since when something is not answered for, on the monotonic clock, and whether any of it was sent.
    pending: Option<(Duration, bool)>,
    change_to_ack: Option<Duration>,
}

/// Takes the session off the table when the stream ends in whatever way.
pub(crate) struct Listed<'a> {
    sessions: &'a Sessions,
    number: u64,
    pub(crate) session: Arc<Session>,
}

impl Sessions {
    pub(crate) fn enter(
        &self,
        caller: Caller,
        since: UnixMillis,
        protocol: DeltaStream<Piece>,
    ) -> Listed<'_> {
        let live = Live {
            protocol,
            identity: None,
            counted: None,
            progress: Progress::default(),
            leaf_roots: BTreeMap::new(),
            has_leaves: false,
            pushes: 0,
            acks: 0,
            nacks: 0,
            last_nack: None,
            pending: None,
            change_to_ack: None,
        };
        let session = Arc::new(Session {
            caller,
            since,
            publication: OnceLock::new(),
            live: Mutex::new(live),
        });
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.open.insert(number, Arc::clone(&session));
        Listed {
            sessions: self,
            number,
            session,
        }
    }

    /// Every stream, in no order. Copied: no part of the table stays locked while they are looked at.
    pub(crate) fn streams(&self) -> Vec<Arc<Session>> {
        self.open.iter().map(|entry| Arc::clone(entry.value())).collect()
    }

    /// Every stream, given what the pump has published.
    pub(crate) fn all(&self, published: Revision) -> Vec<ProxyStatus> {
        let sessions = self.streams();
        let mut all: Vec<ProxyStatus> = sessions.iter().map(|session| session.status(published)).collect();
        all.sort_by(|a, b| (&a.proxy, a.connected_since).cmp(&(&b.proxy, b.connected_since)));
        all
    }

    pub(crate) fn trusts(&self, old: &CaRoot, new: &CaRoot) -> Vec<ProxyTrust> {
        let mut all: Vec<ProxyTrust> = self
            .streams()
            .iter()
            .map(|session| {
                let live = session.live.lock();
                let (trusts, renewed) = trust::look(&live.protocol, &live.leaf_roots, old, new);
                ProxyTrust {
                    proxy: session.caller.proxy.clone(),
                    trusts,
                    renewed,
                }
            })
            .collect();
        all.sort_by(|a, b| a.proxy.cmp(&b.proxy));
        all
    }
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        self.sessions.open.remove(&self.number);
        self.session.live.lock().identify(None);
    }
}

impl Session {
    /// Says what the stream follows.
    pub(crate) fn follows(&self, publication: &Publication) {
        let _ = self.publication.set(publication.clone());
    }

    /// Looks at the stream, given what the pump has published.
    fn look<T>(&self, published: Revision, see: impl FnOnce(&Live, &Standing<'_>) -> T) -> T {
        let newest = self.publication.get().and_then(|newest| newest.borrow().clone());
        let mut live = self.live.lock();
        live.progress.reach(newest.as_ref(), published);
        let standing = Standing {
            progress: &live.progress,
            protocol: &live.protocol,
            has_leaf: live.has_leaves,
            refuses: live.nacks > 0,
        };
        see(&live, &standing)
    }

    /// What has become of a change at the proxy, which is of this kind.
    pub(crate) fn receipt(&self, kind: ServiceKind, change: Revision, published: Revision) -> ProxyReceipt {
        self.look(published, |_, standing| {
            standing.receipt(&self.caller.proxy, kind, change)
        })
    }

    fn status(&self, published: Revision) -> ProxyStatus {
        self.look(published, |live, standing| self.shown(live, standing))
    }

    fn shown(&self, live: &Live, standing: &Standing<'_>) -> ProxyStatus {
        ProxyStatus {
            proxy: self.caller.proxy.clone(),
            identity: live.identity.clone(),
            envoy_version: self.caller.version,
            connected_since: self.since,
            pushes: live.pushes,
            acks: live.acks,
            nacks: live.nacks,
            last_nack: live.last_nack.clone(),
            change_to_ack: live.change_to_ack,
            settled: live.protocol.is_settled(),
            revision: standing.revision(),
            refused: receipt::refused(&live.protocol, Revision::MAX),
            stream: live.protocol.status(),
        }
    }
}

impl Live {
    /// The proxy turned out to be this one, or nobody. Counts it among the streams of its kind.
    pub(crate) fn identify(&mut self, known: Option<(&SpiffeId, ServiceKind)>) {
        self.identity = known.map(|(identity, _)| identity.clone());
        let counted = known.map(|(_, kind)| metrics::proxy_kind(kind));
        if self.counted == counted {
            return;
        }
        if let Some(old) = self.counted {
            metrics::STREAMS.with_label_values(&[old]).dec();
        }
        if let Some(new) = counted {
            metrics::STREAMS.with_label_values(&[new]).inc();
        }
        self.counted = counted;
    }

    /// Something changed at `since`; the clock of an earlier change that is not answered for goes on.
    pub(crate) fn changed(&mut self, since: Duration) {
        self.pending.get_or_insert((since, false));
    }

    pub(crate) fn sent(&mut self, kind: Kind) {
        self.pushes += 1;
        metrics::PUSHES.with_label_values(&[kind.label()]).inc();
        if let Some((_, sent)) = &mut self.pending {
            *sent = true;
        }
    }

    /// Takes note of what a request meant. Returns the refusal that it was, to be logged.
    pub(crate) fn heard(&mut self, event: Event, at: UnixMillis) -> Option<LastNack> {
        match event {
            Event::Acked { kind, .. } => {
                self.acks += 1;
                metrics::ACKS.with_label_values(&[kind.label()]).inc();
                None
            }
            Event::Nacked {
                kind,
                mut names,
                reason,
                ..
            } => {
                self.nacks += 1;
                metrics::NACKS.with_label_values(&[kind.label()]).inc();
                names.truncate(MAX_NACK_RESOURCES);
                let nack = LastNack {
                    kind,
                    resources: names,
                    reason,
                    at,
                };
                self.last_nack = Some(nack.clone());
                Some(nack)
            }
            _ => None,
        }
    }

    /// Stops the clock of a change when everything is answered for at `now`.
    pub(crate) fn settle(&mut self, now: Duration) {
        self.progress.answered(self.protocol.answered());
        if self.pending.is_none() || !self.protocol.is_settled() {
            return;
        }
        // A change that did not concern what this proxy has took no time.
        if let Some((since, true)) = self.pending.take() {
            let took = now.saturating_sub(since);
            metrics::CHANGE_TO_ACK.observe(took.as_secs_f64());
            self.change_to_ack = Some(took);
        }
    }
}

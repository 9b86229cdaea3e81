//! The gate where Envoys come and go.
//!
//! One task, the pump, owns the mesh: it follows the store's feed, translates what changed once for everybody and
//! publishes to each proxy what it should hold. One task a stream drives the protocol of that stream and sends the
//! bytes that were encoded before. Nothing here knows where leaves come from ([`SecretSource`]).
//!
//! - `service`, `codec`: gRPC in and out.
//! - `pump`, `cache`: from the store to what each proxy should hold.
//! - `stream`, `node`, `piece`: one Envoy.
//! - `receipt`: which changes a proxy has answered for.
//! - `revocation`: whose connections have to be decided anew.
//! - `status`, `metrics`, `limits`: for people.

mod cache;
mod codec;
pub mod limits;
mod metrics;
mod node;
pub mod parts;
mod piece;
mod pump;
mod receipt;
mod revocation;
mod secrets;
mod service;
mod status;
mod stream;
mod trust;

pub use secrets::SecretSource;
pub use service::Service;
pub use status::{LastNack, ProxyStatus};
pub use trust::ProxyTrust;

use peerway_model::config::Action;
use peerway_model::{CaRoot, InstanceKey, NodeName, PeeringKey, ProxyReceipt, ReceiptState};
use peerway_runtime::{SharedClock, Tasks};
use peerway_state::Revision;
use peerway_store::Reader;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use tokio::sync::watch;

/// What the gate is made of.
pub struct Parts {
    /// What is served.
    pub reader: Reader,
    /// Where leaves come from.
    pub secrets: Arc<dyn SecretSource>,
    /// Runs the pump (critical) and the streams, and says when to stop.
    pub tasks: Tasks,
    /// For ages and dates.
    pub clock: SharedClock,
    /// The node of a proxy that does not name one: that of this server.
    pub node_name: NodeName,
    /// What happens to callers about whom no intention says anything.
    pub default_intention: Action,
    /// The peers of whom what is held is too old to count on, as it changes.
    pub stale: watch::Receiver<Arc<BTreeSet<PeeringKey>>>,
}

/// The running gate. Clones are the same gate.
#[derive(Clone)]
pub struct Gate {
    shared: Arc<Shared>,
}

/// What streams share.
struct Shared {
    reader: Reader,
    pump: pump::Pump,
    secrets: Arc<dyn SecretSource>,
    tasks: Tasks,
    clock: SharedClock,
    node_name: NodeName,
    sessions: status::Sessions,
    /// Streams that are open, at most `max_streams`.
    streams: AtomicUsize,
    max_streams: usize,
}

impl Gate {
    /// Starts the pump. Needs a running tokio runtime.
    pub fn start(parts: Parts) -> Self {
        Self::start_with(parts, limits::MAX_STREAMS)
    }

    fn start_with(parts: Parts, max_streams: usize) -> Self {
        let Parts {
            reader,
            secrets,
            tasks,
            clock,
            node_name,
            default_intention,
            stale,
        } = parts;
        let pump = pump::start(&reader, default_intention, stale, &tasks, Arc::clone(&clock));
        let shared = Shared {
            reader,
            pump,
            secrets,
            tasks,
            clock,
            node_name,
            sessions: status::Sessions::default(),
            streams: AtomicUsize::new(0),
            max_streams,
        };
        Gate {
            shared: Arc::new(shared),
        }
    }

    /// The gRPC service `envoy.service.discovery.v3.AggregatedDiscoveryService`, to be added to tonic's routes.
    /// Only its delta method is served.
    pub fn service(&self) -> Service {
        Service::new(Arc::clone(&self.shared))
    }

    /// Every proxy that is connected, by key; one that has several streams open is listed for each. Costs a copy of
    /// every name that the streams know.
    pub fn statuses(&self) -> Vec<ProxyStatus> {
        self.shared.sessions.all(self.shared.pump.published())
    }

    /// What has become of the change with this revision at every registered proxy, by key; one that has several
    /// streams open is listed for each. Costs a look at every stream, and at every name that one with a refusal
    /// knows.
    pub fn receipts(&self, change: Revision) -> Vec<ProxyReceipt> {
        // First of all: a stream that is then found to have what was published for it is as far as this.
        let published = self.shared.pump.published();
        let mut streams: HashMap<InstanceKey, Vec<Arc<status::Session>>> = HashMap::new();
        for session in self.shared.sessions.streams() {
            streams
                .entry(session.caller.proxy.clone())
                .or_default()
                .push(session);
        }
        let snapshot = self.shared.reader.snapshot();
        let mut receipts = Vec::new();
        for instance in snapshot
            .local_instances()
            .filter(|instance| instance.kind.is_proxy())
        {
            match streams.get(&instance.key) {
                Some(sessions) => {
                    let of_each = sessions.iter();
                    receipts.extend(of_each.map(|session| session.receipt(instance.kind, change, published)));
                }
                None => receipts.push(ProxyReceipt {
                    proxy: instance.key.clone(),
                    kind: instance.kind,
                    state: ReceiptState::Disconnected,
                    reason: "is not connected: it gets everything once it is".to_owned(),
                    revision: None,
                    touched: None,
                    refused: Vec::new(),
                }),
            }
        }
        receipts
    }

    /// What every connected proxy has taken of a change from the root `old` to `new`, by key; one that has several
    /// streams open is listed for each. Costs a look at every certificate that the streams know.
    pub fn trusts(&self, old: &CaRoot, new: &CaRoot) -> Vec<ProxyTrust> {
        self.shared.sessions.trusts(old, new)
    }
}

#[cfg(test)]
mod tests;

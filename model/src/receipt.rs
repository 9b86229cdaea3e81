//! Receipts: who has taken a change, and the proxies as an operator sees them.
//!
//! A change is named by the revision of its commit, so a receipt is not stored: it follows from how far each proxy
//! and each peer is.

use crate::instance::ServiceKind;
use crate::key::{InstanceKey, PeeringKey, ServiceKey};

/// What has become of a change at one proxy or peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReceiptState {
    /// It has answered for everything up to the change, and refuses nothing of it.
    Applied,
    /// It has answered for everything up to the change, and refuses something that is as old as the change or older.
    Refused,
    /// It has not answered for everything up to the change.
    Pending,
    /// It is not there: a proxy without a stream, a peer that has not used its token. It gets everything once it is.
    Disconnected,
}

impl ReceiptState {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            ReceiptState::Applied => "applied",
            ReceiptState::Refused => "refused",
            ReceiptState::Pending => "pending",
            ReceiptState::Disconnected => "disconnected",
        }
    }
}

/// A resource that a proxy refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedResource {
    /// The type: `secret`, `cluster`, `endpoints`, `listener` or `route`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// The refused version.
    pub version: String,
    /// Its content came with this revision or a later one; 0 when it is not known to be newer than the start of the
    /// server or of the proxy's stream.
    pub since: u64,
    /// The proxy's own words.
    pub reason: String,
}

/// What has become of a change at one proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyReceipt {
    /// The proxy's instance.
    pub proxy: InstanceKey,
    /// What it is.
    pub kind: ServiceKind,
    /// What has become of the change.
    pub state: ReceiptState,
    /// Why it is not applied, as far as is known; empty when it is.
    pub reason: String,
    /// It has answered for everything up to this revision; `None` while it has not answered for anything.
    pub revision: Option<u64>,
    /// Whether its configuration changed when the change was taken up; `None` when that is not known any more.
    pub touched: Option<bool>,
    /// What it refuses that is as old as the change or older; of many only the first.
    pub refused: Vec<RefusedResource>,
}

/// What has become of a change at one peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerReceipt {
    /// The peering.
    pub peering: PeeringKey,
    /// What has become of the change.
    pub state: ReceiptState,
    /// Why it is not applied, as far as is known; empty when it is.
    pub reason: String,
    /// The peer has answered for everything up to this revision; `None` while it has not answered for anything on
    /// its present stream.
    pub revision: Option<u64>,
}

/// What has become of a change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// Every registered proxy, by key; one with several streams is there for each.
    pub proxies: Vec<ProxyReceipt>,
    /// Every live peering, by key.
    pub peers: Vec<PeerReceipt>,
}

impl Receipt {
    /// Whether everybody who is there has answered.
    pub fn is_settled(&self) -> bool {
        let proxies = self.proxies.iter().map(|proxy| proxy.state);
        let peers = self.peers.iter().map(|peer| peer.state);
        !proxies.chain(peers).any(|state| state == ReceiptState::Pending)
    }
}

/// A refusal by a proxy that need not stand any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastRefusal {
    /// The type of the resources, as in [`RefusedResource::kind`].
    pub kind: &'static str,
    /// The names of what was refused; of many only the first.
    pub names: Vec<String>,
    /// The proxy's own words.
    pub reason: String,
    /// When, unix milliseconds.
    pub at: u64,
}

/// A stream of a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyConnection {
    /// Version of its Envoy.
    pub envoy_version: String,
    /// Since when it is connected, unix milliseconds.
    pub since: u64,
    /// Whether it has answered for everything that it should hold.
    pub settled: bool,
    /// It has answered for everything up to this revision; `None` while it has not answered for anything.
    pub revision: Option<u64>,
    /// Responses sent.
    pub pushes: u64,
    /// Responses accepted.
    pub acks: u64,
    /// Responses refused.
    pub nacks: u64,
    /// What it refuses; of many only the first.
    pub refused: Vec<RefusedResource>,
    /// Its last refusal.
    pub last_refusal: Option<LastRefusal>,
}

/// A proxy that is registered or connected. One with several streams is there for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyReport {
    /// Its instance.
    pub proxy: InstanceKey,
    /// What it is and the service that it stands for, its own for a gateway; `None` when it is not registered.
    pub registered: Option<(ServiceKind, ServiceKey)>,
    /// Its stream; `None` when it is not connected.
    pub connection: Option<ProxyConnection>,
}

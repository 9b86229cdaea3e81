//! Peerings: the record, its secrets and what the peer gave us to verify its workloads.

use crate::freshness::PeerFreshness;
use crate::key::PeeringKey;
use crate::name::Partition;
use crate::secret::Secret;
use crate::spiffe::TrustDomain;
use std::collections::BTreeMap;
use std::fmt;

/// Which side of the introduction this cluster was; fixed for the life of a peering.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PeeringRole {
    /// Made the token and is dialled.
    Acceptor,
    /// Used the token and dials.
    Dialer,
}

/// The state of a peering (wire facts, section 6.7). `Active` and `Failing` are computed on read from the running
/// stream and never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PeeringState {
    /// Waiting for the other side.
    Pending,
    /// Secrets are exchanged, the stream is about to open.
    Establishing,
    /// A stream is connected.
    Active,
    /// No stream is connected and the last one ended with an error.
    Failing,
    /// Deleted here; the peer is being told and imported rows are being removed.
    Deleting,
    /// Deleted by the peer; stays until an operator deletes it here.
    Terminated,
}

impl PeeringState {
    /// All states.
    pub const ALL: [PeeringState; 6] = [
        PeeringState::Pending,
        PeeringState::Establishing,
        PeeringState::Active,
        PeeringState::Failing,
        PeeringState::Deleting,
        PeeringState::Terminated,
    ];

    /// Consul's text.
    pub fn as_str(self) -> &'static str {
        match self {
            PeeringState::Pending => "PENDING",
            PeeringState::Establishing => "ESTABLISHING",
            PeeringState::Active => "ACTIVE",
            PeeringState::Failing => "FAILING",
            PeeringState::Deleting => "DELETING",
            PeeringState::Terminated => "TERMINATED",
        }
    }

    /// The state of this text.
    pub fn parse(text: &str) -> Option<Self> {
        PeeringState::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// What the other side said about itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct RemoteInfo {
    /// Its partition; empty from a Consul community cluster.
    pub partition: String,
    /// Its datacenter.
    pub datacenter: String,
}

/// The record of a peering.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Peering {
    /// Local partition and name.
    pub key: PeeringKey,
    /// UUID of this record; on an acceptor it is the `PeerID` of the token.
    pub id: String,
    /// Acceptor or dialer.
    pub role: PeeringRole,
    /// One of the states that are stored.
    pub state: PeeringState,
    /// Free-form pairs by the operator.
    pub meta: BTreeMap<String, String>,
    /// On a dialer: the acceptor's UUID, from the token.
    pub remote_id: Option<String>,
    /// PEMs that verify the peer's servers: the token's, later the trust bundle's.
    pub ca_pems: Vec<String>,
    /// On a dialer: SNI and DNS SAN of the acceptor's servers.
    pub server_name: Option<String>,
    /// On a dialer: addresses from the token, later from the stream. `host:port`.
    pub server_addresses: Vec<String>,
    /// On a dialer: addresses by an operator; used instead of the others when not empty.
    pub manual_addresses: Vec<String>,
    /// On an acceptor: addresses that the operator put into the token.
    pub external_addresses: Vec<String>,
    /// What the other side said about itself.
    pub remote: RemoteInfo,
    /// When it was deleted, unix milliseconds.
    pub deleted_at: Option<u64>,
}

impl Peering {
    /// On a dialer: the addresses that are in force, those by an operator before those of the peer.
    pub fn dialled_addresses(&self) -> &[String] {
        if self.manual_addresses.is_empty() {
            &self.server_addresses
        } else {
            &self.manual_addresses
        }
    }

    /// Whether imports and streams are still wanted.
    pub fn is_live(&self) -> bool {
        !matches!(self.state, PeeringState::Deleting | PeeringState::Terminated)
    }
}

/// Most revoked secrets that are remembered for a peering.
pub const MAX_REVOKED_SECRETS: usize = 4;

/// A secret that opens nothing any more, kept to tell whoever still uses it why.
#[derive(Clone)]
pub struct RevokedSecret {
    /// Of the token that it came from; empty when that is not known.
    pub accessor: String,
    /// What it was.
    pub secret: Secret,
}

/// The secrets of a peering (wire facts, section 2.5). A dialer has an active one only.
#[derive(Clone, Default)]
pub struct PeeringSecrets {
    /// One-time secret inside an unused token.
    pub establishment: Option<Secret>,
    /// Exchanged but not used by a stream yet.
    pub pending_stream: Option<Secret>,
    /// Used by the running stream.
    pub active_stream: Option<Secret>,
    /// Revoked ones, the newest last; at most [`MAX_REVOKED_SECRETS`].
    pub revoked: Vec<RevokedSecret>,
}

impl PeeringSecrets {
    /// The revoked secret that this is.
    pub fn find_revoked(&self, offered: &str) -> Option<&RevokedSecret> {
        self.revoked
            .iter()
            .find(|revoked| revoked.secret.matches(offered))
    }
}

impl fmt::Debug for PeeringSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = |secret: &Option<Secret>| secret.is_some();
        write!(
            f,
            "PeeringSecrets(establishment: {}, pending: {}, active: {}, revoked: {})",
            held(&self.establishment),
            held(&self.pending_stream),
            held(&self.active_stream),
            self.revoked.len()
        )
    }
}

/// What a peer gave us to verify its workloads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TrustBundle {
    /// The peering that it came over.
    pub peering: PeeringKey,
    /// The peer's trust domain.
    pub trust_domain: TrustDomain,
    /// The partition that its services live in, as its SPIFFE IDs spell it.
    pub exported_partition: Partition,
    /// One root a text.
    pub root_pems: Vec<String>,
}

/// What is known of a peering's stream right now. Times are unix milliseconds; `None` means never since the start of
/// this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamStatus {
    /// The stored state, or `Active` or `Failing` as the stream is.
    pub state: PeeringState,
    /// Names of the services in the last list received.
    pub imported: Vec<String>,
    /// Names of the services in the last list sent.
    pub exported: Vec<String>,
    /// When the last heartbeat came.
    pub last_heartbeat: Option<u64>,
    /// When anything last came.
    pub last_receive: Option<u64>,
    /// When anything was last sent.
    pub last_send: Option<u64>,
    /// When received data was last applied.
    pub last_applied: Option<u64>,
    /// Why the last stream ended, or why an item was refused.
    pub last_error: Option<String>,
    /// How fresh it is; `None` when there never was a stream.
    pub freshness: Option<PeerFreshness>,
}

//! What the API is made of, and the hatches through which it asks other rooms.

use futures::future::BoxFuture;
use peerway_model::config::{Action, Meta};
use peerway_model::freshness::Standing;
use peerway_model::{
    Failure, Invalid, Leaf, Missing, NewRoot, Node, Partition, PeerName, PeeringKey, ProxyReport, Receipt,
    Requester, RotationStatus, Secret, ServiceKey, StreamStatus, TokenBounds,
};
use peerway_runtime::{Readiness, SharedClock};
use peerway_state::Revision;
use peerway_store::{Reader, Writer};
use std::sync::Arc;
use std::time::Duration;

/// Everything that [`crate::router`] needs.
pub struct Parts {
    /// For reads.
    pub reader: Reader,
    /// For writes.
    pub writer: Writer,
    /// For deadlines.
    pub clock: SharedClock,
    /// The local node: services that are registered here run on it. Written with the first service of a
    /// partition when it is not there; its datacenter is the cluster's.
    pub node: Node,
    /// The version of this program, as `/v1/agent/self` tells it.
    pub version: &'static str,
    /// The Envoy versions that are supported, newest first.
    pub envoy_versions: &'static [&'static str],
    /// What happens to callers about whom no intention says anything.
    pub default_intention: Action,
    /// `host:port` under which `/v1/status/leader` names this server.
    pub leader_address: String,
    /// Where Envoy finds xDS.
    pub ports: Ports,
    /// What `/ready` tells.
    pub readiness: Readiness,
    /// Leaf certificates.
    pub leaves: Arc<dyn Leaves>,
    /// Rotation of the root.
    pub rotations: Arc<dyn Rotations>,
    /// Peerings.
    pub introductions: Arc<dyn Introductions>,
    /// Who has taken what.
    pub receipts: Arc<dyn Receipts>,
}

/// The ports of xDS; `None` where it is off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ports {
    /// Without TLS.
    pub xds_plaintext: Option<u16>,
    /// With TLS.
    pub xds_tls: Option<u16>,
}

/// Gives leaf certificates.
pub trait Leaves: Send + Sync {
    /// The current leaf of a local service; the same one until it is renewed.
    fn leaf(&self, service: &ServiceKey) -> BoxFuture<'_, Result<Arc<Leaf>, Failure>>;

    /// Whether a certificate and a private key, both PEM, belong together; refuses by `Certificate` and `PrivateKey`.
    fn check(&self, certificate: &str, key: &Secret) -> Result<(), Invalid>;
}

/// Rotates the root.
pub trait Rotations: Send + Sync {
    /// Announces a new root. Bringing the one that signs or is announced already changes nothing.
    fn begin(&self, new: NewRoot) -> BoxFuture<'_, Result<(), Failure>>;

    /// Calls the rotation that is under way off, if the new root does not sign yet.
    fn cancel(&self) -> BoxFuture<'_, Result<(), Failure>>;

    /// Takes the rotation that is under way to its next step, and names whom it leaves behind.
    fn force(&self) -> BoxFuture<'_, Result<Vec<Missing>, Failure>>;

    /// Where the authority stands.
    fn status(&self) -> Result<RotationStatus, Failure>;
}

/// Tells who has taken what.
pub trait Receipts: Send + Sync {
    /// What has become of the change with this revision at every registered proxy and every live peering. May cost a
    /// look at every one of them.
    fn receipt(&self, change: Revision) -> Receipt;

    /// Every proxy that is registered or connected, the registered ones first.
    fn proxies(&self) -> Vec<ProxyReport>;
}

/// What a token is asked for with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRequest {
    /// The name that the peer will have here.
    pub peer: PeerName,
    /// The partition that the peering belongs to.
    pub partition: Partition,
    /// The operator's pairs, validated.
    pub meta: Meta,
    /// `host:port` to put into the token instead of the cluster's own addresses; not validated.
    pub external_addresses: Vec<String>,
    /// How long it can be used; `None` leaves it to the configuration.
    pub ttl: Option<Duration>,
    /// To ask for the same token again; not validated.
    pub request_id: Option<String>,
    /// Whom it is for and what it opens; not validated.
    pub bounds: TokenBounds,
    /// Who asks.
    pub by: Requester,
}

/// A token as it was made. No `Debug`: it is a secret.
#[derive(Clone)]
pub struct TokenIssue {
    /// What to hand over.
    pub token: String,
    /// By what it is spoken of.
    pub accessor: String,
    /// Until when it can be used, unix milliseconds; `None` when that is not limited.
    pub expires_at: Option<u64>,
}

/// Which tokens of a peering to revoke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// The only one that opens something; refused when there are more.
    Only,
    /// All that open something.
    All,
    /// The one with this accessor.
    Accessor(String),
}

/// What a token is used with. No `Debug`: the token is a secret.
#[derive(Clone)]
pub struct EstablishRequest {
    /// The name that the peer will have here.
    pub peer: PeerName,
    /// The partition that the peering belongs to.
    pub partition: Partition,
    /// The operator's pairs, validated.
    pub meta: Meta,
    /// As the other cluster made it; not validated.
    pub token: String,
    /// Who asks.
    pub by: Requester,
}

/// Makes, uses and ends peerings.
pub trait Introductions: Send + Sync {
    /// Makes a token, and the peering that waits for its use.
    fn generate_token(&self, request: TokenRequest) -> BoxFuture<'_, Result<TokenIssue, Failure>>;

    /// Uses a token.
    fn establish(&self, request: EstablishRequest) -> BoxFuture<'_, Result<(), Failure>>;

    /// Begins to delete a peering.
    fn delete(&self, key: PeeringKey, by: Requester) -> BoxFuture<'_, Result<(), Failure>>;

    /// Revokes tokens; the accessors of those that opened something until then.
    fn revoke_token(
        &self,
        key: PeeringKey,
        which: Revocation,
        by: Requester,
    ) -> BoxFuture<'_, Result<Vec<String>, Failure>>;

    /// What is exported to a peer and kept from it by its token.
    fn withheld(&self, key: &PeeringKey) -> Vec<String>;

    /// What is known of the peering's stream; `None` when this process never had one.
    fn status(&self, key: &PeeringKey) -> Option<StreamStatus>;

    /// Whether what is held of a peer, or of one of its services, is what the peer exports; `None` when this process
    /// never tried to reach it. Cheap, unlike [`Introductions::status`].
    fn standing(&self, key: &PeeringKey, service: Option<&str>) -> Option<Standing>;

    /// Whether what is held of a peer is so old that others stand in for its services.
    fn is_stale(&self, key: &PeeringKey) -> bool;
}

//! The vocabulary of Peerway: names, identities, catalog rows, config entries, intentions and peerings.
//!
//! This room knows no wire format, no clock and no I/O. Everything else is built on these types, and
//! everything here is plain data with validation. Start with [`name`] and [`key`], then [`spiffe`].

pub mod audit;
pub mod authority;
pub mod chain;
pub mod condition;
pub mod config;
pub mod expose;
pub mod failure;
pub mod filter;
pub mod freshness;
pub mod grant;
pub mod health;
pub mod instance;
pub mod intention;
pub mod invalid;
pub mod key;
pub mod locality;
pub mod name;
pub mod peering;
pub mod receipt;
pub mod regular;
pub mod rotation;
pub mod secret;
pub mod server;
pub mod sidecar;
pub mod sni;
pub mod spiffe;
pub mod virtual_address;

pub use audit::{AuditAction, AuditEvent, AuditRecord, Requester};
pub use authority::{BroughtRoot, CaKey, CaRoot, CaRoots, Leaf};
pub use condition::{Condition, ConditionKind, Part};
pub use config::{ConfigEntry, ConfigKey, ConfigKind};
pub use expose::{Exposed, ExposedPath, PortUse};
pub use failure::{Failure, FailureKind};
pub use grant::{PeeringGrants, TokenBounds, TokenGrant};
pub use health::{Check, CheckStatus, HealthSummary};
pub use instance::{Instance, Node, PeerMeta, Proxy, ServiceAddress, ServiceKind, Upstream, Weights};
pub use invalid::Invalid;
pub use key::{CheckKey, InstanceKey, NodeKey, Origin, PeeringKey, ServiceKey, Tenancy};
pub use locality::{Distance, Locality};
pub use name::{
    CheckId, Datacenter, GroupName, InstanceId, Namespace, NodeName, Partition, PeerName, ProviderName,
    ServiceName, SubsetName,
};
pub use peering::{Peering, PeeringRole, PeeringSecrets, PeeringState, StreamStatus, TrustBundle};
pub use receipt::{
    LastRefusal, PeerReceipt, ProxyConnection, ProxyReceipt, ProxyReport, Receipt, ReceiptState,
    RefusedResource,
};
pub use regular::Regular;
pub use rotation::{
    MAX_RSA_BITS, MIN_RSA_BITS, Missing, NewRoot, RootKey, Rotation, RotationPhase, RotationStatus, Witness,
    WitnessKind,
};
pub use secret::Secret;
pub use sidecar::{ProxyMode, SidecarSettings, Transparent};
pub use spiffe::{SpiffeId, TrustDomain};
pub use virtual_address::VirtualAddress;

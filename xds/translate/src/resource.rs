//! What comes out, and its version.

use crate::dialect::Dialect;
use bytes::Bytes;
use envoy_types::util::pack_any;
use peerway_mesh::FragmentKind;
use prost::{Message, Name};
use siphasher::sip128::{Hasher128, SipHasher13};
use std::fmt;
use std::hash::Hash;

/// Raised whenever the same fragment becomes other bytes, so that proxies that were served before are told.
pub const TRANSLATION: u32 = 5;

/// Keys of the version hash. Any fixed values do: versions must be equal in every process, not unguessable.
const KEYS: (u64, u64) = (0x7065_6572_7761_7920, 0x7472_616e_736c_6174);

/// The kind of an Envoy resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceKind {
    /// `envoy.extensions.transport_sockets.tls.v3.Secret`
    Secret,
    /// `envoy.config.cluster.v3.Cluster`
    Cluster,
    /// `envoy.config.endpoint.v3.ClusterLoadAssignment`
    Endpoints,
    /// `envoy.config.listener.v3.Listener`
    Listener,
    /// `envoy.config.route.v3.RouteConfiguration`
    Route,
    /// `envoy.config.core.v3.TypedExtensionConfig`
    Extension,
}

impl ResourceKind {
    /// What a fragment of this kind becomes.
    pub fn of(kind: FragmentKind) -> Self {
        match kind {
            FragmentKind::Validation | FragmentKind::Certificate => ResourceKind::Secret,
            FragmentKind::Cluster => ResourceKind::Cluster,
            FragmentKind::Endpoints => ResourceKind::Endpoints,
            FragmentKind::Listener => ResourceKind::Listener,
            FragmentKind::Routes => ResourceKind::Route,
            FragmentKind::Policy => ResourceKind::Extension,
        }
    }
}

/// One encoded Envoy resource. Its `Debug` leaves the bytes out: they may be a private key.
#[derive(Clone)]
pub struct Resource {
    /// What it is.
    pub kind: ResourceKind,
    /// Unique among the resources of its kind that one proxy gets.
    pub name: String,
    /// 32 hexadecimal digits; equal versions mean equal content, also in another process.
    pub version: String,
    /// The encoded `google.protobuf.Any` with the message, ready to be framed as field 2 (`resource`) of
    /// `envoy.service.discovery.v3.Resource`.
    pub bytes: Bytes,
}

impl Resource {
    pub(crate) fn encode<M: Message + Name>(
        kind: ResourceKind,
        name: String,
        version: String,
        message: M,
    ) -> Self {
        let bytes = Bytes::from(pack_any(message).encode_to_vec());
        Resource {
            kind,
            name,
            version,
            bytes,
        }
    }
}

impl fmt::Debug for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Resource({:?} {} {}, {} bytes)",
            self.kind,
            self.name,
            self.version,
            self.bytes.len()
        )
    }
}

/// The version of what `content` becomes in `dialect`.
///
/// Taken over the content and not over the bytes: Envoy's messages have maps, which are encoded in another order
/// in every process, so a hash of the bytes would call everything new after a restart. The price is that a change
/// of this crate has to be counted in [`TRANSLATION`] or in the crate's version. Should another compiler derive
/// another `Hash`, proxies are sent once what they already have.
pub(crate) fn version(content: &impl Hash, dialect: Dialect) -> String {
    let mut hasher = SipHasher13::new_with_keys(KEYS.0, KEYS.1);
    (TRANSLATION, env!("CARGO_PKG_VERSION"), dialect).hash(&mut hasher);
    content.hash(&mut hasher);
    format!("{:032x}", hasher.finish128().as_u128())
}

//! The cluster's certificate authority as rows, and what it issues.

use crate::name::Datacenter;
use crate::rotation::Rotation;
use crate::secret::Secret;
use crate::spiffe::{SpiffeId, TrustDomain};
use std::fmt;

/// One root certificate of this cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CaRoot {
    /// Hex of the certificate's SHA-256, in pairs with colons.
    pub id: String,
    /// For people.
    pub name: String,
    /// Serial number.
    pub serial: u64,
    /// Subject key identifier, hex pairs with colons.
    pub key_id: String,
    /// PEM, ending in a newline.
    pub pem: String,
    /// Valid from, unix milliseconds.
    pub not_before: u64,
    /// Valid until, unix milliseconds.
    pub not_after: u64,
    /// Whether it signs leaves now; exactly one root of a cluster does.
    pub active: bool,
    /// Whether a leaf of it was given to somebody who cannot be seen using it: over the HTTP API. Such a leaf is in
    /// use until it ends, as far as anybody knows.
    pub handed_out: bool,
    /// What lets those verify its leaves who know a former root only: certificates of its subject and key that the
    /// root before has signed, then of that root by the one before it, and so on; PEM, each ending in a newline.
    pub bridges: Vec<String>,
}

/// A root that an operator brings.
#[derive(Clone)]
pub struct BroughtRoot {
    /// PEM of the certificate, as it was given.
    pub certificate: String,
    /// PEM of its private key, as it was given.
    pub key: Secret,
}

impl fmt::Debug for BroughtRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BroughtRoot")
    }
}

/// Who this cluster is and which roots it trusts: a single row, written when the cluster first starts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CaRoots {
    /// UUID of the cluster.
    pub cluster_id: String,
    /// `<cluster id>.consul`; never changes.
    pub trust_domain: TrustDomain,
    /// Name of the cluster; never changes.
    pub datacenter: Datacenter,
    /// All roots that workloads must still trust; one is active.
    pub roots: Vec<CaRoot>,
    /// The rotation that is under way.
    pub rotation: Option<Rotation>,
}

impl CaRoots {
    /// The root that signs now.
    pub fn active(&self) -> Option<&CaRoot> {
        self.roots.iter().find(|root| root.active)
    }

    /// The root of this id.
    pub fn root(&self, id: &str) -> Option<&CaRoot> {
        self.roots.iter().find(|root| root.id == id)
    }
}

/// The private key of a root. Stored apart from the root so that nothing that reads roots can see it.
#[derive(Clone)]
pub struct CaKey {
    /// [`CaRoot::id`] of the root.
    pub root_id: String,
    /// PKCS#8 PEM.
    pub pem: Secret,
}

impl fmt::Debug for CaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CaKey({})", self.root_id)
    }
}

/// A leaf certificate with its key, as issued.
#[derive(Clone)]
pub struct Leaf {
    /// The only URI SAN of the certificate.
    pub identity: SpiffeId,
    /// PEM of the certificate and of any intermediates.
    pub chain_pem: String,
    /// PKCS#8 PEM.
    pub key_pem: Secret,
    /// [`CaRoot::id`] of the root that signed it.
    pub root_id: String,
    /// Hex pairs with colons.
    pub serial: String,
    /// Unix milliseconds.
    pub not_before: u64,
    /// Unix milliseconds.
    pub not_after: u64,
}

impl fmt::Debug for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Leaf({}, {})", self.identity, self.serial)
    }
}

//! Whom a leaf is for.

use peerway_model::SpiffeId;
use std::fmt;
use std::sync::Arc;

/// Whom a leaf is for. One identity may have several, told apart by their DNS names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Bearer {
    /// Becomes the URI SAN.
    pub(crate) identity: SpiffeId,
    /// Become DNS SANs, besides those that the identity has anyway.
    pub(crate) dns_names: Arc<[String]>,
}

impl From<&SpiffeId> for Bearer {
    fn from(identity: &SpiffeId) -> Self {
        Bearer {
            identity: identity.clone(),
            dns_names: Arc::default(),
        }
    }
}

impl fmt::Display for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.identity.fmt(f)
    }
}

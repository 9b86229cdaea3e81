//! An encoded resource as the protocol sees it.

use crate::revocation;
use peerway_state::Revision;
use peerway_xds_protocol::{Kind, Versioned};
use peerway_xds_translate::{Resource, ResourceKind};
use std::ops::Deref;
use std::sync::Arc;

/// A share of an encoded resource; a clone is one counter.
#[derive(Clone, Debug)]
pub(crate) struct Piece(pub(crate) Arc<Encoded>);

/// An encoded resource and its age.
#[derive(Debug)]
pub(crate) struct Encoded {
    resource: Resource,
    since: Revision,
}

impl Deref for Encoded {
    type Target = Resource;

    fn deref(&self) -> &Resource {
        &self.resource
    }
}

impl Piece {
    /// A resource whose content came with the revision `since` or a later one; 0 when that is not known.
    pub(crate) fn new(resource: Resource, since: Revision) -> Self {
        Piece(Arc::new(Encoded { resource, since }))
    }

    /// The content came with this revision or a later one; 0 when that is not known.
    pub(crate) fn since(&self) -> Revision {
        self.0.since
    }

    pub(crate) fn kind(&self) -> Kind {
        match self.0.kind {
            ResourceKind::Secret => Kind::Secret,
            ResourceKind::Cluster => Kind::Cluster,
            ResourceKind::Endpoints => Kind::Endpoints,
            ResourceKind::Listener => Kind::Listener,
            ResourceKind::Route => Kind::Route,
            ResourceKind::Extension => Kind::Extension,
        }
    }
}

impl Versioned for Piece {
    fn name(&self) -> &str {
        &self.0.name
    }

    fn version(&self) -> &str {
        &self.0.version
    }

    fn is_held_as(&self, version: &str) -> bool {
        self.version() == version || revocation::is_held_as(self.version(), version)
    }

    fn child(&self) -> Option<(Kind, &str)> {
        // A cluster without endpoints of that name is fine: nobody subscribes to them.
        (self.0.kind == ResourceKind::Cluster).then_some((Kind::Endpoints, &self.0.name))
    }
}

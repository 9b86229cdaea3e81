//! An encoded resource as the protocol sees it.

use peerway_xds_protocol::{Kind, Versioned};
use peerway_xds_translate::{Resource, ResourceKind};
use std::sync::Arc;

/// A share of an encoded resource; a clone is one counter.
#[derive(Clone, Debug)]
pub(crate) struct Piece(pub(crate) Arc<Resource>);

impl Piece {
    pub(crate) fn kind(&self) -> Kind {
        match self.0.kind {
            ResourceKind::Secret => Kind::Secret,
            ResourceKind::Cluster => Kind::Cluster,
            ResourceKind::Endpoints => Kind::Endpoints,
            ResourceKind::Listener => Kind::Listener,
            ResourceKind::Route => Kind::Route,
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

    fn child(&self) -> Option<(Kind, &str)> {
        // A cluster without endpoints of that name is fine: nobody subscribes to them.
        (self.0.kind == ResourceKind::Cluster).then_some((Kind::Endpoints, &self.0.name))
    }
}

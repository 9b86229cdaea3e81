//! Who waits for whom: make before break.
//!
//! A new listener or route may send traffic to a new cluster, so it waits until the client has answered for
//! everything it could refer to. A removal is the reverse: a resource goes only after the client has answered
//! for the versions of its referrers that no longer need it.
//!
//! Both rules are kept with the sequence number of the holding: each kind knows up to which holding its
//! additions (`made`) and its additions and removals (`done`) were answered. Waiting for a sequence number, and
//! not for "nothing left to do", keeps a busy kind from starving the others. The relation has no cycle:
//! additions of secrets, clusters, endpoints and filters wait for nothing, so a client that holds back an answer until it
//! gets them (Envoy does so while clusters warm) always gets them.

use crate::kind::Kind;

/// The kinds whose additions must be answered before additions of `kind` are sent.
pub(crate) const fn needs(kind: Kind) -> &'static [Kind] {
    match kind {
        Kind::Secret | Kind::Cluster | Kind::Endpoints | Kind::Extension => &[],
        // A listener that is told to decide anew must find what it is to decide by.
        Kind::Listener => &[Kind::Secret, Kind::Cluster, Kind::Endpoints, Kind::Extension],
        Kind::Route => &[Kind::Secret, Kind::Cluster, Kind::Endpoints],
    }
}

/// The kinds that may refer to a resource of `kind`: their changes must be answered before it is removed.
pub(crate) const fn referrers(kind: Kind) -> &'static [Kind] {
    match kind {
        Kind::Listener => &[],
        Kind::Route | Kind::Extension => &[Kind::Listener],
        Kind::Cluster => &[Kind::Listener, Kind::Route],
        Kind::Secret | Kind::Endpoints => &[Kind::Cluster, Kind::Listener, Kind::Route],
    }
}

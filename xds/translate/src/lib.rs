//! From fragments to Envoy's words: the only room that builds Envoy messages.
//!
//! Pure and without memory. [`translate`] gives the same [`Resource`] for the same fragment and [`Dialect`],
//! encoded and ready to be framed, so that a caller can keep one for all proxies that need it. No field that
//! Envoy calls deprecated is ever set.
//!
//! - `resource`: what comes out, and its version.
//! - `dialect`: which Envoys are spoken to.
//! - `cluster`, `endpoints`, `listener`, `secret`: one fragment kind each.
//! - `route`, `http`: where requests go, and the one builder of what passes them.
//! - `access_log`, `tracing`, `tls`, `authorization`, `source`, `packed`: the parts that several of them share.

mod access_log;
mod authorization;
mod cluster;
mod dialect;
mod endpoints;
mod http;
mod listener;
mod packed;
mod resource;
mod route;
mod secret;
mod source;
mod tls;
mod tracing;

pub use dialect::{Dialect, OLDEST, TooOld};
pub use resource::{Resource, ResourceKind, TRANSLATION};
pub use secret::{leaf_secret, named_leaf_secret};

use peerway_mesh::Fragment;

/// The Envoy resource that `fragment` becomes. Never fails: a fragment has nothing that cannot be said.
pub fn translate(fragment: &Fragment, dialect: Dialect) -> Resource {
    translate_since(fragment, dialect, &[])
}

/// The version of what [`translate`] makes of `fragment`.
pub fn version(fragment: &Fragment, dialect: Dialect) -> String {
    resource::version(fragment, dialect)
}

/// The same, but the chains of a listener that decide about callers are told apart from those with another `since`, so
/// that Envoy drains the connections that they have and decides about new ones. It is, by chain, the revision of the
/// change that asks for that; 0 is none, as is one that is not given. The version does not tell of it.
pub fn translate_since(fragment: &Fragment, dialect: Dialect, since: &[u64]) -> Resource {
    let kind = ResourceKind::of(fragment.kind());
    let version = version(fragment, dialect);
    let name = fragment.name().to_owned();
    match fragment {
        Fragment::Certificate(certificate) => {
            Resource::encode(kind, name, version, secret::certificate(certificate))
        }
        Fragment::Validation(validation) => {
            Resource::encode(kind, name, version, secret::validation(validation))
        }
        Fragment::Policy(policy) => Resource::encode(kind, name, version, authorization::extension(policy)),
        Fragment::Cluster(cluster) => Resource::encode(kind, name, version, cluster::cluster(cluster)),
        Fragment::Endpoints(endpoints) => {
            Resource::encode(kind, name, version, endpoints::endpoints(endpoints))
        }
        Fragment::Listener(listener) => {
            let message = listener::listener(listener, dialect, since);
            Resource::encode(kind, name, version, message)
        }
        Fragment::Routes(table) => Resource::encode(kind, name, version, route::table(table)),
    }
}

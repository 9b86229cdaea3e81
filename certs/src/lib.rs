//! The cluster's certificate authority: who this cluster is, its roots, and the leaves of its workloads.
//!
//! [`Certs::start`] makes the cluster's identity and root on the very first start and finds them again on every
//! later one. Afterwards [`Certs`] hands out leaves that are renewed in the background before they expire, and
//! again when another root begins to sign. [`Rotator`] changes the root without cutting anybody off. Identities come from callers that have authenticated them, never from a
//! signing request.

mod authority;
mod bearer;
mod bridge;
mod brought;
mod decoded;
mod establish;
mod fingerprint;
mod inline;
mod issuer;
mod leaf;
mod metrics;
mod renewal;
mod root;
mod rotation;
mod rotator;
mod serial;
mod settings;
mod subject;
mod trial;
mod validity;

pub use authority::{Authority, BuiltIn, Order};
pub use bridge::MAX_BRIDGES;
pub use brought::{MAX_BROUGHT_BYTES, MIN_REMAINING};
pub use establish::StartError;
pub use inline::check_certificate;
pub use issuer::{Certs, IDLE_KEPT, MAX_IDENTITIES, MAX_LEAVES_PER_TICK, MAX_TIME_PER_TICK, RETRY, TICK};
pub use leaf::issue as issue_leaf;
pub use root::{ROOT_LIFETIME, generate_root};
pub use rotation::SETTLE;
pub use rotator::{LOOK, Rotator, Witnesses};
pub use settings::{DEFAULT_LEAF_TTL, MAX_LEAF_TTL, MIN_LEAF_TTL, Settings};
pub use validity::BACKDATE;

#[cfg(test)]
mod tests;

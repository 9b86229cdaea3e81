//! Ground truth: tables of rows, transactions, and the one function that applies them.
//!
//! Pure and synchronous. [`apply`] takes a [`Snapshot`] and a [`Transaction`] and gives the next Snapshot, the
//! [`ChangeSet`] (what readers may care about) and the row changes (what a storage must keep). Everything that ever
//! changes state goes through it: local writes, a peer's data, a restart.

mod apply;
mod change;
mod ingress;
mod outside;
mod read;
mod row;
mod snapshot;
mod standing;
mod transaction;

pub use apply::{Applied, MAX_AUDIT_RECORDS, MAX_OPAQUE_DEPTH, apply, chain_of, load};
pub use change::{ChangeSet, Topic};
pub use ingress::{ingress_gateways_before, is_meant};
pub use outside::{
    answering, gateway_key, gateways_before, is_bare, linked_services, may_show, met_at, outside_of_target,
    terminating,
};
pub use read::{
    FACE_SUFFIX, InstanceHealth, exports_of, gateways, health_of, imported_health, members_of, mesh_face,
    sidecars, sidecars_of_target, summary,
};
pub use row::{Row, RowChange, RowKey, StoredRow};
pub use snapshot::{Revision, Snapshot, Versioned};
pub use standing::{Standing, attached_to, standing, stands_by_others};
pub use transaction::{Expect, Op, Refused, Transaction};

#[cfg(test)]
mod tests;

//! What a writer asks for.

use crate::row::{Row, RowKey};
use thiserror::Error;

/// One change. Puts replace the whole row; a put of an equal row changes nothing, its modify index included.
/// Deletes of what is not there are no-ops. Deleting a node takes its instances and checks along, an instance its
/// checks, a peering its secrets, its grants, its trust bundle and every row imported over it.
#[derive(Clone, Debug)]
pub enum Op {
    /// Writes a row.
    Put(Row),
    /// Removes a row and what hangs on it.
    Delete(RowKey),
    /// Removes every node, instance and check imported over this peering and its trust bundle, but not the peering.
    ForgetImports(peerway_model::PeeringKey),
    /// Adds an audit record with the next number, and drops the oldest beyond
    /// [`MAX_AUDIT_RECORDS`](crate::MAX_AUDIT_RECORDS).
    Record(peerway_model::AuditEvent),
}

/// A condition on a row, checked before any change of the transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The row exists with this modify index.
    Modified(RowKey, u64),
    /// The row does not exist.
    Absent(RowKey),
    /// The row exists.
    Present(RowKey),
}

/// Changes that happen together or not at all.
#[derive(Clone, Debug, Default)]
pub struct Transaction {
    /// All must hold.
    pub expects: Vec<Expect>,
    /// Applied in order.
    pub ops: Vec<Op>,
}

impl Transaction {
    /// An empty transaction.
    pub fn new() -> Self {
        Transaction::default()
    }

    /// Adds a condition.
    #[must_use]
    pub fn expect(mut self, expect: Expect) -> Self {
        self.expects.push(expect);
        self
    }

    /// Adds a put.
    #[must_use]
    pub fn put(mut self, row: Row) -> Self {
        self.ops.push(Op::Put(row));
        self
    }

    /// Adds a delete.
    #[must_use]
    pub fn delete(mut self, key: RowKey) -> Self {
        self.ops.push(Op::Delete(key));
        self
    }

    /// Adds any operation.
    #[must_use]
    pub fn op(mut self, op: Op) -> Self {
        self.ops.push(op);
        self
    }
}

/// Why a transaction was refused; nothing of it was applied.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    /// A condition does not hold.
    #[error("the row {key:?} has changed meanwhile (modify index {found:?}), read it again and retry")]
    Conflict {
        /// The row of the condition.
        key: Box<RowKey>,
        /// Its modify index now, or `None` when it does not exist.
        found: Option<u64>,
    },
    /// A row needs another one that is not there: an instance its node, a check its node and instance, secrets, grants
    /// and bundles their peering.
    #[error("the row {key:?} needs the row {needs:?}, which does not exist")]
    Dangling {
        /// The row that was put.
        key: Box<RowKey>,
        /// What it needs.
        needs: Box<RowKey>,
    },
    /// An imported row names a peering that does not exist or is being deleted.
    #[error("rows of peer {peer:?} cannot be written: the peering does not exist or is being deleted")]
    PeeringGone {
        /// The local name of the peering.
        peer: String,
    },
    /// A config entry is not valid, or free-form configuration is nested deeper than
    /// [`MAX_OPAQUE_DEPTH`](crate::MAX_OPAQUE_DEPTH).
    #[error("{0}")]
    Invalid(peerway_model::Invalid),
}

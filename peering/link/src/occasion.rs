//! When something is asked for and by whom, and what is kept of it.

use peerway_model::audit::audit_text;
use peerway_model::{AuditAction, AuditEvent, PeeringKey, Requester};
use peerway_state::Op;

/// When something is asked for, and by whom.
#[derive(Clone, Debug, Default)]
pub struct Occasion {
    /// Unix milliseconds of the wall clock.
    pub at: u64,
    /// Who asks.
    pub by: Requester,
}

impl Occasion {
    /// Records that this was done to a peering and a token of it.
    pub(crate) fn record(
        &self,
        action: AuditAction,
        peering: &PeeringKey,
        accessor: &str,
        detail: &str,
    ) -> Op {
        Op::Record(AuditEvent {
            at: self.at,
            action,
            peering: peering.clone(),
            accessor: audit_text(accessor),
            by: Requester {
                address: audit_text(&self.by.address),
                program: audit_text(&self.by.program),
            },
            detail: audit_text(detail),
        })
    }
}

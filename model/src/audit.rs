//! Who did what with peering tokens, and when.

use crate::key::PeeringKey;

/// Longest text of an audit record, in bytes; more is cut off.
pub const MAX_AUDIT_TEXT_BYTES: usize = 256;

/// Who asks for something. There are no accounts yet, so this is where the request came from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Requester {
    /// IP address and port; empty when it is not known.
    pub address: String,
    /// The program, as it calls itself; empty when it does not.
    pub program: String,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuditAction {
    /// A token was made.
    Made,
    /// A token that had been made was given out again.
    Reissued,
    /// A token was exchanged for a stream secret by a dialer.
    Exchanged,
    /// The first stream was opened with what a token was exchanged for.
    Opened,
    /// A token of another cluster was used here.
    Established,
    /// A use was refused.
    Refused,
    /// A token was revoked.
    Revoked,
    /// A peering was deleted, and all its tokens with it.
    Deleted,
}

impl AuditAction {
    /// All actions.
    pub const ALL: [AuditAction; 8] = [
        AuditAction::Made,
        AuditAction::Reissued,
        AuditAction::Exchanged,
        AuditAction::Opened,
        AuditAction::Established,
        AuditAction::Refused,
        AuditAction::Revoked,
        AuditAction::Deleted,
    ];

    /// Its text.
    pub fn as_str(self) -> &'static str {
        match self {
            AuditAction::Made => "made",
            AuditAction::Reissued => "reissued",
            AuditAction::Exchanged => "exchanged",
            AuditAction::Opened => "opened",
            AuditAction::Established => "established",
            AuditAction::Refused => "refused",
            AuditAction::Revoked => "revoked",
            AuditAction::Deleted => "deleted",
        }
    }

    /// The one of this text.
    pub fn parse(text: &str) -> Option<Self> {
        AuditAction::ALL
            .into_iter()
            .find(|action| action.as_str() == text)
    }
}

/// Something that was done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AuditEvent {
    /// When, unix milliseconds of the wall clock.
    pub at: u64,
    /// What.
    pub action: AuditAction,
    /// To which peering; it may be gone by now.
    pub peering: PeeringKey,
    /// To which token; empty when it is not known, as for one of another cluster.
    pub accessor: String,
    /// By whom.
    pub by: Requester,
    /// More about it, for people; may be empty.
    pub detail: String,
}

/// An event in the order of all.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AuditRecord {
    /// Grows by one from event to event, from 1 on.
    pub number: u64,
    /// What happened.
    pub event: AuditEvent,
}

/// `text` up to [`MAX_AUDIT_TEXT_BYTES`], without control characters: it may come from anybody, and is shown in
/// terminals.
pub fn audit_text(text: &str) -> String {
    let mut kept = String::new();
    for c in text.chars().filter(|c| !c.is_control()) {
        if kept.len() + c.len_utf8() > MAX_AUDIT_TEXT_BYTES {
            break;
        }
        kept.push(c);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_short_and_printable() {
        assert_eq!(audit_text("a\u{1b}[31m\nb"), "a[31mb");
        let long = audit_text(&"ä".repeat(MAX_AUDIT_TEXT_BYTES));
        assert_eq!(long.len(), MAX_AUDIT_TEXT_BYTES);
    }
}

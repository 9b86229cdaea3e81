//! How far a stream is: which revisions its proxy has answered for, and what it refuses of them.
//!
//! Nothing is kept per change. The pump says up to which revision it has published whatever it had to
//! ([`crate::pump::Pump::published`]), and with each publication between which revisions it came. A stream keeps the
//! publications that its proxy has not answered for yet. With all of them answered, the proxy is as far as the pump,
//! though no change since has woken its stream.

use crate::limits::{MAX_REFUSALS_SHOWN, MAX_UNANSWERED};
use crate::piece::Piece;
use crate::pump::Published;
use peerway_model::{ProxyReceipt, ReceiptState, RefusedResource, ServiceKind};
use peerway_state::Revision;
use peerway_xds_protocol::{DeltaStream, Versioned};
use std::collections::VecDeque;
use std::sync::Arc;

/// What a stream has taken over and its proxy has not answered for.
#[derive(Default)]
pub(crate) struct Progress {
    adopted: Option<Arc<Published>>,
    /// By age: the number of the holding in the protocol, and the newest revision that has nothing to do with it.
    unanswered: VecDeque<(u64, Revision)>,
    /// The newest revision that was ever said to be answered: it stays so.
    reached: Revision,
}

impl Progress {
    /// Takes note that the protocol was given a publication, or the same one with another leaf.
    pub(crate) fn adopt(&mut self, published: &Arc<Published>, holding: u64) {
        let before = match &self.adopted {
            Some(adopted) if Arc::ptr_eq(adopted, published) => return,
            Some(adopted) if adopted.revision == published.before => published.after,
            // The stream has slept through one, which may have come right after the last that it knows.
            Some(adopted) => adopted.revision,
            // What the proxy has from an earlier stream may be of any age.
            None => 0,
        };
        self.adopted = Some(Arc::clone(published));
        if self.unanswered.len() >= MAX_UNANSWERED
            && let Some(last) = self.unanswered.back_mut()
        {
            // The two are answered together.
            last.0 = holding;
        } else {
            self.unanswered.push_back((holding, before));
        }
    }

    /// Takes note of how far the protocol is answered.
    pub(crate) fn answered(&mut self, holding: u64) {
        while self
            .unanswered
            .pop_front_if(|(number, _)| *number <= holding)
            .is_some()
        {}
    }

    /// Finds out how far the proxy has answered, given the newest publication for it and that the pump
    /// had published everything up to `published` before that was looked at.
    pub(crate) fn reach(&mut self, newest: Option<&Arc<Published>>, published: Revision) {
        let Some(adopted) = &self.adopted else { return };
        let now = match self.unanswered.front() {
            Some((_, before)) => *before,
            None if newest.is_some_and(|newest| Arc::ptr_eq(newest, adopted)) => published,
            None => adopted.revision,
        };
        self.reached = self.reached.max(now);
    }

    /// Whether the proxy's configuration changed when the change was taken up.
    pub(crate) fn touched(&self, change: Revision) -> Option<bool> {
        let adopted = self.adopted.as_ref()?;
        if change > adopted.shows {
            Some(false)
        } else if change > adopted.after {
            Some(true)
        } else {
            None
        }
    }
}

/// What the proxy refuses of what is as old as `change` or older, at most [`MAX_REFUSALS_SHOWN`].
pub(crate) fn refused(protocol: &DeltaStream<Piece>, change: Revision) -> Vec<RefusedResource> {
    protocol
        .refusals()
        .into_iter()
        .filter(|(_, piece, _)| piece.since() <= change)
        .take(MAX_REFUSALS_SHOWN)
        .map(|(kind, piece, reason)| RefusedResource {
            kind: kind.label(),
            name: piece.name().to_owned(),
            version: piece.version().to_owned(),
            since: piece.since(),
            reason: reason.message,
        })
        .collect()
}

/// How a stream stands, as the receipt needs it.
pub(crate) struct Standing<'a> {
    pub(crate) progress: &'a Progress,
    pub(crate) protocol: &'a DeltaStream<Piece>,
    pub(crate) has_leaf: bool,
    /// Whether the proxy has ever refused something on the stream.
    pub(crate) refuses: bool,
}

impl Standing<'_> {
    /// The newest revision that the proxy has answered for.
    pub(crate) fn revision(&self) -> Option<Revision> {
        // Without its certificate a proxy serves nothing, whatever it has accepted.
        Some(self.progress.reached).filter(|reached| self.has_leaf && *reached > 0)
    }

    /// What has become of `change`.
    pub(crate) fn receipt(
        &self,
        proxy: &peerway_model::InstanceKey,
        kind: ServiceKind,
        change: Revision,
    ) -> ProxyReceipt {
        let revision = self.revision();
        let mut receipt = ProxyReceipt {
            proxy: proxy.clone(),
            kind,
            state: ReceiptState::Pending,
            reason: String::new(),
            revision,
            touched: self.progress.touched(change),
            refused: Vec::new(),
        };
        if revision.is_none_or(|revision| revision < change) {
            let reason = if self.progress.adopted.is_none() {
                "is connected and was not sent anything yet"
            } else if self.has_leaf {
                "has not answered for everything yet"
            } else {
                "has no certificate yet"
            };
            reason.clone_into(&mut receipt.reason);
            return receipt;
        }
        if self.refuses {
            receipt.refused = refused(self.protocol, change);
        }
        match receipt.refused.first() {
            Some(first) => {
                receipt.state = ReceiptState::Refused;
                receipt.reason = format!("refused {} {:?}: {}", first.kind, first.name, first.reason);
            }
            None => receipt.state = ReceiptState::Applied,
        }
        receipt
    }
}

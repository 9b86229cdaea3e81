//! How a rotation goes on: decisions without a clock and without I/O.
//!
//! ```text
//! Announced --everybody trusts the new root--> Confirmed --SETTLE--> Switched
//!     ^                                            |
//!     +--------- somebody does not any more -------+
//! Switched --nobody shows a leaf of the old root--> Replaced --SETTLE--> done, the old root is gone
//!     ^                                                |
//!     +------------ somebody shows one again ----------+
//! ```
//!
//! An operator may force the next step: from `Announced` and `Confirmed` to `Switched`, from `Switched` and `Replaced`
//! to the end. Whoever is missing then is named to the operator.

use peerway_model::{Missing, Rotation, RotationPhase, Witness, WitnessKind};
use peerway_runtime::UnixMillis;
use std::collections::BTreeSet;
use std::time::Duration;

/// How long everybody must have confirmed before the next step: for what no confirmation tells, namely that the
/// proxies of a peer have what their control plane has acknowledged, and every worker thread of an Envoy what its
/// main thread has.
pub const SETTLE: Duration = Duration::from_secs(5);

/// What is known about a rotation besides its record.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// What every proxy and peer has confirmed.
    pub(crate) witnesses: Vec<Witness>,
    /// Leaves of the old root that this server still keeps for somebody.
    pub(crate) old_leaves: usize,
    /// Until when leaves of the old root that were given out over the API may be in use; `None` when none were.
    pub(crate) handed_out_until: Option<UnixMillis>,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Wait.
    Stay,
    /// Go to this phase.
    Enter(RotationPhase),
    /// Take the old root away.
    Finish,
}

/// Whom the rotation waits for in its phase.
pub(crate) fn missing(rotation: &Rotation, facts: &Facts, now: UnixMillis) -> Vec<Missing> {
    let replacing = has_switched(rotation.phase);
    let mut missing: Vec<Missing> = facts
        .witnesses
        .iter()
        .filter_map(|witness| {
            let confirmed_before =
                witness.kind == WitnessKind::Peer && rotation.confirmed_peers.contains(&witness.id);
            let trusts = witness.trusts.as_ref().err().filter(|_| !confirmed_before);
            let reason = trusts.or(witness.renewed.as_ref().err().filter(|_| replacing))?;
            Some(Missing {
                kind: Some(witness.kind),
                name: witness.name.clone(),
                reason: reason.clone(),
                loses: witness.loses.to_owned(),
            })
        })
        .collect();
    if replacing && facts.old_leaves > 0 {
        missing.push(Missing {
            kind: None,
            name: "leaves kept by this server".to_owned(),
            reason: format!("{} are still to be issued anew", facts.old_leaves),
            loses: "whoever uses them is refused until it has a new one".to_owned(),
        });
    }
    if let Some(until) = facts.handed_out_until.filter(|until| replacing && *until > now) {
        missing.push(Missing {
            kind: None,
            name: "leaves given out over the HTTP API".to_owned(),
            reason: format!(
                "nobody can see whether they are still used; the last of them ends in {} s",
                until.since(now).as_secs()
            ),
            loses: "a program that still uses one is refused until it fetches a new one".to_owned(),
        });
    }
    missing
}

/// The peers that have confirmed, those that had before included; peers that are gone are forgotten.
pub(crate) fn confirmed_peers(rotation: &Rotation, facts: &Facts) -> BTreeSet<String> {
    facts
        .witnesses
        .iter()
        .filter(|witness| witness.kind == WitnessKind::Peer)
        .filter(|witness| witness.trusts.is_ok() || rotation.confirmed_peers.contains(&witness.id))
        .map(|witness| witness.id.clone())
        .collect()
}

/// The next step, given whether somebody is missing.
pub(crate) fn decide(rotation: &Rotation, anybody_missing: bool, now: UnixMillis) -> Decision {
    let settled = now.since(UnixMillis(rotation.since)) >= SETTLE;
    match (rotation.phase, anybody_missing) {
        (RotationPhase::Announced, false) => Decision::Enter(RotationPhase::Confirmed),
        (RotationPhase::Confirmed, true) => Decision::Enter(RotationPhase::Announced),
        (RotationPhase::Confirmed, false) if settled => Decision::Enter(RotationPhase::Switched),
        (RotationPhase::Switched, false) => Decision::Enter(RotationPhase::Replaced),
        (RotationPhase::Replaced, true) => Decision::Enter(RotationPhase::Switched),
        (RotationPhase::Replaced, false) if settled => Decision::Finish,
        _ => Decision::Stay,
    }
}

/// The next step when an operator does not want to wait.
pub(crate) fn forced(phase: RotationPhase) -> Decision {
    if has_switched(phase) {
        Decision::Finish
    } else {
        Decision::Enter(RotationPhase::Switched)
    }
}

/// Whether the new root signs.
pub(crate) fn has_switched(phase: RotationPhase) -> bool {
    match phase {
        RotationPhase::Announced | RotationPhase::Confirmed => false,
        RotationPhase::Switched | RotationPhase::Replaced => true,
    }
}

#[cfg(test)]
mod tests;

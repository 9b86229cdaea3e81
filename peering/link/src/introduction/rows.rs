//! What using a token and deleting a peering write. Pure; whoever commits it starts over when the rows changed
//! meanwhile.

#[cfg(test)]
mod tests;

use super::IntroductionError;
use crate::occasion::Occasion;
use crate::{importer, records};
use peerway_model::config::Meta;
use peerway_model::name::{DEFAULT, MAX_LABEL_BYTES};
use peerway_model::peering::RemoteInfo;
use peerway_model::{
    AuditAction, Partition, Peering, PeeringKey, PeeringRole, PeeringSecrets, PeeringState, Secret, sni,
};
use peerway_peering_protocol::Token;
use peerway_peering_protocol::admit::trust_domain_of_server_name;
use peerway_peering_protocol::freshness::cut;
use peerway_state::{Op, Row, RowKey, Snapshot, Transaction};
use std::sync::Arc;

/// What to write once `token` was exchanged for the secret `stream`. `fresh` gives a new random UUID.
///
/// # Errors
/// As [`check`].
pub fn established(
    snapshot: &Snapshot,
    key: &PeeringKey,
    token: &Token,
    meta: &Meta,
    stream: &Secret,
    occasion: &Occasion,
    fresh: impl FnOnce() -> String,
) -> Result<Transaction, IntroductionError> {
    let standing = found_by(snapshot, key, token)?;
    let existing = snapshot.peering(key);
    let base = match existing {
        Some(peering) if standing == Standing::Kept => Peering::clone(&peering.row),
        _ => new_peering(key, PeeringRole::Dialer, fresh()),
    };
    let peering = Peering {
        state: PeeringState::Establishing,
        meta: meta.clone(),
        remote_id: Some(token.peer_id.clone()),
        ca_pems: token.ca_pems.clone(),
        server_name: Some(token.server_name.clone()),
        server_addresses: token.server_addresses.clone(),
        manual_addresses: token.manual_server_addresses.clone(),
        remote: token.remote.clone(),
        ..base
    };
    let secrets = PeeringSecrets {
        active_stream: Some(stream.clone()),
        ..PeeringSecrets::default()
    };
    let transaction = records::as_it_was(snapshot, key);
    let transaction = match standing {
        // What is left of the former peering goes.
        Standing::Ended => transaction.delete(RowKey::Peering(key.clone())),
        Standing::Kept => transaction,
    };
    let detail = format!("token of {}, PeerID {}", token.server_name, token.peer_id);
    Ok(transaction
        .put(Row::Peering(Arc::new(peering)))
        .put(Row::Secrets(key.clone(), Arc::new(secrets)))
        .op(occasion.record(AuditAction::Established, key, "", &detail)))
}

/// What to write before `token` is exchanged through our own mesh gateways, which pass on by what the record says; and
/// the record as it is then. One that is new has no secret, so nothing is dialled over it. `fresh` gives a new random
/// UUID.
///
/// # Errors
/// As [`check`].
pub(crate) fn announced(
    snapshot: &Snapshot,
    key: &PeeringKey,
    token: &Token,
    meta: &Meta,
    fresh: impl FnOnce() -> String,
) -> Result<(Transaction, Arc<Peering>), IntroductionError> {
    let standing = found_by(snapshot, key, token)?;
    let base = match snapshot.peering(key) {
        Some(peering) if standing == Standing::Kept => Peering::clone(&peering.row),
        _ => Peering {
            meta: meta.clone(),
            ca_pems: token.ca_pems.clone(),
            remote: token.remote.clone(),
            ..new_peering(key, PeeringRole::Dialer, fresh())
        },
    };
    let peering = Arc::new(Peering {
        server_name: Some(token.server_name.clone()),
        server_addresses: token.server_addresses.clone(),
        manual_addresses: token.manual_server_addresses.clone(),
        ..base
    });
    let transaction = records::as_it_was(snapshot, key);
    let transaction = match standing {
        Standing::Ended => transaction.delete(RowKey::Peering(key.clone())),
        Standing::Kept => transaction,
    };
    Ok((transaction.put(Row::Peering(peering.clone())), peering))
}

/// What to write to take back what was [`announced`], as nothing came of it: the record `before`, or none. `None` when
/// somebody has changed it since.
pub(crate) fn withdrawn(
    snapshot: &Snapshot,
    announced: &Peering,
    before: Option<&Arc<Peering>>,
) -> Option<Transaction> {
    let held = snapshot
        .peering(&announced.key)
        .filter(|held| *held.row == *announced)?;
    let transaction = Transaction::new().expect(records::unchanged(held));
    Some(match before {
        Some(before) => transaction.put(Row::Peering(before.clone())),
        None => transaction.delete(RowKey::Peering(announced.key.clone())),
    })
}

/// What to write to delete a peering: what was imported over it goes at once, and so do its secrets; the record when
/// the peer was told. `None` when it is deleted already.
pub fn deletion(snapshot: &Snapshot, key: &PeeringKey, occasion: &Occasion) -> Option<Transaction> {
    let live = snapshot
        .peering(key)
        .filter(|peering| peering.state != PeeringState::Deleting);
    live.map(|peering| {
        Transaction::new()
            .expect(records::unchanged(peering))
            .put(records::with(peering, |peering| {
                peering.state = PeeringState::Deleting;
                peering.deleted_at = Some(occasion.at);
            }))
            .op(Op::ForgetImports(key.clone()))
            .delete(RowKey::Secrets(key.clone()))
            .op(occasion.record(AuditAction::Deleted, key, "", ""))
    })
}

/// What an introduction finds under its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// A peering that goes on, or nothing.
    Kept,
    /// The record of a peering that the peer has ended: the introduction makes a new one in its place, in either role
    /// and with any cluster.
    Ended,
}

/// Refuses a peering of the other role, and one on its way out.
pub(super) fn standing(peering: &Peering, role: PeeringRole) -> Result<Standing, IntroductionError> {
    let name = &peering.key.name;
    let problem = match (peering.state, peering.role, role) {
        (PeeringState::Deleting, ..) => {
            format!("peering {name} is being deleted, try again in a moment")
        }
        (PeeringState::Terminated, ..) => return Ok(Standing::Ended),
        (_, PeeringRole::Dialer, PeeringRole::Acceptor) => format!(
            "peering {name} was established with a token of the peer: delete it first, or choose another name"
        ),
        (_, PeeringRole::Acceptor, PeeringRole::Dialer) => format!(
            "peering {name} has generated a token and waits to be dialled: delete it first, or choose another name"
        ),
        _ => return Ok(Standing::Kept),
    };
    Err(IntroductionError::Conflict(problem))
}

/// Whether `token` can be used for a peering of this name.
///
/// # Errors
/// When the cluster has no roots yet, the token is its own, or the name or the other cluster is in use otherwise.
pub fn check(snapshot: &Snapshot, key: &PeeringKey, token: &Token) -> Result<(), IntroductionError> {
    found_by(snapshot, key, token).map(|_| ())
}

/// What a use of `token` finds under this name.
///
/// # Errors
/// As [`check`].
fn found_by(snapshot: &Snapshot, key: &PeeringKey, token: &Token) -> Result<Standing, IntroductionError> {
    let conflict = |text: String| Err(IntroductionError::Conflict(text));
    let roots = snapshot.roots().ok_or_else(not_ready)?;
    let own = sni::peering_server(&roots.datacenter, &roots.trust_domain);
    let theirs = trust_domain_of_server_name(&token.server_name);
    if token.server_name == own || theirs.as_ref() == Some(&roots.trust_domain) {
        let made_in = token.remote.partition.as_str();
        return conflict(if made_in == spelt(&key.partition) {
            "the token was generated by this very cluster: use it on the cluster that is to be the peer"
                .to_owned()
        } else {
            let made_in = if made_in.is_empty() {
                DEFAULT
            } else {
                cut(made_in, MAX_LABEL_BYTES)
            };
            format!(
                "the token was generated by partition {made_in:?} of this very cluster: partitions of one datacenter do not peer, export services to each other directly with a Partition among the Consumers of exported-services"
            )
        });
    }
    let found = snapshot.peering(key);
    let standing = found.map_or(Ok(Standing::Kept), |peering| {
        standing(peering, PeeringRole::Dialer)
    })?;
    if let Some(peering) = found.filter(|_| standing == Standing::Kept) {
        let known = importer::trust_domain_of(snapshot, peering);
        if known.is_some() && known != theirs {
            return conflict(format!(
                "the token is of another cluster than the one that peering {} is with: delete that peering first, or choose another name",
                key.name
            ));
        }
    }
    let there = &token.remote.partition;
    if let Some(other) = theirs.and_then(|theirs| records::peered_as(snapshot, key, &theirs, there)) {
        return conflict(format!(
            "the cluster that generated the token is already the peer {other}: delete that peering first, or use its name; further partitions of it make tokens of their own"
        ));
    }
    Ok(standing)
}

pub(super) fn not_ready() -> IntroductionError {
    IntroductionError::Unavailable(
        "the certificate authority is not ready yet, try again in a moment".to_owned(),
    )
}

pub(super) fn new_peering(key: &PeeringKey, role: PeeringRole, id: String) -> Peering {
    Peering {
        key: key.clone(),
        id,
        role,
        state: PeeringState::Pending,
        meta: Meta::new(),
        remote_id: None,
        ca_pems: Vec::new(),
        server_name: None,
        server_addresses: Vec::new(),
        manual_addresses: Vec::new(),
        external_addresses: Vec::new(),
        remote: RemoteInfo::default(),
        deleted_at: None,
    }
}

/// Community clusters know no partitions and expect nothing for the default one.
pub(super) fn spelt(partition: &Partition) -> String {
    if partition.is_default() {
        String::new()
    } else {
        partition.to_string()
    }
}

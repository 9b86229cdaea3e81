//! What an introduction and a deletion write. Pure; whoever commits it starts over when the rows changed meanwhile.

use super::IntroductionError;
use crate::{importer, reach, records};
use peerway_model::config::Meta;
use peerway_model::peering::RemoteInfo;
use peerway_model::{Partition, Peering, PeeringKey, PeeringRole, PeeringSecrets, PeeringState, Secret, sni};
use peerway_peering_protocol::Token;
use peerway_peering_protocol::admit::trust_domain_of_server_name;
use peerway_peering_protocol::open::after_token;
use peerway_state::{Expect, Op, Row, RowKey, Snapshot, Transaction};
use std::sync::Arc;

/// A new token for `key` and what to write for it. `own_addresses` is where this cluster's peering endpoint is, unless
/// it is reached through mesh gateways; `external_addresses` what the dialer is to use instead if there are any. `fresh`
/// gives a new random UUID each time.
///
/// # Errors
/// When the cluster has no roots yet or no address to give, or the name is in use otherwise.
pub fn token(
    snapshot: &Snapshot,
    key: &PeeringKey,
    meta: &Meta,
    own_addresses: &[String],
    external_addresses: &[String],
    mut fresh: impl FnMut() -> String,
) -> Result<(Transaction, Token), IntroductionError> {
    let roots = snapshot.roots().ok_or_else(not_ready)?;
    let existing = snapshot.peering(key);
    if let Some(peering) = existing {
        expect_role(peering, PeeringRole::Acceptor)?;
    }
    let base = match existing {
        Some(peering) => Peering::clone(&peering.row),
        None => Peering {
            meta: meta.clone(),
            ..new_peering(key, PeeringRole::Acceptor, fresh())
        },
    };
    let peering = Peering {
        external_addresses: external_addresses.to_vec(),
        ..base
    };
    // Addresses by the operator are all that the dialer uses.
    let server_addresses = if external_addresses.is_empty() {
        reach::for_token(snapshot, own_addresses)?
    } else {
        reach::advertised(snapshot, own_addresses)
    };
    let establishment = Secret::new(fresh());
    let none = PeeringSecrets::default();
    let secrets = snapshot.secrets(key).map_or(&none, |secrets| &*secrets.row);
    let token = Token {
        ca_pems: roots.roots.iter().map(|root| root.pem.clone()).collect(),
        manual_server_addresses: external_addresses.to_vec(),
        server_addresses,
        server_name: sni::peering_server(&roots.datacenter, &roots.trust_domain),
        peer_id: peering.id.clone(),
        establishment_secret: establishment.clone(),
        remote: RemoteInfo {
            partition: spelt(&key.partition),
            datacenter: roots.datacenter.to_string(),
        },
    };
    let transaction = Transaction::new()
        .expect(existing.map_or_else(
            || Expect::Absent(RowKey::Peering(key.clone())),
            records::unchanged,
        ))
        .expect(records::secrets_unchanged(snapshot, key))
        .put(Row::Peering(Arc::new(peering)))
        .put(Row::Secrets(
            key.clone(),
            Arc::new(after_token(secrets, establishment)),
        ));
    Ok((transaction, token))
}

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
    fresh: impl FnOnce() -> String,
) -> Result<Transaction, IntroductionError> {
    check(snapshot, key, token)?;
    let existing = snapshot.peering(key);
    let base = match existing {
        Some(peering) => Peering::clone(&peering.row),
        None => new_peering(key, PeeringRole::Dialer, fresh()),
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
    Ok(Transaction::new()
        .expect(existing.map_or_else(
            || Expect::Absent(RowKey::Peering(key.clone())),
            records::unchanged,
        ))
        .put(Row::Peering(Arc::new(peering)))
        .put(Row::Secrets(key.clone(), Arc::new(secrets))))
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
    check(snapshot, key, token)?;
    let existing = snapshot.peering(key);
    let base = match existing {
        Some(peering) => Peering::clone(&peering.row),
        None => Peering {
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
    let transaction = Transaction::new()
        .expect(existing.map_or_else(
            || Expect::Absent(RowKey::Peering(key.clone())),
            records::unchanged,
        ))
        .put(Row::Peering(peering.clone()));
    Ok((transaction, peering))
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

/// What to write to delete a peering at `now` (unix milliseconds): what was imported over it goes at once, the record
/// when the peer was told. `None` when it is deleted already.
pub fn deletion(snapshot: &Snapshot, key: &PeeringKey, now: u64) -> Option<Transaction> {
    let live = snapshot
        .peering(key)
        .filter(|peering| peering.state != PeeringState::Deleting);
    live.map(|peering| {
        Transaction::new()
            .expect(records::unchanged(peering))
            .put(records::with(peering, |peering| {
                peering.state = PeeringState::Deleting;
                peering.deleted_at = Some(now);
            }))
            .op(Op::ForgetImports(key.clone()))
            .delete(RowKey::Secrets(key.clone()))
    })
}

/// Refuses a peering of the other role, and one on its way out.
fn expect_role(peering: &Peering, role: PeeringRole) -> Result<(), IntroductionError> {
    let name = &peering.key.name;
    let problem = match (peering.state, peering.role, role) {
        (PeeringState::Deleting, ..) => {
            format!("peering {name} is being deleted, try again in a moment")
        }
        (_, PeeringRole::Dialer, PeeringRole::Acceptor) => format!(
            "peering {name} was established with a token of the peer: delete it first, or choose another name"
        ),
        (_, PeeringRole::Acceptor, PeeringRole::Dialer) => format!(
            "peering {name} has generated a token and waits to be dialled: delete it first, or choose another name"
        ),
        (PeeringState::Terminated, PeeringRole::Acceptor, _) => {
            format!("peering {name} was ended by the peer: delete it here, then generate a new token")
        }
        _ => return Ok(()),
    };
    Err(IntroductionError::Conflict(problem))
}

/// Whether `token` can be used for a peering of this name.
///
/// # Errors
/// When the cluster has no roots yet, the token is its own, or the name or the other cluster is in use otherwise.
pub fn check(snapshot: &Snapshot, key: &PeeringKey, token: &Token) -> Result<(), IntroductionError> {
    let conflict = |text: String| Err(IntroductionError::Conflict(text));
    let roots = snapshot.roots().ok_or_else(not_ready)?;
    let own = sni::peering_server(&roots.datacenter, &roots.trust_domain);
    let theirs = trust_domain_of_server_name(&token.server_name);
    if token.server_name == own || theirs.as_ref() == Some(&roots.trust_domain) {
        return conflict(
            "the token was generated by this very cluster: use it on the cluster that is to be the peer"
                .to_owned(),
        );
    }
    if let Some(peering) = snapshot.peering(key) {
        expect_role(peering, PeeringRole::Dialer)?;
        let known = importer::trust_domain_of(snapshot, peering);
        if known.is_some() && known != theirs {
            return conflict(format!(
                "the token is of another cluster than the one that peering {} is with: delete that peering first, or choose another name",
                key.name
            ));
        }
    }
    if let Some(other) = theirs.and_then(|theirs| records::peered_as(snapshot, key, &theirs)) {
        return conflict(format!(
            "the cluster that generated the token is already the peer {other}: delete that peering first, or use its name"
        ));
    }
    Ok(())
}

fn not_ready() -> IntroductionError {
    IntroductionError::Unavailable(
        "the certificate authority is not ready yet, try again in a moment".to_owned(),
    )
}

fn new_peering(key: &PeeringKey, role: PeeringRole, id: String) -> Peering {
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
fn spelt(partition: &Partition) -> String {
    if partition.is_default() {
        String::new()
    } else {
        partition.to_string()
    }
}

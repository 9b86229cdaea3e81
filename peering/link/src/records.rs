//! Changing a peering's rows: read, decide, commit on the condition that nobody else did, or start over.

use crate::importer;
use peerway_model::name::DEFAULT;
use peerway_model::{Peering, PeeringGrants, PeeringKey, PeeringRole, PeeringSecrets, PeeringState};
use peerway_peering_protocol::Tokens;
use peerway_state::{Expect, Op, Refused, Row, RowKey, Snapshot, Transaction, Versioned};
use peerway_store::{CommitError, Reader, Writer};
use std::sync::Arc;

/// How often a change starts over because someone else changed the rows meanwhile.
pub const MAX_CONFLICTS: usize = 5;

/// Commits what `decide` makes of the newest snapshot, again and again until no one interferes. `decide` returns
/// `Ok(None)` when nothing is to be done.
///
/// # Errors
/// What `decide` says, or `failed` of the commit's error.
pub(crate) async fn change<T, E>(
    reader: &Reader,
    writer: &Writer,
    mut decide: impl FnMut(&Snapshot) -> Result<(Option<Transaction>, T), E>,
    failed: impl Fn(CommitError) -> E,
) -> Result<T, E> {
    let mut last = CommitError::Closed;
    for _ in 0..MAX_CONFLICTS {
        let (transaction, answer) = decide(&reader.snapshot())?;
        let Some(transaction) = transaction else {
            return Ok(answer);
        };
        match writer.commit(transaction).await {
            Ok(_) => return Ok(answer),
            Err(error @ CommitError::Refused(Refused::Conflict { .. })) => last = error,
            Err(error) => return Err(failed(error)),
        }
    }
    Err(failed(last))
}

/// The condition that the record is still this one.
pub(crate) fn unchanged(peering: &Versioned<Peering>) -> Expect {
    Expect::Modified(RowKey::Peering(peering.key.clone()), peering.modify_index)
}

/// The condition that the secrets are still those of `snapshot`.
pub(crate) fn secrets_unchanged(snapshot: &Snapshot, key: &PeeringKey) -> Expect {
    let row = RowKey::Secrets(key.clone());
    match snapshot.secrets(key) {
        Some(secrets) => Expect::Modified(row, secrets.modify_index),
        None => Expect::Absent(row),
    }
}

/// The secrets of a peering and what they grant.
pub(crate) fn tokens(snapshot: &Snapshot, key: &PeeringKey) -> Tokens {
    let none = no_tokens(key);
    let secrets = snapshot.secrets(key);
    let grants = snapshot.grant(key);
    Tokens {
        secrets: secrets.map_or(none.secrets, |row| PeeringSecrets::clone(&row.row)),
        grants: grants.map_or(none.grants, |row| PeeringGrants::clone(&row.row)),
    }
}

/// No secrets and no grants.
pub(crate) fn no_tokens(key: &PeeringKey) -> Tokens {
    Tokens {
        secrets: PeeringSecrets::default(),
        grants: PeeringGrants::new(key.clone()),
    }
}

/// A transaction on the condition that the peering is as it is in `snapshot`, or still missing.
pub(crate) fn as_it_was(snapshot: &Snapshot, key: &PeeringKey) -> Transaction {
    let missing = || Expect::Absent(RowKey::Peering(key.clone()));
    Transaction::new().expect(snapshot.peering(key).map_or_else(missing, unchanged))
}

/// Adds the condition that the secrets and what they grant are still those of `snapshot`.
pub(crate) fn tokens_unchanged(
    transaction: Transaction,
    snapshot: &Snapshot,
    key: &PeeringKey,
) -> Transaction {
    let grants = RowKey::Grants(key.clone());
    transaction
        .expect(secrets_unchanged(snapshot, key))
        .expect(match snapshot.grant(key) {
            Some(row) => Expect::Modified(grants, row.modify_index),
            None => Expect::Absent(grants),
        })
}

/// Adds that secrets and grants become these.
pub(crate) fn with_tokens(transaction: Transaction, tokens: Tokens) -> Transaction {
    let Tokens { secrets, grants } = tokens;
    transaction
        .put(Row::Secrets(grants.peering.clone(), Arc::new(secrets)))
        .put(Row::Grants(Arc::new(grants)))
}

/// A record with some of its fields changed.
pub(crate) fn with(peering: &Peering, change: impl FnOnce(&mut Peering)) -> Row {
    let mut changed = peering.clone();
    change(&mut changed);
    Row::Peering(Arc::new(changed))
}

/// The `PeerID` by which both sides of the introduction know the peering: the acceptor's id. `None` for a dialer that
/// has not exchanged its token yet.
pub(crate) fn introduced_as(peering: &Peering) -> Option<&str> {
    match peering.role {
        PeeringRole::Acceptor => Some(&peering.id),
        PeeringRole::Dialer => peering.remote_id.as_deref(),
    }
}

/// Whether the token that an accepted peering's streams are opened by was revoked.
pub(crate) fn is_revoked(snapshot: &Snapshot, peering: &Peering) -> bool {
    let secrets = snapshot.secrets(&peering.key);
    peering.role == PeeringRole::Acceptor
        && peering.is_live()
        && secrets.is_some_and(|secrets| secrets.active_stream.is_none())
}

/// What to write when the peer says, over a stream that was opened with `peer_id`, that it deleted the peering:
/// everything imported goes, the record stays until an operator deletes it here. `None` when that peering is gone or
/// was replaced by another one already.
pub fn terminated(snapshot: &Snapshot, key: &PeeringKey, peer_id: &str) -> Option<Transaction> {
    let peering = snapshot
        .peering(key)
        .filter(|peering| peering.is_live() && introduced_as(peering) == Some(peer_id))?;
    Some(
        Transaction::new()
            .expect(unchanged(peering))
            .put(with(peering, |peering| peering.state = PeeringState::Terminated))
            .op(Op::ForgetImports(key.clone())),
    )
}

/// Commits [`terminated`].
pub(crate) async fn mark_terminated(
    reader: &Reader,
    writer: &Writer,
    key: &PeeringKey,
    peer_id: &str,
) -> Result<(), CommitError> {
    let decide = |snapshot: &Snapshot| Ok((terminated(snapshot, key, peer_id), ()));
    change(reader, writer, decide, |error| error).await
}

/// What to write to remove a record that is marked as deleted, with all that hangs on it; `None` when there is none.
pub fn removal(snapshot: &Snapshot, key: &PeeringKey) -> Option<Transaction> {
    let deleting = |peering: &&Versioned<Peering>| peering.state == PeeringState::Deleting;
    snapshot.peering(key).filter(deleting).map(|peering| {
        Transaction::new()
            .expect(unchanged(peering))
            .delete(RowKey::Peering(key.clone()))
    })
}

/// Commits [`removal`].
pub(crate) async fn remove_deleted(
    reader: &Reader,
    writer: &Writer,
    key: &PeeringKey,
) -> Result<(), CommitError> {
    let decide = |snapshot: &Snapshot| Ok((removal(snapshot, key), ()));
    change(reader, writer, decide, |error| error).await
}

/// Whether another live peering of this partition is with the same partition of the cluster of this trust domain; its
/// name. A partition is spelt as peers do: empty is the default one.
pub(crate) fn peered_as(
    snapshot: &Snapshot,
    key: &PeeringKey,
    trust_domain: &peerway_model::TrustDomain,
    partition: &str,
) -> Option<String> {
    let whole = |text: &str| {
        if text.is_empty() {
            DEFAULT.to_owned()
        } else {
            text.to_owned()
        }
    };
    let there = |peering: &Peering| match snapshot.bundle(&peering.key) {
        Some(bundle) => bundle.exported_partition.to_string(),
        None => whole(&peering.remote.partition),
    };
    snapshot
        .peerings()
        .filter(|peering| peering.key != *key && peering.key.partition == key.partition && peering.is_live())
        .find(|peering| {
            importer::trust_domain_of(snapshot, peering).as_ref() == Some(trust_domain)
                && there(peering) == whole(partition)
        })
        .map(|peering| peering.key.name.to_string())
}

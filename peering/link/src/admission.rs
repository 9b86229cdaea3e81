//! What an acceptor writes for an exchange and for an `Open`: the protocol's decisions as transactions. Pure.

use crate::occasion::Occasion;
use crate::records;
use peerway_model::grant::{RefusalCause, RefusedUse};
use peerway_model::{AuditAction, Peering, PeeringGrants, PeeringKey, Secret, TokenGrant};
use peerway_peering_protocol::open::{decide_exchange, decide_open};
use peerway_peering_protocol::{Code, Denial, Found, Open, Refusal, Verdict};
use peerway_state::{Row, Snapshot, Transaction, Versioned};
use std::sync::Arc;

/// What to write for the exchange of the secret `offered` for the peering of this id, and what to answer: `stream`, or
/// the refusal. Both the use and the first refusal of a token that is known are kept.
pub fn exchange(
    snapshot: &Snapshot,
    id: &str,
    offered: &str,
    stream: Secret,
    occasion: &Occasion,
) -> (Option<Transaction>, Result<Secret, Refusal>) {
    let found = snapshot.peering_by_id(id);
    let decided = decide_exchange(
        id,
        found.map(|peering| rows(snapshot, peering)),
        offered,
        occasion.at,
    );
    let peering = match (decided, found) {
        (Ok(()), Some(peering)) => peering,
        (Ok(()), None) => return (None, Err(Refusal::new(Code::Internal, "the peering is gone"))),
        (Err(denial), found) => {
            let note = found.and_then(|peering| note(snapshot, peering, &denial, occasion));
            return (note, Err(denial.refusal));
        }
    };
    let key = &peering.key;
    let tokens = records::tokens(snapshot, key);
    let accessor = accessor_of(tokens.grants.establishment.as_ref());
    let used = occasion.record(AuditAction::Exchanged, key, &accessor, "");
    let transaction = Transaction::new().expect(records::unchanged(peering));
    let transaction = records::tokens_unchanged(transaction, snapshot, key);
    let tokens = tokens.exchanged(stream.clone(), occasion.at);
    (
        Some(records::with_tokens(transaction, tokens).op(used)),
        Ok(stream),
    )
}

/// What becomes of a stream whose `Open` was not refused.
#[derive(Clone, Debug)]
pub enum Admitted {
    /// It is served, as the stream of this peering.
    Serve(PeeringKey),
    /// The dialer is told that the peering is gone, then it ends with this.
    Tell(Refusal),
}

/// What to write for an `Open`, and what becomes of its stream. A pending secret is promoted by the transaction, so
/// that it is used by one stream only.
pub fn admit(
    snapshot: &Snapshot,
    open: &Open,
    occasion: &Occasion,
) -> (Option<Transaction>, Result<Admitted, Refusal>) {
    let found = snapshot.peering_by_id(&open.peer_id);
    let verdict = decide_open(
        open,
        found.map(|peering| rows(snapshot, peering)),
        snapshot.roots().is_some(),
    );
    let promote = match verdict {
        Verdict::Accept { promote } => promote,
        Verdict::TellTerminated(refusal) => return (None, Ok(Admitted::Tell(refusal))),
        Verdict::Refuse(denial) => {
            let note = found.and_then(|peering| note(snapshot, peering, &denial, occasion));
            return (note, Err(denial.refusal));
        }
    };
    let Some(peering) = found else {
        return (None, Err(Refusal::new(Code::Internal, "the peering is gone")));
    };
    let key = peering.key.clone();
    let transaction = promote.then(|| {
        let tokens = records::tokens(snapshot, &key);
        let accessor = accessor_of(tokens.grants.pending_stream.as_ref());
        let said = format!("datacenter {:?}", open.remote.datacenter);
        let known = records::with(peering, |peering| {
            if !open.remote.datacenter.is_empty() {
                peering.remote = open.remote.clone();
            }
        });
        let transaction = Transaction::new().expect(records::unchanged(peering));
        let transaction = records::tokens_unchanged(transaction, snapshot, &key).put(known);
        records::with_tokens(transaction, tokens.promoted(occasion.at)).op(occasion.record(
            AuditAction::Opened,
            &key,
            &accessor,
            &said,
        ))
    });
    (transaction, Ok(Admitted::Serve(key)))
}

/// What to write when the peer turned out over a running stream not to be whom its token is for. `None` when that is
/// known already.
pub(crate) fn misused(
    snapshot: &Snapshot,
    key: &PeeringKey,
    refusal: &Refusal,
    occasion: &Occasion,
) -> Option<Transaction> {
    let grant = snapshot.grant(key)?.active_stream.as_ref()?;
    let denial = Denial::about(&grant.accessor, RefusalCause::TrustDomain, &refusal.message);
    note(snapshot, snapshot.peering(key)?, &denial, occasion)
}

/// Keeps a denial for the operator, unless that token was denied for that reason before: whoever holds a useless token
/// must not be able to fill the store by trying it again and again.
fn note(
    snapshot: &Snapshot,
    peering: &Versioned<Peering>,
    denial: &Denial,
    occasion: &Occasion,
) -> Option<Transaction> {
    let (accessor, cause) = denial.about.as_ref()?;
    let key = &peering.key;
    let grants = snapshot.grant(key)?;
    let is_known = grants.all().any(|grant| grant.accessor == *accessor);
    if !is_known || grants.refusal(accessor, *cause).is_some() {
        return None;
    }
    let reason = denial.refusal.message.clone();
    let refused = occasion.record(AuditAction::Refused, key, accessor, &reason);
    let mut changed = PeeringGrants::clone(&grants.row);
    changed.refused.push(RefusedUse {
        accessor: accessor.clone(),
        cause: *cause,
        reason,
        at: occasion.at,
    });
    let transaction = Transaction::new().expect(records::unchanged(peering));
    let transaction = records::tokens_unchanged(transaction, snapshot, key);
    Some(transaction.put(Row::Grants(Arc::new(changed))).op(refused))
}

/// Empty for a token from before tokens had accessors.
fn accessor_of(grant: Option<&TokenGrant>) -> String {
    grant.map(|grant| grant.accessor.clone()).unwrap_or_default()
}

fn rows<'a>(snapshot: &'a Snapshot, peering: &'a Versioned<Peering>) -> Found<'a> {
    Found {
        peering,
        secrets: snapshot.secrets(&peering.key).map(|row| &*row.row),
        grants: snapshot.grant(&peering.key).map(|row| &*row.row),
    }
}

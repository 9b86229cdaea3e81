//! What an acceptor writes for an exchange and for an `Open`: the protocol's decisions as transactions. Pure.

use crate::records;
use peerway_model::{PeeringKey, PeeringSecrets, Secret};
use peerway_peering_protocol::open::{Verdict, decide_exchange, decide_open, exchanged, promoted};
use peerway_peering_protocol::{Code, Open, Refusal};
use peerway_state::{Row, Snapshot, Transaction};
use std::sync::Arc;

/// The transaction that spends the secret `offered` for the peering of this id and gives `stream` for it.
///
/// # Errors
/// Anything but the unused secret of a live peering.
pub fn exchange(
    snapshot: &Snapshot,
    id: &str,
    offered: &str,
    stream: Secret,
) -> Result<Transaction, Refusal> {
    let peering = snapshot.peering_by_id(id);
    let secrets = peering.and_then(|peering| snapshot.secrets(&peering.key));
    decide_exchange(
        id,
        peering.map(|row| &*row.row),
        secrets.map(|row| &*row.row),
        offered,
    )?;
    let (Some(peering), Some(secrets)) = (peering, secrets) else {
        return Err(Refusal::new(Code::Internal, "the peering has no secrets"));
    };
    Ok(Transaction::new()
        .expect(records::unchanged(peering))
        .expect(records::secrets_unchanged(snapshot, &peering.key))
        .put(Row::Secrets(
            peering.key.clone(),
            Arc::new(exchanged(secrets, stream)),
        )))
}

/// What becomes of a stream whose `Open` was not refused.
#[derive(Clone, Debug)]
pub enum Admitted {
    /// It is served, as the stream of this peering.
    Serve(PeeringKey),
    /// The dialer is told that the peering is gone, then it ends with this.
    Tell(Refusal),
}

/// Decides on an `Open`. A pending secret is promoted by the transaction, so that it is used by one stream only.
///
/// # Errors
/// The refusal to end the stream with.
pub fn admit(snapshot: &Snapshot, open: &Open) -> Result<(Option<Transaction>, Admitted), Refusal> {
    let peering = snapshot.peering_by_id(&open.peer_id);
    let secrets = peering.and_then(|peering| snapshot.secrets(&peering.key));
    let found = peering.map(|peering| (&*peering.row, secrets.map(|row| &*row.row)));
    let promote = match decide_open(open, found, snapshot.roots().is_some()) {
        Verdict::Accept { promote } => promote,
        Verdict::TellTerminated(refusal) => return Ok((None, Admitted::Tell(refusal))),
        Verdict::Refuse(refusal) => return Err(refusal),
    };
    let (Some(peering), Some(secrets)) = (peering, secrets) else {
        return Err(Refusal::new(Code::Internal, "the peering has no secrets"));
    };
    let key = peering.key.clone();
    let transaction = promote.then(|| {
        let after: PeeringSecrets = promoted(secrets);
        let known = records::with(peering, |peering| {
            if !open.remote.datacenter.is_empty() {
                peering.remote = open.remote.clone();
            }
        });
        Transaction::new()
            .expect(records::unchanged(peering))
            .expect(records::secrets_unchanged(snapshot, &key))
            .put(Row::Secrets(key.clone(), Arc::new(after)))
            .put(known)
    });
    Ok((transaction, Admitted::Serve(key)))
}

//! Who may open a stream, and who may exchange a token for its secret: the acceptor's decisions, as pure functions
//! over the stored rows (wire facts, sections 2.5 and 3.8). The caller writes what they say in one transaction
//! with preconditions, so that a race is lost by exactly one side.

#[cfg(test)]
mod tests;

use crate::admit::is_uuid;
use crate::message::{Code, Message, Open, Refusal};
use peerway_model::{Peering, PeeringRole, PeeringSecrets, PeeringState, Secret};

/// What to do with a stream after its first message.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Serve it. With `promote`, first store [`promoted`] secrets and the `Open`'s remote info.
    Accept {
        /// Whether the pending secret was used for the first time.
        promote: bool,
    },
    /// Tell the dialer that the peering is gone, then end with this status.
    TellTerminated(Refusal),
    /// End with this status.
    Refuse(Refusal),
}

fn refuse(code: Code, message: impl Into<String>) -> Verdict {
    Verdict::Refuse(Refusal::new(code, message))
}

/// The `Open` of a first message, or the refusal for anything else. Also refuses ids that cannot be looked up.
pub fn expect_open(first: Option<Message>) -> Result<Open, Refusal> {
    let Some(Message::Open(open)) = first else {
        return Err(Refusal::new(
            Code::InvalidArgument,
            "the first message of a peering stream must be Open",
        ));
    };
    if open.peer_id.is_empty() {
        return Err(Refusal::new(
            Code::InvalidArgument,
            "Open has no PeerID, generate a new token and establish again",
        ));
    }
    if !is_uuid(&open.peer_id) {
        return Err(Refusal::new(
            Code::Internal,
            format!(
                "PeerID {:?} is not a UUID",
                crate::freshness::cut(&open.peer_id, 64)
            ),
        ));
    }
    Ok(open)
}

/// Decides on an `Open`. `found` are the rows of the peering with [`Open::peer_id`] as its id; `authority_ready`
/// says whether this cluster has its roots.
pub fn decide_open(
    open: &Open,
    found: Option<(&Peering, Option<&PeeringSecrets>)>,
    authority_ready: bool,
) -> Verdict {
    let id = &open.peer_id;
    let Some((peering, secrets)) = found else {
        return refuse(
            Code::InvalidArgument,
            format!(
                "no peering has the PeerID {id}, it was deleted here: delete it on the dialling side too"
            ),
        );
    };
    let gone = || Refusal::new(Code::Aborted, format!("the peering {id} is marked as deleted"));
    match peering.state {
        PeeringState::Deleting => return Verdict::TellTerminated(gone()),
        PeeringState::Terminated => return Verdict::Refuse(gone()),
        _ => {}
    }
    let held = |secret: &Option<Secret>| {
        secret
            .as_ref()
            .is_some_and(|secret| secret.matches(open.stream_secret.expose()))
    };
    let Some(secrets) = secrets else {
        return refuse(
            Code::Internal,
            "the peering has no secrets, generate a new token and establish again",
        );
    };
    let (active, pending) = (held(&secrets.active_stream), held(&secrets.pending_stream));
    if open.stream_secret.expose().is_empty() || !(active || pending) {
        return refuse(
            Code::PermissionDenied,
            "the peering stream secret is wrong, generate a new token and establish again",
        );
    }
    if peering.role == PeeringRole::Dialer {
        return refuse(
            Code::InvalidArgument,
            "this side of the peering dials, it cannot be dialled",
        );
    }
    if !authority_ready {
        return refuse(
            Code::Unavailable,
            "the certificate authority is not ready yet, try again",
        );
    }
    Verdict::Accept { promote: !active }
}

/// Decides on an exchange: whether `offered` is the unused secret of the token. `peering` is the one with the
/// requested id. Unknown, used and wrong all look the same from outside.
pub fn decide_exchange(
    id: &str,
    peering: Option<&Peering>,
    secrets: Option<&PeeringSecrets>,
    offered: &str,
) -> Result<(), Refusal> {
    if !is_uuid(id) {
        return Err(Refusal::new(
            Code::Internal,
            format!("PeerID {:?} is not a UUID", crate::freshness::cut(id, 64)),
        ));
    }
    let right = secrets
        .and_then(|secrets| secrets.establishment.as_ref())
        .is_some_and(|secret| !offered.is_empty() && secret.matches(offered));
    let live = peering.is_some_and(|peering| peering.is_live() && peering.role == PeeringRole::Acceptor);
    if right && live {
        return Ok(());
    }
    Err(Refusal::new(
        Code::PermissionDenied,
        "the peering establishment secret is wrong or was used already",
    ))
}

/// The secrets after a token was generated: an unused older token is void.
#[must_use]
pub fn after_token(secrets: &PeeringSecrets, establishment: Secret) -> PeeringSecrets {
    PeeringSecrets {
        establishment: Some(establishment),
        ..secrets.clone()
    }
}

/// The secrets after an exchange: the token is spent, `stream` waits for its first use, and a running stream keeps
/// its own.
#[must_use]
pub fn exchanged(secrets: &PeeringSecrets, stream: Secret) -> PeeringSecrets {
    PeeringSecrets {
        establishment: None,
        pending_stream: Some(stream),
        active_stream: secrets.active_stream.clone(),
    }
}

/// The secrets after the pending one was used for the first time: it replaces the active one.
#[must_use]
pub fn promoted(secrets: &PeeringSecrets) -> PeeringSecrets {
    PeeringSecrets {
        establishment: secrets.establishment.clone(),
        pending_stream: None,
        active_stream: secrets
            .pending_stream
            .clone()
            .or_else(|| secrets.active_stream.clone()),
    }
}

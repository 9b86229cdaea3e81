//! Who may open a stream, and who may exchange a token for its secret: the acceptor's decisions, as pure functions
//! over the stored rows (wire facts, sections 2.5 and 3.8). The caller writes what they say in one transaction
//! with preconditions, so that a race is lost by exactly one side.

#[cfg(test)]
mod tests;

use crate::admit::is_uuid;
use crate::message::{Code, Message, Open, Refusal};
use peerway_model::grant::RefusalCause;
use peerway_model::name::MAX_LABEL_BYTES;
use peerway_model::{Peering, PeeringGrants, PeeringRole, PeeringSecrets, PeeringState, Secret, TokenGrant};

/// What to do with a stream after its first message.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Serve it. With `promote`, first store the [`promoted`](crate::Tokens::promoted) tokens and the `Open`'s remote info.
    Accept {
        /// Whether the pending secret was used for the first time.
        promote: bool,
    },
    /// Tell the dialer that the peering is gone, then end with this status.
    TellTerminated(Refusal),
    /// End with this status.
    Refuse(Denial),
}

/// A "no" to somebody with a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// What is answered.
    pub refusal: Refusal,
    /// Accessor of the token and why it did not do, when it is one that the acceptor knows: to be kept and shown.
    pub about: Option<(String, RefusalCause)>,
}

impl Denial {
    /// A denial that the acceptor's operator should hear of.
    pub fn about(accessor: &str, cause: RefusalCause, text: &str) -> Self {
        Denial {
            refusal: Refusal::new(Code::PermissionDenied, text),
            about: Some((accessor.to_owned(), cause)),
        }
    }
}

impl From<Refusal> for Denial {
    fn from(refusal: Refusal) -> Self {
        Denial { refusal, about: None }
    }
}

/// What the dialer of a stream is told whose secret was revoked.
pub const REVOKED: &str =
    "the token of this peering was revoked by the accepting side, generate a new token and establish again";

fn refuse(code: Code, message: impl Into<String>) -> Verdict {
    Verdict::Refuse(Refusal::new(code, message).into())
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

/// What is stored about the peering that somebody asks for.
#[derive(Clone, Copy)]
pub struct Found<'a> {
    /// The record.
    pub peering: &'a Peering,
    /// Its secrets.
    pub secrets: Option<&'a PeeringSecrets>,
    /// What they grant.
    pub grants: Option<&'a PeeringGrants>,
}

/// Decides on an `Open`. `found` are the rows of the peering with [`Open::peer_id`] as its id; `authority_ready`
/// says whether this cluster has its roots.
pub fn decide_open(open: &Open, found: Option<Found<'_>>, authority_ready: bool) -> Verdict {
    let id = &open.peer_id;
    let Some(Found {
        peering,
        secrets,
        grants,
    }) = found
    else {
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
        PeeringState::Terminated => return Verdict::Refuse(gone().into()),
        _ => {}
    }
    let offered = open.stream_secret.expose();
    let held = |secret: &Option<Secret>| secret.as_ref().is_some_and(|secret| secret.matches(offered));
    let Some(secrets) = secrets else {
        return refuse(
            Code::Internal,
            "the peering has no secrets, generate a new token and establish again",
        );
    };
    let (active, pending) = (held(&secrets.active_stream), held(&secrets.pending_stream));
    if offered.is_empty() || !(active || pending) {
        let revoked = secrets.find_revoked(offered);
        return Verdict::Refuse(revoked.map_or_else(
            || {
                let text = "the peering stream secret is wrong, generate a new token and establish again";
                Refusal::new(Code::PermissionDenied, text).into()
            },
            |revoked| Denial::about(&revoked.accessor, RefusalCause::Revoked, REVOKED),
        ));
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
    let grant = grants.and_then(|grants| {
        let used = if active {
            &grants.active_stream
        } else {
            &grants.pending_stream
        };
        used.as_ref()
    });
    match grant.and_then(|grant| wrong_datacenter(grant, &open.remote.datacenter)) {
        Some(denial) => Verdict::Refuse(denial),
        None => Verdict::Accept { promote: !active },
    }
}

fn wrong_datacenter(grant: &TokenGrant, said: &str) -> Option<Denial> {
    let bound = grant.bounds.datacenter.as_ref().filter(|bound| *bound != said)?;
    let said = crate::freshness::cut(said, MAX_LABEL_BYTES);
    let text = format!(
        "the peering token is for datacenter {bound:?} and the dialer says that it is {said:?}, generate a token for it and establish again"
    );
    Some(Denial::about(&grant.accessor, RefusalCause::Datacenter, &text))
}

/// Decides on an exchange at `now` (unix milliseconds): whether `offered` is the unused secret of the token. `found`
/// are the rows of the peering with the requested id. Unknown, used, replaced and wrong all look the same from
/// outside; that a token has expired or was revoked is told to whoever holds it.
pub fn decide_exchange(id: &str, found: Option<Found<'_>>, offered: &str, now: u64) -> Result<(), Denial> {
    if !is_uuid(id) {
        return Err(Refusal::new(
            Code::Internal,
            format!("PeerID {:?} is not a UUID", crate::freshness::cut(id, 64)),
        )
        .into());
    }
    let unknown = || {
        let text = "the peering establishment secret is wrong or was used already";
        Denial::from(Refusal::new(Code::PermissionDenied, text))
    };
    let live = found.filter(|found| found.peering.is_live() && found.peering.role == PeeringRole::Acceptor);
    let Some(Found {
        secrets: Some(secrets),
        grants,
        ..
    }) = live
    else {
        return Err(unknown());
    };
    let unused = secrets.establishment.as_ref();
    if offered.is_empty() || !unused.is_some_and(|secret| secret.matches(offered)) {
        let revoked = secrets.find_revoked(offered);
        return Err(revoked.map_or_else(unknown, |revoked| {
            Denial::about(
                &revoked.accessor,
                RefusalCause::Revoked,
                "the peering token was revoked",
            )
        }));
    }
    match grants.and_then(|grants| grants.establishment.as_ref()) {
        Some(grant) if grant.is_expired(now) => Err(Denial::about(
            &grant.accessor,
            RefusalCause::Expired,
            "the peering token has expired",
        )),
        _ => Ok(()),
    }
}

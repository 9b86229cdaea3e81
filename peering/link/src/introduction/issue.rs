//! What making and revoking a token writes. Pure; whoever commits it starts over when the rows changed meanwhile.

#[cfg(test)]
mod tests;

use super::rows::{Standing, new_peering, not_ready, spelt, standing};
use super::{IntroductionError, TokenOrder};
use crate::occasion::Occasion;
use crate::{importer, reach, records};
use peerway_model::grant::TokenEnd;
use peerway_model::peering::RemoteInfo;
use peerway_model::{
    AuditAction, CaRoots, Invalid, Peering, PeeringGrants, PeeringKey, PeeringRole, Secret, TokenGrant, sni,
};
use peerway_peering_protocol::{Token, Which};
use peerway_state::{Row, RowKey, Snapshot, Transaction, Versioned};
use std::sync::Arc;
use std::time::Duration;

/// A token as it is given out.
#[derive(Clone)]
pub struct Issued {
    /// What to hand over.
    pub token: Token,
    /// What it grants.
    pub grant: TokenGrant,
}

/// The token that is ordered for `key` and what to write for it; nothing when it has been given to the same requester
/// before. `own_addresses` is where this cluster's peering endpoint is, unless it is reached through mesh
/// gateways. `fresh` gives a new random UUID each time.
///
/// # Errors
/// When the cluster has no roots yet or no address to give, the name is in use otherwise, or the request id is of another token.
pub fn token(
    snapshot: &Snapshot,
    key: &PeeringKey,
    order: &TokenOrder,
    own_addresses: &[String],
    occasion: &Occasion,
    mut fresh: impl FnMut() -> String,
) -> Result<(Option<Transaction>, Issued), IntroductionError> {
    let roots = snapshot.roots().ok_or_else(not_ready)?;
    let existing = snapshot.peering(key);
    let kept = match existing {
        Some(peering) => (standing(peering, PeeringRole::Acceptor)? == Standing::Kept).then_some(peering),
        None => None,
    };
    can_be_bound(snapshot, roots, kept, order)?;
    // Addresses by the operator are all that the dialer uses.
    let addresses = if order.external_addresses.is_empty() {
        reach::for_token(snapshot, own_addresses)?
    } else {
        reach::advertised(snapshot, own_addresses)
    };
    let tokens = match kept {
        Some(_) => records::tokens(snapshot, key),
        None => records::no_tokens(key),
    };
    if let Some(id) = &order.request_id
        && let Some(grant) = earlier(kept, &tokens.grants, id, order, occasion.at)?
        && let (Some(peering), Some(secret)) = (kept, &tokens.secrets.establishment)
    {
        let written = written(roots, peering, addresses, secret.clone());
        let issued = Issued {
            token: written,
            grant,
        };
        return Ok((reissue(snapshot, key, &issued.grant, occasion), issued));
    }
    let base = match kept {
        Some(peering) => Peering::clone(&peering.row),
        None => Peering {
            meta: order.meta.clone(),
            ..new_peering(key, PeeringRole::Acceptor, fresh())
        },
    };
    let peering = Peering {
        external_addresses: order.external_addresses.clone(),
        ..base
    };
    let secret = Secret::new(fresh());
    let grant = TokenGrant {
        accessor: fresh(),
        made_at: occasion.at,
        expires_at: order.ttl.map(|ttl| occasion.at.saturating_add(millis(ttl))),
        request_id: order.request_id.clone(),
        bounds: order.bounds.clone(),
        proven: false,
    };
    let issued = Issued {
        token: written(roots, &peering, addresses, secret.clone()),
        grant: grant.clone(),
    };
    let transaction = records::tokens_unchanged(records::as_it_was(snapshot, key), snapshot, key);
    let transaction = match (existing, kept) {
        // What is left of the former peering goes.
        (Some(_), None) => transaction.delete(RowKey::Peering(key.clone())),
        _ => transaction,
    };
    let detail = described(&grant);
    let made = occasion.record(AuditAction::Made, key, &grant.accessor, &detail);
    let tokens = tokens.issued(secret, grant, occasion.at);
    let transaction = transaction.put(Row::Peering(Arc::new(peering)));
    Ok((Some(records::with_tokens(transaction, tokens).op(made)), issued))
}

/// The token as its text says it, with what is true of the cluster now.
fn written(roots: &CaRoots, peering: &Peering, addresses: Vec<String>, secret: Secret) -> Token {
    Token {
        ca_pems: roots.roots.iter().map(|root| root.pem.clone()).collect(),
        manual_server_addresses: peering.external_addresses.clone(),
        server_addresses: addresses,
        server_name: sni::peering_server(&roots.datacenter, &roots.trust_domain),
        peer_id: peering.id.clone(),
        establishment_secret: secret,
        remote: RemoteInfo {
            partition: spelt(&peering.key.partition),
            datacenter: roots.datacenter.to_string(),
        },
    }
}

fn can_be_bound(
    snapshot: &Snapshot,
    roots: &CaRoots,
    kept: Option<&Versioned<Peering>>,
    order: &TokenOrder,
) -> Result<(), IntroductionError> {
    let Some(bound) = &order.bounds.trust_domain else {
        return Ok(());
    };
    if *bound == roots.trust_domain {
        let problem = "is this cluster's own, give that of the cluster that is to use the token";
        return Err(Invalid::new("RemoteTrustDomain", problem).into());
    }
    let known = kept.and_then(|peering| Some((peering, importer::trust_domain_of(snapshot, peering)?)));
    match known {
        Some((peering, known)) if known != *bound => Err(IntroductionError::Conflict(format!(
            "peering {} is with trust domain {known:?}, not {bound:?}: delete that peering first, or choose another name",
            peering.key.name
        ))),
        _ => Ok(()),
    }
}

/// The token of an earlier order with this request id, if it can be given out again; `None` when a new one is to be
/// made. A request id stands for one token: what became of it is not undone by asking again.
fn earlier(
    kept: Option<&Versioned<Peering>>,
    grants: &PeeringGrants,
    id: &str,
    order: &TokenOrder,
    now: u64,
) -> Result<Option<TokenGrant>, IntroductionError> {
    let named = |grant: &&TokenGrant| grant.request_id.as_deref() == Some(id);
    let refused = |what: &str| {
        Err(IntroductionError::Conflict(format!(
            "the token of request id {id:?} {what}: give another request id to make another token"
        )))
    };
    if let Some(grant) = grants.establishment.as_ref().filter(named) {
        if grant.is_expired(now) {
            return Ok(None);
        }
        let lifetime = grant.expires_at.map(|at| at.saturating_sub(grant.made_at));
        let same = grant.bounds == order.bounds
            && lifetime == order.ttl.map(millis)
            && kept.is_some_and(|peering| peering.external_addresses == order.external_addresses);
        return if same {
            Ok(Some(grant.clone()))
        } else {
            refused("was ordered with other settings")
        };
    }
    let used = [&grants.pending_stream, &grants.active_stream];
    if used.into_iter().flatten().any(|grant| named(&grant)) {
        return refused("was used already");
    }
    match grants.ended.iter().rev().find(|ended| named(&&ended.grant)) {
        Some(ended) => refused(match ended.end {
            TokenEnd::Replaced => "was replaced by a newer one",
            TokenEnd::Revoked => "was revoked",
            TokenEnd::Superseded => "was used already",
        }),
        None => Ok(None),
    }
}

/// Records that a token was given out again, the first time to each requester: automation asks all the time.
fn reissue(
    snapshot: &Snapshot,
    key: &PeeringKey,
    grant: &TokenGrant,
    occasion: &Occasion,
) -> Option<Transaction> {
    let host = |address: &str| {
        address
            .rsplit_once(':')
            .map_or(address, |(host, _)| host)
            .to_owned()
    };
    let to = host(&occasion.by.address);
    let known = snapshot.audit().any(|record| {
        let event = &record.event;
        event.accessor == grant.accessor
            && matches!(event.action, AuditAction::Made | AuditAction::Reissued)
            && host(&event.by.address) == to
    });
    let op = occasion.record(AuditAction::Reissued, key, &grant.accessor, "");
    (!known).then(|| Transaction::new().op(op))
}

/// Which tokens of a peering are to be revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// The only one that opens something; refused when there are more.
    Only,
    /// All that open something.
    All,
    /// The one with this accessor.
    Accessor(String),
}

/// What to write to revoke tokens, with the accessors of those that opened something until then: what an unused one
/// would be exchanged for is never given, and what a used one was exchanged for opens no stream any more. Nothing is
/// to be written when they are of no use already.
///
/// # Errors
/// When the peering does not exist or does not accept, or the selection means no token or too many.
pub fn revocation(
    snapshot: &Snapshot,
    key: &PeeringKey,
    selection: &Selection,
    occasion: &Occasion,
) -> Result<(Option<Transaction>, Vec<String>), IntroductionError> {
    let name = &key.name;
    let peering = snapshot
        .peering(key)
        .ok_or_else(|| IntroductionError::NotFound(format!("peering {:?} does not exist", name.as_str())))?;
    if peering.role == PeeringRole::Dialer {
        return Err(IntroductionError::Conflict(format!(
            "peering {name} was established with a token of the peer: revoke that where it was made, or delete the peering here"
        )));
    }
    if !peering.is_live() {
        // Its tokens ended with it.
        return Ok((None, Vec::new()));
    }
    let tokens = records::tokens(snapshot, key);
    let which = match selection {
        Selection::Accessor(accessor) => {
            if !tokens.grants.all().any(|grant| grant.accessor == *accessor) {
                return Err(IntroductionError::NotFound(format!(
                    "peering {name} has no token with the accessor {accessor:?}: list its tokens to find it"
                )));
            }
            Which::One(accessor)
        }
        Selection::Only if tokens.live() > 1 => {
            let accessors: Vec<&str> = tokens
                .grants
                .live()
                .map(|grant| grant.accessor.as_str())
                .collect();
            return Err(IntroductionError::Conflict(format!(
                "peering {name} lives on {} tokens ({}): say which by its accessor, or revoke all",
                tokens.live(),
                accessors.join(", ")
            )));
        }
        Selection::Only | Selection::All => Which::All,
    };
    let (tokens, revoked) = tokens.revoked(which, occasion.at);
    if revoked.is_empty() {
        return Ok((None, revoked));
    }
    let transaction = records::tokens_unchanged(records::as_it_was(snapshot, key), snapshot, key);
    let transaction = records::with_tokens(transaction, tokens);
    let transaction = revoked.iter().fold(transaction, |transaction, accessor| {
        transaction.op(occasion.record(AuditAction::Revoked, key, accessor, ""))
    });
    Ok((Some(transaction), revoked))
}

/// The bounds of a token in words.
fn described(grant: &TokenGrant) -> String {
    let bounds = &grant.bounds;
    let mut words = Vec::new();
    words.extend(
        grant
            .expires_at
            .map(|at| format!("good for {} s", at.saturating_sub(grant.made_at) / 1000)),
    );
    words.extend(
        bounds
            .datacenter
            .as_ref()
            .map(|datacenter| format!("for datacenter {datacenter}")),
    );
    words.extend(
        bounds
            .trust_domain
            .as_ref()
            .map(|domain| format!("for trust domain {domain}")),
    );
    words.extend(
        bounds
            .services
            .as_ref()
            .map(|services| format!("for {} services", services.len())),
    );
    words.extend(grant.request_id.as_ref().map(|id| format!("request id {id}")));
    words.join(", ")
}

fn millis(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)
}

//! Peering tokens in bodies and answers, without their secrets. All of it is Peerway's own: Consul's tokens have no
//! bounds and cannot be listed or revoked.

use crate::fields::Fields;
use crate::moment::rfc3339;
use crate::rotation::duration;
use peerway_model::grant::{AllowedService, TokenEnd};
use peerway_model::{
    AuditRecord, Invalid, Partition, PeeringGrants, PeeringKey, TokenBounds, TokenGrant, TrustDomain,
};
use serde::Serialize;
use std::collections::BTreeSet;
use std::time::Duration;

/// What a token is asked for with beyond what Consul's body of `POST /v1/peering/token` has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenTerms {
    /// How long it can be used; `None` leaves it to the server's configuration.
    pub ttl: Option<Duration>,
    /// To ask for the same token again.
    pub request_id: Option<String>,
    /// Whom it is for and what it opens.
    pub bounds: TokenBounds,
}

/// Takes the fields of [`TokenTerms`].
pub(crate) fn token_terms(fields: &mut Fields<'_>) -> Result<TokenTerms, Invalid> {
    let services = if fields.has("AllowedServices") {
        let each = fields.list("AllowedServices")?.into_iter().map(|(at, value)| {
            let text = crate::fields::text_of(at.clone(), value)?;
            AllowedService::parse(&text).map_err(|invalid| invalid.within(&at))
        });
        Some(each.collect::<Result<BTreeSet<_>, _>>()?)
    } else {
        None
    };
    Ok(TokenTerms {
        ttl: fields.parsed("TTL", duration)?,
        request_id: fields.nonempty("RequestID")?,
        bounds: TokenBounds {
            datacenter: fields.nonempty("RemoteDatacenter")?,
            trust_domain: fields.parsed("RemoteTrustDomain", TrustDomain::new)?,
            services,
        },
    })
}

/// A token in answers.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct TokenInfoJson {
    peer_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    partition: Option<String>,
    #[serde(rename = "AccessorID")]
    accessor_id: String,
    state: &'static str,
    create_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<String>,
    #[serde(rename = "RequestID", skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_datacenter: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_trust_domain: Option<String>,
    /// Whether the peer has shown it; present with `RemoteTrustDomain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    trust_domain_shown: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_services: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    refused: Vec<RefusedJson>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct RefusedJson {
    cause: &'static str,
    reason: String,
    time: Option<String>,
}

/// All tokens of a peering that are remembered, those that open something first; as they are at `now`, unix
/// milliseconds.
pub fn tokens_json(grants: &PeeringGrants, now: u64) -> Vec<TokenInfoJson> {
    let unused = |grant: &TokenGrant| {
        if grant.is_expired(now) {
            "expired"
        } else {
            "unused"
        }
    };
    let mut tokens = Vec::new();
    tokens.extend(
        grants
            .establishment
            .as_ref()
            .map(|grant| info(grants, grant, unused(grant), None)),
    );
    tokens.extend(
        grants
            .pending_stream
            .as_ref()
            .map(|grant| info(grants, grant, "exchanged", None)),
    );
    tokens.extend(
        grants
            .active_stream
            .as_ref()
            .map(|grant| info(grants, grant, "in-use", None)),
    );
    tokens.extend(grants.ended.iter().rev().map(|ended| {
        let state = match ended.end {
            TokenEnd::Replaced => "replaced",
            TokenEnd::Revoked => "revoked",
            TokenEnd::Superseded => "superseded",
        };
        info(grants, &ended.grant, state, Some(ended.at))
    }));
    tokens
}

fn info(
    grants: &PeeringGrants,
    grant: &TokenGrant,
    state: &'static str,
    ended_at: Option<u64>,
) -> TokenInfoJson {
    let (peer_name, partition) = named(&grants.peering);
    let TokenBounds {
        datacenter,
        trust_domain,
        services,
    } = &grant.bounds;
    let refused = grants
        .refused
        .iter()
        .filter(|refused| refused.accessor == grant.accessor);
    TokenInfoJson {
        peer_name,
        partition,
        accessor_id: grant.accessor.clone(),
        state,
        create_time: rfc3339(grant.made_at),
        expiration_time: grant.expires_at.and_then(rfc3339),
        end_time: ended_at.and_then(rfc3339),
        request_id: grant.request_id.clone(),
        remote_datacenter: datacenter.clone(),
        remote_trust_domain: trust_domain.as_ref().map(TrustDomain::to_string),
        trust_domain_shown: trust_domain.as_ref().map(|_| grant.proven),
        allowed_services: services
            .as_ref()
            .map(|services| services.iter().map(AllowedService::to_string).collect()),
        refused: refused
            .map(|refused| RefusedJson {
                cause: refused.cause.as_str(),
                reason: refused.reason.clone(),
                time: rfc3339(refused.at),
            })
            .collect(),
    }
}

/// An audit record in answers.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AuditJson {
    number: u64,
    time: Option<String>,
    action: &'static str,
    peer_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    partition: Option<String>,
    #[serde(rename = "AccessorID", skip_serializing_if = "String::is_empty")]
    accessor_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    address: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    program: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    detail: String,
}

impl From<&AuditRecord> for AuditJson {
    fn from(record: &AuditRecord) -> Self {
        let event = &record.event;
        let (peer_name, partition) = named(&event.peering);
        AuditJson {
            number: record.number,
            time: rfc3339(event.at),
            action: event.action.as_str(),
            peer_name,
            partition,
            accessor_id: event.accessor.clone(),
            address: event.by.address.clone(),
            program: event.by.program.clone(),
            detail: event.detail.clone(),
        }
    }
}

/// The answer of `DELETE /v1/peerway/peering-tokens/:name`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RevokedJson {
    /// Accessors of the tokens that opened something until now.
    pub revoked: Vec<String>,
}

/// Name, and partition unless it is the default one.
fn named(key: &PeeringKey) -> (String, Option<String>) {
    let partition = |partition: &Partition| (!partition.is_default()).then(|| partition.to_string());
    (key.name.to_string(), partition(&key.partition))
}

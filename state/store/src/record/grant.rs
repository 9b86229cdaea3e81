//! Twins of what tokens grant and of the audit records.

use super::peering::PeeringKeyRecord;
use super::text::{Text, Textual, text};
use peerway_model::grant::{AllowedService, EndedToken, RefusalCause, RefusedUse, TokenEnd};
use peerway_model::{
    AuditAction, AuditEvent, AuditRecord, PeeringGrants, Requester, TokenBounds, TokenGrant, TrustDomain,
};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

impl Textual for AllowedService {
    fn text(&self) -> Cow<'_, str> {
        self.to_string().into()
    }

    fn of_text(text: &str) -> Result<Self, String> {
        AllowedService::parse(text).map_err(|invalid| invalid.to_string())
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct GrantsRecord {
    peering: PeeringKeyRecord,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    establishment: Option<GrantRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pending_stream: Option<GrantRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    active_stream: Option<GrantRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lapsed: Option<GrantRecord>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    ended: Vec<EndedRecord>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    refused: Vec<RefusedRecord>,
}

impl From<&PeeringGrants> for GrantsRecord {
    fn from(grants: &PeeringGrants) -> Self {
        let PeeringGrants {
            peering,
            establishment,
            pending_stream,
            active_stream,
            lapsed,
            ended,
            refused,
        } = grants;
        let grant = |grant: &Option<TokenGrant>| grant.as_ref().map(GrantRecord::from);
        GrantsRecord {
            peering: peering.into(),
            establishment: grant(establishment),
            pending_stream: grant(pending_stream),
            active_stream: grant(active_stream),
            lapsed: grant(lapsed),
            ended: ended.iter().map(EndedRecord::from).collect(),
            refused: refused.iter().map(RefusedRecord::from).collect(),
        }
    }
}

impl From<GrantsRecord> for PeeringGrants {
    fn from(record: GrantsRecord) -> Self {
        PeeringGrants {
            peering: record.peering.into(),
            establishment: record.establishment.map(TokenGrant::from),
            pending_stream: record.pending_stream.map(TokenGrant::from),
            active_stream: record.active_stream.map(TokenGrant::from),
            lapsed: record.lapsed.map(TokenGrant::from),
            ended: record.ended.into_iter().map(EndedToken::from).collect(),
            refused: record.refused.into_iter().map(RefusedUse::from).collect(),
        }
    }
}

/// The bounds are not left out when they are absent: a version that does not read them must not make a token wider.
#[derive(Serialize, Deserialize)]
struct GrantRecord {
    accessor: String,
    made_at: u64,
    expires_at: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    datacenter: Option<String>,
    trust_domain: Option<Text<TrustDomain>>,
    services: Option<Vec<Text<AllowedService>>>,
    proven: bool,
}

impl From<&TokenGrant> for GrantRecord {
    fn from(grant: &TokenGrant) -> Self {
        let TokenGrant {
            accessor,
            made_at,
            expires_at,
            request_id,
            bounds:
                TokenBounds {
                    datacenter,
                    trust_domain,
                    services,
                },
            proven,
        } = grant;
        GrantRecord {
            accessor: accessor.clone(),
            made_at: *made_at,
            expires_at: *expires_at,
            request_id: request_id.clone(),
            datacenter: datacenter.clone(),
            trust_domain: text(trust_domain),
            services: services
                .as_ref()
                .map(|services| services.iter().cloned().map(Text).collect()),
            proven: *proven,
        }
    }
}

impl From<GrantRecord> for TokenGrant {
    fn from(record: GrantRecord) -> Self {
        TokenGrant {
            accessor: record.accessor,
            made_at: record.made_at,
            expires_at: record.expires_at,
            request_id: record.request_id,
            bounds: TokenBounds {
                datacenter: record.datacenter,
                trust_domain: record.trust_domain.map(|text| text.0),
                services: record
                    .services
                    .map(|services| services.into_iter().map(|text| text.0).collect()),
            },
            proven: record.proven,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct EndedRecord {
    grant: GrantRecord,
    at: u64,
    end: Text<TokenEnd>,
}

impl From<&EndedToken> for EndedRecord {
    fn from(ended: &EndedToken) -> Self {
        let EndedToken { grant, at, end } = ended;
        EndedRecord {
            grant: grant.into(),
            at: *at,
            end: Text(*end),
        }
    }
}

impl From<EndedRecord> for EndedToken {
    fn from(record: EndedRecord) -> Self {
        EndedToken {
            grant: record.grant.into(),
            at: record.at,
            end: record.end.0,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct RefusedRecord {
    accessor: String,
    cause: Text<RefusalCause>,
    reason: String,
    at: u64,
}

impl From<&RefusedUse> for RefusedRecord {
    fn from(refused: &RefusedUse) -> Self {
        let RefusedUse {
            accessor,
            cause,
            reason,
            at,
        } = refused;
        RefusedRecord {
            accessor: accessor.clone(),
            cause: Text(*cause),
            reason: reason.clone(),
            at: *at,
        }
    }
}

impl From<RefusedRecord> for RefusedUse {
    fn from(record: RefusedRecord) -> Self {
        RefusedUse {
            accessor: record.accessor,
            cause: record.cause.0,
            reason: record.reason,
            at: record.at,
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct AuditRecordRecord {
    number: u64,
    at: u64,
    action: Text<AuditAction>,
    peering: PeeringKeyRecord,
    accessor: String,
    address: String,
    program: String,
    detail: String,
}

impl From<&AuditRecord> for AuditRecordRecord {
    fn from(record: &AuditRecord) -> Self {
        let AuditRecord {
            number,
            event:
                AuditEvent {
                    at,
                    action,
                    peering,
                    accessor,
                    by: Requester { address, program },
                    detail,
                },
        } = record;
        AuditRecordRecord {
            number: *number,
            at: *at,
            action: Text(*action),
            peering: peering.into(),
            accessor: accessor.clone(),
            address: address.clone(),
            program: program.clone(),
            detail: detail.clone(),
        }
    }
}

impl From<AuditRecordRecord> for AuditRecord {
    fn from(record: AuditRecordRecord) -> Self {
        AuditRecord {
            number: record.number,
            event: AuditEvent {
                at: record.at,
                action: record.action.0,
                peering: record.peering.into(),
                accessor: record.accessor,
                by: Requester {
                    address: record.address,
                    program: record.program,
                },
                detail: record.detail,
            },
        }
    }
}

//! Generated peerings with what belongs to them, and audit records, with every field in use.

use super::rows::{any_text, namespace, pairs, partition, peering_key, service_name, texts, trust_domain};
use peerway_model::grant::{AllowedService, EndedToken, RefusalCause, RefusedUse, TokenEnd};
use peerway_model::peering::{RemoteInfo, RevokedSecret};
use peerway_model::{
    AuditAction, AuditEvent, AuditRecord, Peering, PeeringGrants, PeeringRole, PeeringSecrets, PeeringState,
    Requester, Secret, TokenBounds, TokenGrant, TrustBundle,
};
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

pub(super) fn peering() -> impl Strategy<Value = Peering> {
    let role = select(vec![PeeringRole::Acceptor, PeeringRole::Dialer]);
    let state = select(PeeringState::ALL.to_vec());
    let said = (any_text(), any_text());
    (
        (peering_key(), any_text(), role, state, pairs()),
        (option::of(any_text()), texts(), option::of(any_text()), texts()),
        (texts(), texts(), said, option::of(any::<u64>())),
    )
        .prop_map(
            |(
                (key, id, role, state, meta),
                (remote_id, ca_pems, server_name, server_addresses),
                (manual_addresses, external_addresses, (partition, datacenter), deleted_at),
            )| Peering {
                key,
                id,
                role,
                state,
                meta,
                remote_id,
                ca_pems,
                server_name,
                server_addresses,
                manual_addresses,
                external_addresses,
                remote: RemoteInfo {
                    partition,
                    datacenter,
                },
                deleted_at,
            },
        )
}

pub(super) fn bundle() -> impl Strategy<Value = TrustBundle> {
    (peering_key(), trust_domain(), partition(), texts()).prop_map(
        |(peering, trust_domain, exported_partition, root_pems)| TrustBundle {
            peering,
            trust_domain,
            exported_partition,
            root_pems,
        },
    )
}

pub(super) fn secrets() -> impl Strategy<Value = PeeringSecrets> {
    let secret = || option::of(any_text());
    let revoked = vec((any_text(), any_text()), 0..3);
    (secret(), secret(), secret(), revoked).prop_map(
        |(establishment, pending_stream, active_stream, revoked)| PeeringSecrets {
            establishment: establishment.map(Secret::new),
            pending_stream: pending_stream.map(Secret::new),
            active_stream: active_stream.map(Secret::new),
            revoked: revoked
                .into_iter()
                .map(|(accessor, secret)| RevokedSecret {
                    accessor,
                    secret: Secret::new(secret),
                })
                .collect(),
        },
    )
}

fn grant() -> impl Strategy<Value = TokenGrant> {
    let services = btree_set((namespace(), service_name()), 0..3);
    (
        (
            any_text(),
            any::<u64>(),
            option::of(any::<u64>()),
            option::of(any_text()),
        ),
        (
            option::of(any_text()),
            option::of(trust_domain()),
            option::of(services),
        ),
        any::<bool>(),
    )
        .prop_map(
            |((accessor, made_at, expires_at, request_id), (datacenter, trust_domain, services), proven)| {
                let allowed = |(namespace, name)| AllowedService { namespace, name };
                TokenGrant {
                    accessor,
                    made_at,
                    expires_at,
                    request_id,
                    bounds: TokenBounds {
                        datacenter,
                        trust_domain,
                        services: services.map(|services| services.into_iter().map(allowed).collect()),
                    },
                    proven,
                }
            },
        )
}

pub(super) fn grants() -> impl Strategy<Value = PeeringGrants> {
    let ended = (grant(), any::<u64>(), select(TokenEnd::ALL.to_vec()));
    let ended = ended.prop_map(|(grant, at, end)| EndedToken { grant, at, end });
    let refused = (
        any_text(),
        select(RefusalCause::ALL.to_vec()),
        any_text(),
        any::<u64>(),
    );
    let refused = refused.prop_map(|(accessor, cause, reason, at)| RefusedUse {
        accessor,
        cause,
        reason,
        at,
    });
    (
        (
            peering_key(),
            option::of(grant()),
            option::of(grant()),
            option::of(grant()),
            option::of(grant()),
        ),
        (vec(ended, 0..3), vec(refused, 0..3)),
    )
        .prop_map(
            |((peering, establishment, pending_stream, active_stream, lapsed), (ended, refused))| {
                PeeringGrants {
                    peering,
                    establishment,
                    pending_stream,
                    active_stream,
                    lapsed,
                    ended,
                    refused,
                }
            },
        )
}

pub(super) fn audit() -> impl Strategy<Value = AuditRecord> {
    (
        (
            any::<u64>(),
            any::<u64>(),
            select(AuditAction::ALL.to_vec()),
            peering_key(),
        ),
        (any_text(), any_text(), any_text(), any_text()),
    )
        .prop_map(
            |((number, at, action, peering), (accessor, address, program, detail))| AuditRecord {
                number,
                event: AuditEvent {
                    at,
                    action,
                    peering,
                    accessor,
                    by: Requester { address, program },
                    detail,
                },
            },
        )
}

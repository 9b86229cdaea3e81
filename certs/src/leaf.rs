//! Making a leaf.

use crate::authority::{Authority, Order};
use crate::bearer::Bearer;
use crate::fingerprint::colons;
use crate::root::short;
use crate::serial;
use crate::validity::Validity;
use peerway_model::{Failure, FailureKind, Leaf, Secret, SpiffeId, sni};
use peerway_runtime::UnixMillis;
use rcgen::{KeyPair, PublicKeyData};
use std::time::Duration;

/// Longest common name (RFC 5280, appendix A.1, ub-common-name), in characters.
const MAX_COMMON_NAME: usize = 64;

/// Returns a new leaf of `identity`, which the caller has authenticated, with a new ECDSA P-256 key. It ends `ttl` after
/// `now`, or with the root.
///
/// # Errors
/// As [`Authority::sign`]; `Unavailable` when the root has expired or no serial can be made.
pub fn issue(
    authority: &dyn Authority,
    identity: &SpiffeId,
    ttl: Duration,
    now: UnixMillis,
) -> Result<Leaf, Failure> {
    issue_to(authority, &identity.into(), ttl, now)
}

/// The same, with the DNS names of its bearer.
pub(crate) fn issue_to(
    authority: &dyn Authority,
    bearer: &Bearer,
    ttl: Duration,
    now: UnixMillis,
) -> Result<Leaf, Failure> {
    let identity = &bearer.identity;
    let key = KeyPair::generate().map_err(|error| {
        let message = format!("no key could be made for {identity}: {error}");
        Failure::new(FailureKind::Internal, message)
    })?;
    let validity = Validity::new(now, ttl, Some(UnixMillis(authority.root().not_after)))?;
    let serial = serial::random::<16>()?;
    let mut names = dns_names(identity);
    names.extend(bearer.dns_names.iter().cloned());
    let chain_pem = authority.sign(&Order {
        identity,
        dns_names: &names,
        public_key: &key.subject_public_key_info(),
        serial: &serial,
        not_before: validity.not_before.0,
        not_after: validity.not_after.0,
    })?;
    Ok(Leaf {
        identity: identity.clone(),
        chain_pem,
        key_pem: Secret::new(key.serialize_pem()),
        root_id: authority.root().id.clone(),
        serial: colons(&serial),
        not_before: validity.not_before.0,
        not_after: validity.not_after.0,
    })
}

/// The common name, for people: `web.svc.default.<first 8 of the trust domain>.consul` (client facts, section 6),
/// cut before the cluster's part when it would be too long. Nothing may decide by it.
pub(crate) fn common_name(identity: &SpiffeId) -> String {
    let mut name = match identity {
        SpiffeId::Service {
            partition,
            namespace,
            service,
            ..
        } if partition.is_default() => format!("{service}.svc.{namespace}"),
        SpiffeId::Service {
            partition,
            namespace,
            service,
            ..
        } => format!("{service}.svc.{namespace}.{partition}"),
        SpiffeId::MeshGateway {
            partition,
            datacenter,
            ..
        } if partition.is_default() => format!("mesh.gateway.{datacenter}"),
        SpiffeId::MeshGateway {
            partition,
            datacenter,
            ..
        } => format!("mesh.gateway.{datacenter}.{partition}"),
        SpiffeId::Server { datacenter, .. } => format!("server.{datacenter}"),
    };
    let cluster = format!(".{}.consul", short(identity.trust_domain()));
    // All names are ASCII, so that any length is a boundary.
    name.truncate(MAX_COMMON_NAME.saturating_sub(cluster.len()));
    name + &cluster
}

/// The DNS SANs: a server's peering name, by which the other side verifies it (wire facts, section 2.2).
fn dns_names(identity: &SpiffeId) -> Vec<String> {
    match identity {
        SpiffeId::Server {
            trust_domain,
            datacenter,
        } => vec![sni::peering_server(datacenter, trust_domain)],
        SpiffeId::Service { .. } | SpiffeId::MeshGateway { .. } => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_names_tell_who_and_fit() {
        let name = |path: &str| {
            let uri = format!("spiffe://11111111-2222-3333-4444-555555555555.consul/{path}");
            common_name(&SpiffeId::parse(&uri).unwrap())
        };
        assert_eq!(
            name("ns/default/dc/dc1/svc/web"),
            "web.svc.default.11111111.consul"
        );
        assert_eq!(name("ap/a/ns/n/dc/dc1/svc/web"), "web.svc.n.a.11111111.consul");
        assert_eq!(name("gateway/mesh/dc/dc1"), "mesh.gateway.dc1.11111111.consul");
        assert_eq!(
            name("ap/a/gateway/mesh/dc/dc1"),
            "mesh.gateway.dc1.a.11111111.consul"
        );
        assert_eq!(name("agent/server/dc/dc1"), "server.dc1.11111111.consul");
        let long = name(&format!("ns/default/dc/dc1/svc/{}", "x".repeat(63)));
        assert_eq!(long.len(), 64);
        assert!(long.ends_with("x.11111111.consul"), "{long}");
    }
}

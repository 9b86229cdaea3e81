//! Findings about the catalog: who we are, who has sidecars, how an imported service is dialled.

use crate::address::is_dotted;
use crate::read::Reading;
use peerway_model::config::Protocol;
use peerway_model::name::Datacenter;
use peerway_model::{Instance, PeerMeta, ServiceKey, ServiceKind, ServiceName, TrustDomain};
use peerway_state::{FACE_SUFFIX, mesh_face};
use std::collections::BTreeSet;

/// Longest SNI that a peer may give us, in bytes: four labels of 63 and a trust domain of 255 with what joins them.
const MAX_SNI_BYTES: usize = 4 * 64 + "external.".len() + 255;

/// Who this cluster is. Unlike the roots it never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClusterIdentity {
    /// Of every local identity.
    pub(crate) trust_domain: TrustDomain,
    /// The name of the cluster.
    pub(crate) datacenter: Datacenter,
}

/// How an imported service is dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Import {
    /// Presented verbatim.
    pub(crate) sni: String,
    /// As the exporter gave them; may be empty.
    pub(crate) spiffe_ids: Vec<String>,
    /// What the service speaks; bytes when the exporter names a protocol that is not known here.
    pub(crate) protocol: Protocol,
}

pub(super) fn cluster(reading: &mut Reading<'_>) -> Option<ClusterIdentity> {
    reading.roots().map(|roots| ClusterIdentity {
        trust_domain: roots.trust_domain.clone(),
        datacenter: roots.datacenter.clone(),
    })
}

pub(super) fn destinations(reading: &mut Reading<'_>, service: &ServiceKey) -> BTreeSet<ServiceKey> {
    reading
        .instances_of(service)
        .into_iter()
        .filter(|instance| instance.kind == ServiceKind::ConnectProxy)
        .filter_map(Instance::destination_key)
        .collect()
}

/// The imported service that a synthetic one carries; `None` for an ordinary one.
pub(crate) fn behind_mesh_face(face: &ServiceKey) -> Option<ServiceKey> {
    let name = ServiceName::new(face.name.as_str().strip_suffix(FACE_SUFFIX)?).ok()?;
    Some(ServiceKey { name, ..face.clone() })
}

pub(super) fn import(reading: &mut Reading<'_>, service: &ServiceKey) -> Option<Import> {
    service.origin.peer()?;
    let gateways = reading.health_of(&mesh_face(service)?);
    let usable = |meta: &&PeerMeta| meta.sni.first().is_some_and(|sni| is_usable_sni(sni));
    let meta = gateways
        .iter()
        .filter_map(|gateway| gateway.instance.peer_meta.as_ref())
        .find(usable)?;
    Some(Import {
        sni: meta.sni.first()?.clone(),
        spiffe_ids: meta.spiffe_ids.clone(),
        protocol: Protocol::parse(&meta.protocol).unwrap_or_default(),
    })
}

/// Whether an imported service has an instance that traffic may go to, as far as is known.
pub(super) fn serves(reading: &mut Reading<'_>, service: &ServiceKey) -> bool {
    reading
        .imported_health(service)
        .is_none_or(|health| health.healthy > 0)
}

fn is_usable_sni(sni: &str) -> bool {
    sni.len() <= MAX_SNI_BYTES && is_dotted(sni)
}

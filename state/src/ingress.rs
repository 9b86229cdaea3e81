//! Ingress gateways that let a service in.

use crate::outside::met_at;
use crate::snapshot::Snapshot;
use peerway_model::ServiceKey;
use peerway_model::chain::protocol;
use peerway_model::config::{ConfigEntry, ConfigKind, IngressGateway, IngressListener, IngressService};
use std::collections::BTreeSet;

/// The ingress gateways whose entries let a service in.
pub fn ingress_gateways_before(snapshot: &Snapshot, service: &ServiceKey) -> BTreeSet<ServiceKey> {
    let lets_in = |entry: &IngressGateway| {
        entry.listeners.iter().any(|listener| {
            listener.services.iter().any(|said| match said.key() {
                Some(key) => key == *service,
                None => is_meant(snapshot, listener, said, service),
            })
        })
    };
    snapshot
        .configs(ConfigKind::IngressGateway)
        .filter_map(|held| match &*held.row {
            ConfigEntry::IngressGateway(entry) if lets_in(entry) => {
                Some(ServiceKey::local(&entry.tenancy(), entry.name.clone()))
            }
            _ => None,
        })
        .collect()
}

/// Whether a wildcard stands for a service: the mesh reaches it, and it speaks what the listener does.
pub fn is_meant(
    snapshot: &Snapshot,
    listener: &IngressListener,
    said: &IngressService,
    service: &ServiceKey,
) -> bool {
    let mut entries = snapshot;
    service.origin.is_local()
        && (&service.partition, &service.namespace) == (&said.partition, &said.namespace)
        && protocol(&mut entries, service) == listener.protocol
        && !met_at(snapshot, service).is_empty()
}

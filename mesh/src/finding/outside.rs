//! Findings about services outside the mesh: which they are, and which terminating gateways stand for them.

use crate::read::Reading;
use peerway_model::config::{Outward, TerminatingGateway};
use peerway_model::name::{Namespace, ServiceName};
use peerway_model::{ConfigEntry, ConfigKey, ConfigKind, Origin, ServiceKey};
use peerway_state::gateway_key;
use std::collections::{BTreeMap, BTreeSet};

/// The terminating gateways that a local service is behind.
pub(super) fn before(reading: &mut Reading<'_>, service: &ServiceKey) -> BTreeSet<ServiceKey> {
    let mut gateways = BTreeSet::new();
    if !service.origin.is_local() {
        return gateways;
    }
    for entry in reading.configs(ConfigKind::TerminatingGateway) {
        let ConfigEntry::TerminatingGateway(entry) = entry else {
            continue;
        };
        if entry.partition == service.partition
            && let Some(link) = entry.link(&service.namespace, &service.name)
            && (!link.name.is_any() || reading.is_bare(service))
        {
            gateways.insert(gateway_key(entry));
        }
    }
    gateways
}

/// The services that a terminating gateway stands for, and how it speaks to them.
pub(super) fn links(reading: &mut Reading<'_>, gateway: &ServiceKey) -> BTreeMap<ServiceKey, Outward> {
    let mut links = BTreeMap::new();
    let key = ConfigKey::of_service(
        ConfigKind::TerminatingGateway,
        &gateway.partition,
        &gateway.namespace,
        &gateway.name,
    );
    let Some(ConfigEntry::TerminatingGateway(entry)) = reading.config(key) else {
        return links;
    };
    for link in &entry.services {
        if let Some(name) = link.name.exact() {
            links.insert(linked(entry, &link.namespace, name), link.outward.clone());
        }
    }
    if entry.services.iter().any(|link| link.name.is_any()) {
        for service in reading.service_names(&Origin::Local, &entry.partition) {
            if !links.contains_key(service)
                && let Some(link) = entry.link(&service.namespace, &service.name)
                && reading.is_bare(service)
            {
                links.insert(service.clone(), link.outward.clone());
            }
        }
    }
    links
}

fn linked(entry: &TerminatingGateway, namespace: &Namespace, name: &ServiceName) -> ServiceKey {
    ServiceKey {
        origin: Origin::Local,
        partition: entry.partition.clone(),
        namespace: namespace.clone(),
        name: name.clone(),
    }
}

//! Virtual addresses: given with the first sidecar of a service, or the first terminating gateway that stands for it, in
//! the commit that brings it, so that nobody ever sees a service of the mesh without one.

use super::Work;
use crate::change::Topic;
use crate::outside::{gateways_before, linked_services};
use crate::row::{Row, RowKey};
use crate::transaction::Refused;
use peerway_model::{
    ConfigEntry, ConfigKey, ConfigKind, Instance, Invalid, Namespace, Origin, ServiceKey, ServiceKind,
    ServiceName, VirtualAddress,
};
use std::sync::Arc;

/// Kinds of config entries that keep the address of a service without instances: callers may still dial it, be it to
/// be led elsewhere.
const KEEPING: [ConfigKind; 4] = [
    ConfigKind::ServiceDefaults,
    ConfigKind::ServiceResolver,
    ConfigKind::ServiceRouter,
    ConfigKind::ServiceSplitter,
];

impl Work {
    /// Takes note that the addresses of what these instances stand for have to be looked at.
    pub(super) fn stands_or_stood(&mut self, instances: [Option<&Instance>; 2]) {
        let services = instances
            .into_iter()
            .flatten()
            .filter_map(Instance::destination_key);
        self.addressed.extend(services);
    }

    /// Takes note that a service may have become one that `*` in the entry of a terminating gateway means, or is so no
    /// more.
    pub(super) fn was_registered(&mut self, instances: [Option<&Instance>; 2]) {
        if self.next.configs(ConfigKind::TerminatingGateway).next().is_none() {
            return;
        }
        let services = instances.into_iter().flatten().flat_map(|instance| {
            let own = (instance.kind == ServiceKind::Typical).then(|| instance.service_key());
            own.into_iter().chain(instance.destination_key())
        });
        self.addressed.extend(services);
    }

    /// The same for all services that the entry of a terminating gateway links.
    pub(super) fn was_linked(&mut self, entry: Option<&ConfigEntry>) {
        let Some(ConfigEntry::TerminatingGateway(entry)) = entry else {
            return;
        };
        let linked: Vec<ServiceKey> = linked_services(&self.next, entry).into_keys().collect();
        self.addressed.extend(linked);
    }

    /// The same for the service that a config entry is about.
    pub(super) fn was_named(&mut self, key: &ConfigKey) {
        if !KEEPING.contains(&key.kind) {
            return;
        }
        // A key that no service can have names none.
        if let (Ok(namespace), Ok(name)) = (Namespace::new(&key.namespace), ServiceName::new(&key.name)) {
            self.addressed.insert(ServiceKey {
                origin: Origin::Local,
                partition: key.partition.clone(),
                namespace,
                name,
            });
        }
    }

    /// Gives addresses to services that have come to be and takes them from those that are gone.
    pub(super) fn settle_virtual_addresses(&mut self) -> Result<(), Refused> {
        for service in std::mem::take(&mut self.addressed) {
            let held = self.next.virtual_addresses.contains_key(&service);
            let stands = self.next.by_destination.contains_key(&service)
                || !gateways_before(&self.next, &service).is_empty();
            if stands && !held {
                if let Some(own) = self.free_address(&service) {
                    self.put(&Row::VirtualAddress(Arc::new(own)))?;
                }
            } else if held && !stands && !self.is_kept(&service) {
                self.delete(&RowKey::VirtualAddress(service));
            }
        }
        Ok(())
    }

    fn is_kept(&self, service: &ServiceKey) -> bool {
        service.origin.is_local()
            && KEEPING.into_iter().any(|kind| {
                let (namespace, name) = (service.namespace.as_str(), service.name.as_str());
                let key = ConfigKey::new(kind, &service.partition, namespace, name);
                self.next.configs.contains_key(&key)
            })
    }

    /// The first candidate that nobody has; there is one among as many as there are addresses in use, plus one, unless
    /// candidates repeat, and then the service goes without.
    fn free_address(&self, service: &ServiceKey) -> Option<VirtualAddress> {
        let attempts = u32::try_from(self.next.by_virtual_address.len()).ok()?;
        (0..=attempts)
            .map(|attempt| VirtualAddress::candidate(service, attempt))
            .find(|address| !self.next.by_virtual_address.contains_key(address))
            .map(|address| VirtualAddress {
                service: service.clone(),
                address,
            })
    }

    /// Refuses an address that is another service's, or none of the range.
    pub(super) fn address_is_free(&self, own: &VirtualAddress) -> Result<(), Refused> {
        if !VirtualAddress::is_in_range(own.address) {
            let problem = format!("{} is no virtual address", own.address);
            return Err(Refused::Invalid(Invalid::new("Address", problem)));
        }
        match self.next.by_virtual_address.get(&own.address) {
            Some(service) if *service != own.service => {
                let problem = format!("{} belongs to another service", own.address);
                Err(Refused::Invalid(Invalid::new("Address", problem)))
            }
            _ => Ok(()),
        }
    }

    /// Keeps the index and touches the topics when an address comes, changes or goes.
    pub(super) fn move_virtual_address(
        &mut self,
        before: Option<&VirtualAddress>,
        after: Option<&VirtualAddress>,
    ) {
        if let Some(before) = before {
            self.next.by_virtual_address.remove(&before.address);
        }
        if let Some(after) = after {
            self.next
                .by_virtual_address
                .insert(after.address, after.service.clone());
        }
        for own in [before, after].into_iter().flatten() {
            self.changes.touch(Topic::VirtualAddress(own.service.clone()));
        }
        self.changes.touch(Topic::VirtualAddresses);
    }
}

//! What this side wants the other to know: the whole of it, not a change. The session finds out what to send.

use crate::offer::OfferedInstance;
use crate::resource::{OfferedBundle, Resource, ResourceType, SIDECAR_SUFFIX};
use peerway_model::name::MAX_LABEL_BYTES;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Everything exported to one peer. Cheap to clone; its parts are shared with what was sent before.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Exports {
    /// Instances by resource id: `web` for an ordinary service, `web-sidecar-proxy` for its mesh face.
    pub services: BTreeMap<String, Arc<[OfferedInstance]>>,
    /// Services that cannot be sent, with why. They stay in the list: their mesh faces and what an importer holds of
    /// them already are still good.
    pub withheld: BTreeMap<String, String>,
    /// Names of the ordinary services, sorted.
    pub list: Arc<[String]>,
    /// This cluster's roots; `None` until there is an authority.
    pub bundle: Option<Arc<OfferedBundle>>,
    /// Where this cluster can be dialled; sent by an acceptor only, and never empty.
    pub addresses: Arc<[String]>,
}

impl Exports {
    /// The resources of one type. An empty address list is left out: a Consul dialer would lose its last address.
    pub(crate) fn of(&self, kind: ResourceType) -> Vec<Resource> {
        match kind {
            ResourceType::ExportedService => self.exported_services(),
            ResourceType::ExportedServiceList => vec![Resource::ExportedServiceList(Arc::clone(&self.list))],
            ResourceType::TrustBundle => {
                let bundle = self.bundle.iter().map(Arc::clone);
                bundle.map(Resource::TrustBundle).collect()
            }
            ResourceType::ServerAddresses if self.addresses.is_empty() => Vec::new(),
            ResourceType::ServerAddresses => vec![Resource::ServerAddresses(Arc::clone(&self.addresses))],
        }
    }

    /// The services, completed so that every listed name has its instances and its mesh face, if only empty ones.
    /// Nothing else would tell an importer that a service left the mesh while no stream was up: the list keeps the
    /// face of every listed name (wire facts, section 6.4), and a new stream starts without a memory.
    fn exported_services(&self) -> Vec<Resource> {
        let mut services = self.services.clone();
        for name in self.list.iter() {
            services.entry(name.clone()).or_default();
            let face = format!("{name}{SIDECAR_SUFFIX}");
            // No importer of ours can hold a longer name, so there is nothing to take back.
            if face.len() <= MAX_LABEL_BYTES {
                services.entry(face).or_default();
            }
        }
        services.retain(|name, _| !self.withheld.contains_key(name));
        let resource = |(name, instances)| Resource::ExportedService { name, instances };
        services.into_iter().map(resource).collect()
    }
}

/// What takes a resource back, if anything does but its absence from the list: only the mesh face of a service is
/// replaced by an empty one (wire facts, section 5.3).
pub(crate) fn withdrawal(gone: &Resource) -> Option<Resource> {
    match gone {
        Resource::ExportedService { name, instances }
            if name.ends_with(SIDECAR_SUFFIX) && !instances.is_empty() =>
        {
            Some(Resource::ExportedService {
                name: name.clone(),
                instances: Arc::from([]),
            })
        }
        _ => None,
    }
}

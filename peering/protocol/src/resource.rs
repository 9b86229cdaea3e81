//! The kinds of resources that cross a peering.

use crate::offer::OfferedInstance;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The suffix of the synthetic service that carries how to reach `X` through the exporter's mesh gateways.
pub const SIDECAR_SUFFIX: &str = "-sidecar-proxy";

/// The type of a resource (wire facts, section 3.2), in the order in which a dialer subscribes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceType {
    /// All instances of one service.
    ExportedService,
    /// Names of all exported services.
    ExportedServiceList,
    /// The exporter's roots.
    TrustBundle,
    /// Where the acceptor can be dialled; never sent towards an acceptor.
    ServerAddresses,
}

impl ResourceType {
    /// All types, in the order in which a dialer subscribes.
    pub const ALL: [ResourceType; 4] = [
        ResourceType::ExportedService,
        ResourceType::ExportedServiceList,
        ResourceType::TrustBundle,
        ResourceType::ServerAddresses,
    ];

    /// The type URL, also of the `Any` that carries the resource.
    pub fn url(self) -> &'static str {
        match self {
            ResourceType::ExportedService => {
                "type.googleapis.com/hashicorp.consul.internal.peerstream.ExportedService"
            }
            ResourceType::ExportedServiceList => {
                "type.googleapis.com/hashicorp.consul.internal.peerstream.ExportedServiceList"
            }
            ResourceType::TrustBundle => {
                "type.googleapis.com/hashicorp.consul.internal.peering.PeeringTrustBundle"
            }
            ResourceType::ServerAddresses => {
                "type.googleapis.com/hashicorp.consul.internal.peering.PeeringServerAddresses"
            }
        }
    }

    /// The type of this URL.
    pub fn parse(url: &str) -> Option<Self> {
        ResourceType::ALL.into_iter().find(|kind| kind.url() == url)
    }

    /// For logs, labels and NACK texts; a closed set.
    pub fn as_str(self) -> &'static str {
        match self {
            ResourceType::ExportedService => "exported service",
            ResourceType::ExportedServiceList => "exported service list",
            ResourceType::TrustBundle => "trust bundle",
            ResourceType::ServerAddresses => "server addresses",
        }
    }
}

/// The exporter's roots as offered.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct OfferedBundle {
    /// Without a scheme.
    pub trust_domain: String,
    /// One PEM text a root.
    pub root_pems: Vec<String>,
    /// Empty from a Consul community cluster: `default`.
    pub exported_partition: String,
}

/// A resource as offered: not validated yet, see [`crate::admit`]. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// All instances of a service; replaces what was there.
    ExportedService {
        /// The resource id: `web` or `web-sidecar-proxy`.
        name: String,
        /// May be empty: none.
        instances: Arc<[OfferedInstance]>,
    },
    /// All exported names; replaces what was there.
    ExportedServiceList(Arc<[String]>),
    /// All roots; replaces what was there.
    TrustBundle(Arc<OfferedBundle>),
    /// All addresses; replaces what was there.
    ServerAddresses(Arc<[String]>),
}

impl Resource {
    /// The type.
    pub fn kind(&self) -> ResourceType {
        match self {
            Resource::ExportedService { .. } => ResourceType::ExportedService,
            Resource::ExportedServiceList(_) => ResourceType::ExportedServiceList,
            Resource::TrustBundle(_) => ResourceType::TrustBundle,
            Resource::ServerAddresses(_) => ResourceType::ServerAddresses,
        }
    }

    /// A number of bytes that the encoded resource surely does not exceed; only for services, whose size is not bounded
    /// by anything else. Cheap compared to encoding it.
    pub fn at_most_bytes(&self) -> usize {
        match self {
            Resource::ExportedService { instances, .. } => {
                instances.iter().map(OfferedInstance::at_most_bytes).sum()
            }
            _ => 0,
        }
    }

    /// The id that it is sent under (wire facts, section 3.3).
    pub fn id(&self) -> &str {
        match self {
            Resource::ExportedService { name, .. } => name,
            Resource::ExportedServiceList(_) => "exported-service-list",
            Resource::TrustBundle(_) => "roots",
            Resource::ServerAddresses(_) => "server-addrs",
        }
    }
}

/// The names of an exported service list, for looking up what it keeps.
#[derive(Clone, Debug, Default)]
pub struct Listed<'a>(BTreeSet<&'a str>);

impl<'a> Listed<'a> {
    /// These names.
    pub fn new<T: AsRef<str>>(names: &'a [T]) -> Self {
        Listed(names.iter().map(AsRef::as_ref).collect())
    }

    /// Whether a service of this name survives the list: it is listed, or it carries the sidecars of a listed one (wire
    /// facts, section 6.4).
    pub fn keeps(&self, name: &str) -> bool {
        self.0.contains(name)
            || name
                .strip_suffix(SIDECAR_SUFFIX)
                .is_some_and(|service| self.0.contains(service))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_those_of_the_facts_and_parse_back() {
        for kind in ResourceType::ALL {
            assert_eq!(ResourceType::parse(kind.url()), Some(kind));
        }
        assert_eq!(ResourceType::parse("type.googleapis.com/x"), None);
        assert_eq!(ResourceType::parse(""), None);
    }

    #[test]
    fn a_list_keeps_names_and_their_sidecars_only() {
        let list = ["web", "db-sidecar-proxy"];
        for kept in ["web", "web-sidecar-proxy", "db-sidecar-proxy"] {
            assert!(Listed::new(&list).keeps(kept), "{kept}");
        }
        for gone in [
            "we",
            "web-",
            "web2",
            "web-sidecar-proxy-sidecar-proxy",
            "db",
            "sidecar-proxy",
        ] {
            assert!(!Listed::new(&list).keeps(gone), "{gone}");
        }
        assert!(!Listed::default().keeps("web"));
    }
}

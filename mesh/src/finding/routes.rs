//! What the mesh gateways of a partition let through, by server name.

use super::catalog::behind_mesh_face;
use crate::naming;
use crate::read::Reading;
use peerway_model::chain::Target;
use peerway_model::config::Protocol;
use peerway_model::name::Partition;
use peerway_model::{ConfigEntry, ConfigKind, Origin, ServiceKey, sni};
use peerway_state::gateway_key;
use std::collections::BTreeSet;

/// On whose behalf a gateway passes connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Face {
    /// A peer dials an exported service.
    Exported,
    /// A sidecar of ours dials an imported service.
    Imported,
}

/// Server names and where their connections go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    /// On whose behalf.
    pub(crate) face: Face,
    /// The service.
    pub(crate) service: ServiceKey,
    /// Sorted, lower-case, never empty; distinct across all routes.
    pub(crate) server_names: Vec<String>,
    /// The Envoy cluster that bytes go to.
    pub(crate) cluster: String,
    /// What has to be reached for it, sorted and distinct.
    pub(crate) targets: Vec<Target>,
    /// Statistics prefix.
    pub(crate) stat_prefix: String,
    /// What the gateway looks at: requests only of exported services, where it ends the peer's TLS. Everything else
    /// passes through as bytes.
    pub(crate) protocol: Protocol,
}

/// Exported services, then imported ones: where two want a server name the first has it, so what a peer publishes can
/// never take a name of ours. The SNI by which this cluster itself knows a service is not among them: its sidecars dial
/// each other, so only somebody from outside would use it here, past what is exported (xDS facts, section 3.7, trap 4).
pub(super) fn of_partition(reading: &mut Reading<'_>, partition: &Partition) -> Vec<Route> {
    let mut routes = Routes::default();
    let Some(cluster) = reading.cluster() else {
        return routes.kept;
    };
    let services = in_mesh(reading, partition);
    // A service may be nothing but routes to others.
    let exportable: BTreeSet<ServiceKey> = services.union(&*reading.heads(partition)).cloned().collect();
    for service in &exportable {
        let names: Vec<String> = reading
            .consumers(service)
            .iter()
            .map(|peering| {
                sni::exported(
                    &service.name,
                    &service.namespace,
                    &service.partition,
                    &peering.name,
                    &cluster.trust_domain,
                )
            })
            .collect();
        if names.is_empty() {
            continue;
        }
        let Some(chain) = reading.chain(service) else {
            continue;
        };
        let mut targets: Vec<Target> = chain
            .resolvers()
            .map(|resolver| &resolver.target)
            .filter(|target| target.service.origin.is_local() && target.service.partition == *partition)
            .cloned()
            .collect();
        targets.dedup();
        // Bytes go to one target; a chain of theirs is no more than a way to it.
        let Some(first) = targets.first() else {
            continue;
        };
        let to = naming::exported_cluster(&cluster, first);
        let stats = naming::exported_stats(&cluster, service);
        routes.add(
            Face::Exported,
            service,
            names,
            To { cluster: to, targets },
            stats,
            chain.protocol,
        );
    }
    for peering in reading.peerings(partition) {
        let Some(peer) = reading.peer(peering) else {
            continue;
        };
        let ending = format!(".external.{}", peer.trust_domain);
        let origin = Origin::Peer(peering.name.clone());
        for face in reading.service_names(&origin, partition) {
            let Some(service) = behind_mesh_face(face) else {
                continue;
            };
            let Some(import) = reading.import(&service) else {
                continue;
            };
            if import.sni.to_ascii_lowercase().ends_with(&ending) {
                let sni = import.sni.clone();
                let names = vec![sni.clone()];
                let stats = naming::GATEWAY_STATS.to_owned();
                let to = To::one(sni, &service);
                routes.add(Face::Imported, &service, names, to, stats, Protocol::Tcp);
            }
        }
    }
    routes.kept
}

/// The local services of a partition that have at least one sidecar or are behind a terminating gateway.
pub(super) fn in_mesh(reading: &mut Reading<'_>, partition: &Partition) -> BTreeSet<ServiceKey> {
    let mut services = BTreeSet::new();
    for name in reading.service_names(&Origin::Local, partition) {
        services.extend(reading.destinations(name).iter().cloned());
    }
    for entry in reading.configs(ConfigKind::TerminatingGateway) {
        if let ConfigEntry::TerminatingGateway(entry) = entry
            && entry.partition == *partition
        {
            services.extend(reading.links(&gateway_key(entry)).keys().cloned());
        }
    }
    services
}

/// Where the connections of a route go.
struct To {
    cluster: String,
    targets: Vec<Target>,
}

impl To {
    fn one(cluster: String, service: &ServiceKey) -> Self {
        To {
            cluster,
            targets: vec![Target::of(service.clone())],
        }
    }
}

#[derive(Default)]
struct Routes {
    kept: Vec<Route>,
    taken: BTreeSet<String>,
}

impl Routes {
    /// Adds a route for those names that are still free; none without a name, which would match everything.
    fn add(
        &mut self,
        face: Face,
        service: &ServiceKey,
        names: Vec<String>,
        to: To,
        stat_prefix: String,
        protocol: Protocol,
    ) {
        // Envoy compares in lower case, so names that differ in case only are the same one.
        let free: BTreeSet<String> = names
            .into_iter()
            .map(|name| name.to_ascii_lowercase())
            .filter(|name| self.taken.insert(name.clone()))
            .collect();
        if !free.is_empty() {
            self.kept.push(Route {
                face,
                service: service.clone(),
                server_names: free.into_iter().collect(),
                cluster: to.cluster,
                targets: to.targets,
                stat_prefix,
                protocol,
            });
        }
    }
}

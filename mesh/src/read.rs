//! The only way from a Snapshot into this room: what is read is recorded.

use crate::finding::{
    Addressed, ClusterIdentity, Decides, Edge, Finding, FindingKey, Findings, Import, InboundPeer,
    PeerIdentity, Place, Route, ServerRoute,
};
use crate::fragment::Endpoint;
use crate::fragment_key::EdgeKey;
use peerway_model::chain::{Chain, Target};
use peerway_model::config::{
    Action, Inbound, JwtProvider, Member, MeshTls, Outward, Protocol, ProxyDefaults, ServiceDefaults,
    ServiceResolver, Subset,
};
use peerway_model::name::{GroupName, Partition, ProviderName};
use peerway_model::{
    CaRoots, ConfigEntry, ConfigKey, ConfigKind, HealthSummary, Instance, InstanceKey, Locality, Origin,
    Peering, PeeringKey, ServiceKey, ServiceKind, SidecarSettings, TrustBundle, VirtualAddress,
};
use peerway_state::{
    InstanceHealth, Snapshot, Topic, gateways, health_of, imported_health, is_bare, mesh_face,
    outside_of_target, sidecars, sidecars_of_target, terminating,
};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

/// Something that was read, and whose change makes the reader stale.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Dependency {
    /// A unit of ground truth.
    Topic(Topic),
    /// Something derived; its change counts, not the change of what it was derived from.
    Finding(FindingKey),
    /// Whether what is held of a peer is too old.
    Age(PeeringKey),
}

/// Reads a Snapshot and remembers what it read, also what was looked for and not found.
pub(crate) struct Reading<'a> {
    snapshot: &'a Snapshot,
    findings: &'a mut Findings,
    reads: HashSet<Dependency>,
}

impl<'a> Reading<'a> {
    /// What `build` returns, and everything that it read.
    pub(crate) fn record<T>(
        snapshot: &'a Snapshot,
        findings: &'a mut Findings,
        build: impl FnOnce(&mut Reading<'a>) -> T,
    ) -> (T, HashSet<Dependency>) {
        let mut reading = Reading {
            snapshot,
            findings,
            reads: HashSet::new(),
        };
        let built = build(&mut reading);
        (built, reading.reads)
    }

    /// What happens to callers about whom no intention says anything. It never changes while a mesh is kept.
    pub(crate) fn default_action(&self) -> Action {
        self.findings.default_action()
    }

    /// Whether what is held of a peer is so old that nobody knows any more how it is.
    pub(crate) fn is_stale(&mut self, peering: &PeeringKey) -> bool {
        self.reads.insert(Dependency::Age(peering.clone()));
        self.findings.stale().contains(peering)
    }

    fn note(&mut self, topic: Topic) {
        self.reads.insert(Dependency::Topic(topic));
    }

    /// The cluster's roots; `None` as long as there is not even one.
    pub(crate) fn roots(&mut self) -> Option<&'a CaRoots> {
        self.note(Topic::Roots);
        let roots = &*self.snapshot.roots()?.row;
        (!roots.roots.is_empty()).then_some(roots)
    }

    /// An instance.
    pub(crate) fn instance(&mut self, key: &InstanceKey) -> Option<&'a Instance> {
        self.note(Topic::Instance(key.clone()));
        self.snapshot.instance(key).map(|held| &*held.row)
    }

    /// Where an instance runs: as it says, else where its node is.
    pub(crate) fn locality_of(&mut self, instance: &Instance) -> Option<Locality> {
        self.note(Topic::Instance(instance.key.clone()));
        let node = self.snapshot.node(&instance.key.node)?;
        instance.locality_on(&node.row).cloned()
    }

    /// The instances of a service, by key.
    pub(crate) fn instances_of(&mut self, service: &ServiceKey) -> Vec<&'a Instance> {
        self.note(Topic::Service(service.clone()));
        self.snapshot
            .instances_of(service)
            .map(|held| &*held.row)
            .collect()
    }

    /// The instances of a service with their health, by key.
    pub(crate) fn health_of(&mut self, service: &ServiceKey) -> Vec<InstanceHealth> {
        self.note(Topic::Service(service.clone()));
        health_of(self.snapshot, self.snapshot.instances_of(service))
    }

    /// The sidecars that stand for a service with their health and that of their applications, by key.
    pub(crate) fn sidecars_of(&mut self, service: &ServiceKey) -> Vec<InstanceHealth> {
        self.note(Topic::ProxiesOf(service.clone()));
        self.note(Topic::Service(service.clone()));
        sidecars(self.snapshot, service)
    }

    /// The same of a target.
    pub(crate) fn sidecars_of_target(&mut self, target: &Target) -> Vec<InstanceHealth> {
        self.note(Topic::ProxiesOf(target.service.clone()));
        self.note(Topic::Service(target.service.clone()));
        let subset = self.subset(target);
        sidecars_of_target(self.snapshot, target, subset)
    }

    /// The instances of a service outside the mesh that a target is, with their health, by key.
    pub(crate) fn outside_of_target(&mut self, target: &Target) -> Vec<InstanceHealth> {
        self.note(Topic::Service(target.service.clone()));
        let subset = self.subset(target);
        outside_of_target(self.snapshot, target, subset)
    }

    /// The instances of a terminating gateway with their health and that of what they stand for, by key.
    pub(crate) fn terminating(
        &mut self,
        gateway: &ServiceKey,
        outside: &[InstanceHealth],
    ) -> Vec<InstanceHealth> {
        self.note(Topic::Service(gateway.clone()));
        terminating(self.snapshot, gateway, outside)
    }

    /// Whether a local service is registered and has no sidecar: to be asked by the finding only.
    pub(crate) fn registers_bare(&mut self, service: &ServiceKey) -> bool {
        self.note(Topic::ProxiesOf(service.clone()));
        self.note(Topic::Service(service.clone()));
        is_bare(self.snapshot, service)
    }

    /// What the resolver of a service says about the subset that a target names.
    fn subset(&mut self, target: &Target) -> Option<&'a Subset> {
        let name = target.subset.as_ref()?;
        self.resolver(&target.service)?.subsets.get(name)
    }

    /// The resolver of a service.
    pub(crate) fn resolver(&mut self, service: &ServiceKey) -> Option<&'a ServiceResolver> {
        let kind = ConfigKind::ServiceResolver;
        let key = ConfigKey::of_service(kind, &service.partition, &service.namespace, &service.name);
        match self.config(key) {
            Some(ConfigEntry::ServiceResolver(resolver)) => Some(resolver),
            _ => None,
        }
    }

    /// How the instances of an imported service are; `None` when nothing is known.
    pub(crate) fn imported_health(&mut self, service: &ServiceKey) -> Option<HealthSummary> {
        self.note(Topic::Service(service.clone()));
        if let Some(face) = mesh_face(service) {
            self.note(Topic::Service(face));
        }
        imported_health(self.snapshot, service)
    }

    /// The mesh gateways of a partition with their health, by key.
    pub(crate) fn gateways(&mut self, partition: &Partition) -> Vec<InstanceHealth> {
        self.note(Topic::Kind(ServiceKind::MeshGateway, partition.clone()));
        gateways(self.snapshot, partition)
    }

    /// The services of an origin that have an instance, in order.
    pub(crate) fn service_names(&mut self, origin: &Origin, partition: &Partition) -> Vec<&'a ServiceKey> {
        self.note(Topic::ServiceNames(origin.clone(), partition.clone()));
        self.snapshot.service_names(origin, partition).collect()
    }

    /// A config entry.
    pub(crate) fn config(&mut self, key: ConfigKey) -> Option<&'a ConfigEntry> {
        let held = self.snapshot.config(&key);
        self.note(Topic::Config(key));
        held.map(|held| &*held.row)
    }

    /// A provider of tokens.
    pub(crate) fn provider(&mut self, partition: &Partition, name: &ProviderName) -> Option<&'a JwtProvider> {
        match self.config(ConfigKey::of_provider(partition, name)) {
            Some(ConfigEntry::JwtProvider(provider)) => Some(provider),
            _ => None,
        }
    }

    /// The members of a sameness group, in order; none of one that is not there.
    pub(crate) fn members(&mut self, partition: &Partition, group: &GroupName) -> Vec<Member> {
        match self.config(ConfigKey::of_group(partition, group)) {
            Some(ConfigEntry::SamenessGroup(group)) => group.ordered().collect(),
            _ => Vec::new(),
        }
    }

    /// All config entries of a kind, by key.
    pub(crate) fn configs(&mut self, kind: ConfigKind) -> Vec<&'a ConfigEntry> {
        self.note(Topic::ConfigKind(kind));
        self.snapshot.configs(kind).map(|held| &*held.row).collect()
    }

    /// The names of the peers of a partition, in order, whatever their state.
    pub(crate) fn peerings(&mut self, partition: &Partition) -> Vec<&'a PeeringKey> {
        self.note(Topic::Peerings);
        self.snapshot
            .peerings()
            .map(|held| &held.row.key)
            .filter(|key| key.partition == *partition)
            .collect()
    }

    /// All peerings with the revisions that last changed them, by key.
    pub(crate) fn peering_records(&mut self) -> impl Iterator<Item = (&'a Peering, u64)> {
        self.note(Topic::Peerings);
        self.snapshot
            .peerings()
            .map(|held| (&*held.row, held.modify_index))
    }

    /// A peering.
    pub(crate) fn peering(&mut self, key: &PeeringKey) -> Option<&'a Peering> {
        self.note(Topic::Peering(key.clone()));
        self.snapshot.peering(key).map(|held| &*held.row)
    }

    /// Whether the token of a peer lets it see a local service; also of one that this cluster dials, which has none.
    pub(crate) fn may_see(&mut self, key: &PeeringKey, service: &ServiceKey) -> bool {
        self.note(Topic::Grant(key.clone()));
        let token = self.snapshot.grant(key).and_then(|grants| grants.row.in_force());
        token.is_none_or(|token| token.bounds.allow(&service.namespace, &service.name))
    }

    /// A trust bundle and the revision since which there has been one.
    pub(crate) fn bundle(&mut self, key: &PeeringKey) -> Option<(&'a TrustBundle, u64)> {
        self.note(Topic::Bundle(key.clone()));
        let held = self.snapshot.bundle(key)?;
        Some((&*held.row, held.create_index))
    }

    /// The virtual addresses of all services, by service.
    pub(crate) fn virtual_addresses(&mut self) -> Vec<&'a VirtualAddress> {
        self.note(Topic::VirtualAddresses);
        self.snapshot.virtual_addresses().map(|held| &*held.row).collect()
    }

    /// Whether transparent proxies of a partition refuse what is not in the mesh.
    pub(crate) fn keeps_to_itself(&mut self, partition: &Partition) -> bool {
        let key = ConfigKey::singleton(ConfigKind::Mesh, partition);
        matches!(self.config(key), Some(ConfigEntry::Mesh(mesh)) if mesh.mesh_destinations_only)
    }

    /// Which TLS the proxies of a partition speak.
    pub(crate) fn tls(&mut self, partition: &Partition) -> MeshTls {
        let key = ConfigKey::singleton(ConfigKind::Mesh, partition);
        match self.config(key) {
            Some(ConfigEntry::Mesh(mesh)) => mesh.tls.clone(),
            _ => MeshTls::default(),
        }
    }

    /// How the proxies of a local service take calls for it: as it says, else as is said for all of them.
    pub(crate) fn inbound_of(&mut self, service: &ServiceKey) -> Inbound {
        let own = self
            .service_defaults(service)
            .map(|own| own.inbound)
            .unwrap_or_default();
        match self.proxy_defaults(&service.partition) {
            Some(all) => own.or(all.inbound()),
            None => own,
        }
    }

    /// What counts for a sidecar that stands for a local service and says `own` itself.
    pub(crate) fn sidecar_settings(
        &mut self,
        own: &SidecarSettings,
        service: &ServiceKey,
    ) -> SidecarSettings {
        let defaults = self.service_defaults(service);
        SidecarSettings::of_sidecar(own, defaults, self.proxy_defaults(&service.partition))
    }

    /// The defaults of all proxies of a partition.
    pub(crate) fn proxy_defaults(&mut self, partition: &Partition) -> Option<&'a ProxyDefaults> {
        match self.config(ConfigKey::singleton(ConfigKind::ProxyDefaults, partition)) {
            Some(ConfigEntry::ProxyDefaults(defaults)) => Some(defaults),
            _ => None,
        }
    }

    /// The defaults of a local service.
    pub(crate) fn service_defaults(&mut self, service: &ServiceKey) -> Option<&'a ServiceDefaults> {
        let kind = ConfigKind::ServiceDefaults;
        let key = ConfigKey::of_service(kind, &service.partition, &service.namespace, &service.name);
        match self.config(key) {
            Some(ConfigEntry::ServiceDefaults(defaults)) => Some(defaults),
            _ => None,
        }
    }

    fn ask(&mut self, key: FindingKey) -> Finding {
        let answer = self.findings.answer(self.snapshot, &key);
        self.reads.insert(Dependency::Finding(key));
        answer
    }

    /// Who this cluster is; `None` as long as it has no roots.
    pub(crate) fn cluster(&mut self) -> Option<Arc<ClusterIdentity>> {
        match self.ask(FindingKey::Cluster) {
            Finding::Cluster(identity) => identity,
            _ => None,
        }
    }

    /// What a local service speaks.
    pub(crate) fn protocol(&mut self, service: &ServiceKey) -> Protocol {
        match self.ask(FindingKey::Protocol(service.clone())) {
            Finding::Protocol(protocol) => protocol,
            _ => Protocol::Tcp,
        }
    }

    /// What an upstream speaks, local or imported; bytes while an exporter has not said it.
    pub(crate) fn protocol_of_upstream(&mut self, service: &ServiceKey) -> Protocol {
        match service.origin {
            Origin::Local => self.protocol(service),
            Origin::Peer(_) => self
                .import(service)
                .map_or(Protocol::Tcp, |import| import.protocol),
        }
    }

    /// Whom the sidecars among the instances of a local service stand for.
    pub(crate) fn destinations(&mut self, service: &ServiceKey) -> Arc<BTreeSet<ServiceKey>> {
        match self.ask(FindingKey::Destinations(service.clone())) {
            Finding::Destinations(destinations) => destinations,
            _ => Arc::default(),
        }
    }

    /// Whether a local service is registered and has no sidecar.
    pub(crate) fn is_bare(&mut self, service: &ServiceKey) -> bool {
        match self.ask(FindingKey::Bare(service.clone())) {
            Finding::Bare(is) => is,
            _ => false,
        }
    }

    /// The terminating gateways that a local service is behind.
    pub(crate) fn before(&mut self, service: &ServiceKey) -> Arc<BTreeSet<ServiceKey>> {
        match self.ask(FindingKey::Before(service.clone())) {
            Finding::Before(gateways) => gateways,
            _ => Arc::default(),
        }
    }

    /// The services that a terminating gateway stands for, and how it speaks to them.
    pub(crate) fn links(&mut self, gateway: &ServiceKey) -> Arc<BTreeMap<ServiceKey, Outward>> {
        match self.ask(FindingKey::Links(gateway.clone())) {
            Finding::Links(links) => links,
            _ => Arc::default(),
        }
    }

    /// How an imported service is dialled; `None` while its exporter has not said it.
    pub(crate) fn import(&mut self, service: &ServiceKey) -> Option<Arc<Import>> {
        match self.ask(FindingKey::Import(service.clone())) {
            Finding::Import(import) => import,
            _ => None,
        }
    }

    /// Whether an imported service has an instance that traffic may go to, as far as is known.
    pub(crate) fn serves(&mut self, service: &ServiceKey) -> bool {
        match self.ask(FindingKey::Serves(service.clone())) {
            Finding::Serves(serves) => serves,
            _ => true,
        }
    }

    /// Everybody at a place, when some of them have to be looked up by name; `None` when all have IP addresses.
    pub(crate) fn hosts(&mut self, place: Place) -> Option<Arc<Vec<Endpoint>>> {
        match self.ask(FindingKey::Hosts(place)) {
            Finding::Hosts(hosts) => hosts,
            _ => None,
        }
    }

    /// Addresses of the instances of a local service that let themselves be dialled.
    pub(crate) fn dialled_directly(&mut self, service: &ServiceKey) -> Arc<BTreeSet<IpAddr>> {
        match self.ask(FindingKey::DialledDirectly(service.clone())) {
            Finding::DialledDirectly(addresses) => addresses,
            _ => Arc::default(),
        }
    }

    /// What the entries about a local service amount to; `None` when they contradict each other.
    pub(crate) fn chain(&mut self, service: &ServiceKey) -> Option<Arc<Chain>> {
        match self.ask(FindingKey::Chain(service.clone())) {
            Finding::Chain(chain) => chain,
            _ => None,
        }
    }

    /// The services of a partition about whose chain something is said, in order.
    pub(crate) fn heads(&mut self, partition: &Partition) -> Arc<BTreeSet<ServiceKey>> {
        match self.ask(FindingKey::Heads(partition.clone())) {
            Finding::Heads(heads) => heads,
            _ => Arc::default(),
        }
    }

    /// The services of a partition and its peers that can be dialled at an address, local ones first.
    pub(crate) fn addressed(&mut self, partition: &Partition) -> Arc<Vec<Addressed>> {
        match self.ask(FindingKey::Addressed(partition.clone())) {
            Finding::Addressed(addressed) => addressed,
            _ => Arc::default(),
        }
    }

    /// Who leads to whom in a partition: for each service the others whose chain may end there.
    pub(crate) fn leads(&mut self, partition: &Partition) -> Arc<BTreeMap<ServiceKey, BTreeSet<ServiceKey>>> {
        match self.ask(FindingKey::Leads(partition.clone())) {
            Finding::Leads(leads) => leads,
            _ => Arc::default(),
        }
    }

    /// The live peers that a local service is exported to, in order.
    pub(crate) fn consumers(&mut self, service: &ServiceKey) -> Arc<Vec<PeeringKey>> {
        match self.ask(FindingKey::Consumers(service.clone())) {
            Finding::Consumers(consumers) => consumers,
            _ => Arc::default(),
        }
    }

    /// Who a live peer is; `None` while it has not given usable roots.
    pub(crate) fn peer(&mut self, peering: &PeeringKey) -> Option<Arc<PeerIdentity>> {
        match self.ask(FindingKey::Peer(peering.clone())) {
            Finding::Peer(peer) => peer,
            _ => None,
        }
    }

    /// The peers whose workloads may present themselves to a local service, by trust domain, which are distinct.
    pub(crate) fn inbound(&mut self, service: &ServiceKey) -> Arc<Vec<InboundPeer>> {
        match self.ask(FindingKey::Inbound(service.clone())) {
            Finding::Inbound(peers) => peers,
            _ => Arc::default(),
        }
    }

    /// By which providers the tokens of requests to a local service are verified, in order.
    pub(crate) fn tokens(&mut self, service: &ServiceKey) -> Arc<Vec<ProviderName>> {
        match self.ask(FindingKey::Tokens(service.clone())) {
            Finding::Tokens(providers) => providers,
            _ => Arc::default(),
        }
    }

    /// Who may call a local service.
    pub(crate) fn authorization(&mut self, service: &ServiceKey) -> Option<Arc<Decides>> {
        match self.ask(FindingKey::Authorization(service.clone())) {
            Finding::Authorization(authorization) => authorization,
            _ => None,
        }
    }

    /// What the mesh gateways of a partition let through.
    pub(crate) fn routes(&mut self, partition: &Partition) -> Arc<Vec<Route>> {
        match self.ask(FindingKey::Routes(partition.clone())) {
            Finding::Routes(routes) => routes,
            _ => Arc::default(),
        }
    }

    /// The servers that the mesh gateways of a partition let through to.
    pub(crate) fn servers(&mut self, partition: &Partition) -> Arc<Vec<ServerRoute>> {
        match self.ask(FindingKey::Servers(partition.clone())) {
            Finding::Servers(servers) => servers,
            _ => Arc::default(),
        }
    }

    /// What a gateway at the edge lets in, of whichever kind it is.
    pub(crate) fn edge(&mut self, gateway: &EdgeKey) -> Arc<Edge> {
        let key = gateway.service.clone();
        let key = match gateway.is_api {
            true => FindingKey::Api(key),
            false => FindingKey::Ingress(key),
        };
        match self.ask(key) {
            Finding::Edge(edge) => edge,
            _ => Arc::default(),
        }
    }
}

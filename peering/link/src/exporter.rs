//! From a snapshot to everything that one peer should know (wire facts, section 5). Pure; the stream that it feeds
//! sends only what differs.

#[cfg(test)]
mod tests;

use crate::reach;
use peerway_model::chain::Target;
use peerway_model::config::Protocol;
use peerway_model::grant::AllowedService;
use peerway_model::health::flatten;
use peerway_model::name::Partition;
use peerway_model::{
    CaRoots, ConfigEntry, ConfigKey, ConfigKind, HealthSummary, Instance, Namespace, Origin, PeerMeta,
    PeeringKey, ServiceKey, ServiceKind, ServiceName, SpiffeId, TokenGrant, sni,
};
use peerway_peering_protocol::digest::check_offer;
use peerway_peering_protocol::resource::SIDECAR_SUFFIX;
use peerway_peering_protocol::{Exports, OfferedBundle, OfferedInstance};
use peerway_state::{
    ChangeSet, InstanceHealth, Snapshot, Topic, answering, chain_of, exports_of, gateways, gateways_before,
    health_of, summary,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Everything to export over `peering`. `addresses` is where this cluster's peering endpoint can be dialled.
pub fn exports(snapshot: &Snapshot, peering: &PeeringKey, addresses: &[String]) -> Exports {
    let mut exporter = Exporter::new(peering.clone(), addresses);
    exporter.update(snapshot).unwrap_or_default()
}

/// What one peer should know, brought up to date at the cost of what changed.
///
/// The wire names a service without its namespace, so services of one name in several namespaces travel together;
/// the mesh face of such a name is that of the first namespace, `default` if it is among them.
pub(crate) struct Exporter {
    peering: PeeringKey,
    /// Where this cluster's own peering endpoint is.
    own: Arc<[String]>,
    current: Exports,
    /// For the services that chains of others end at: those others.
    led_from: BTreeMap<ServiceName, BTreeSet<ServiceName>>,
    stale: Stale,
}

enum Stale {
    Names(BTreeSet<ServiceName>),
    Everything,
}

impl Exporter {
    /// An exporter that has not looked at anything yet.
    pub(crate) fn new(peering: PeeringKey, addresses: &[String]) -> Self {
        Exporter {
            peering,
            own: addresses.into(),
            current: Exports::default(),
            led_from: BTreeMap::new(),
            stale: Stale::Everything,
        }
    }

    /// Whether [`Exporter::update`] has something to do.
    pub(crate) fn is_stale(&self) -> bool {
        !matches!(&self.stale, Stale::Names(names) if names.is_empty())
    }

    /// Anything may have changed.
    pub(crate) fn reload(&mut self) {
        self.stale = Stale::Everything;
    }

    /// Takes note of a commit. A change of a node or of the set of names touches its services as well, and what
    /// was imported never is exported again.
    pub(crate) fn note(&mut self, changes: &ChangeSet) {
        for topic in changes.iter() {
            match topic {
                topic if reach::concerns(topic) => self.reload(),
                Topic::Roots
                | Topic::ConfigKind(ConfigKind::ExportedServices)
                | Topic::ConfigKind(
                    ConfigKind::ProxyDefaults
                    | ConfigKind::SamenessGroup
                    | ConfigKind::ServiceResolver
                    | ConfigKind::ServiceRouter
                    | ConfigKind::ServiceSplitter
                    | ConfigKind::TerminatingGateway,
                ) => self.reload(),
                // It stands for services that may be exported.
                Topic::Kind(ServiceKind::TerminatingGateway, partition)
                    if *partition == self.peering.partition =>
                {
                    self.reload();
                }
                // It may change the protocol that the service is dialled with.
                Topic::Config(key)
                    if key.kind == ConfigKind::ServiceDefaults && key.partition == self.peering.partition =>
                {
                    if let Stale::Names(names) = &mut self.stale
                        && let Ok(name) = ServiceName::new(&key.name)
                        && !key.name.ends_with(SIDECAR_SUFFIX)
                    {
                        names.insert(name);
                    }
                }
                Topic::Kind(ServiceKind::MeshGateway, partition) if *partition == self.peering.partition => {
                    self.reload();
                }
                Topic::Service(key) | Topic::ProxiesOf(key)
                    if key.origin.is_local() && key.partition == self.peering.partition =>
                {
                    // A service of such a name is never exported, and its entry would be another one's face.
                    if let Stale::Names(names) = &mut self.stale
                        && !key.name.as_str().ends_with(SIDECAR_SUFFIX)
                    {
                        names.insert(key.name.clone());
                        // How the instances are that calls of others end at is told with those.
                        names.extend(self.led_from.get(&key.name).into_iter().flatten().cloned());
                    }
                }
                // What the peer may see.
                Topic::Grant(key) if *key == self.peering => self.reload(),
                _ => {}
            }
        }
    }

    /// What to export now, or `None` when nothing that was noted can have changed it. What did not change is shared
    /// with what was returned before.
    pub(crate) fn update(&mut self, snapshot: &Snapshot) -> Option<Exports> {
        let stale = std::mem::replace(&mut self.stale, Stale::Names(BTreeSet::new()));
        let only = match stale {
            Stale::Names(names) if names.is_empty() => return None,
            Stale::Names(names) => Some(names),
            Stale::Everything => None,
        };
        // Nothing at all, not even an empty list: that would take back what the peer got for an earlier token. Its
        // proof touches the grants, which makes everything stale again.
        if used_token(snapshot, &self.peering).is_some_and(TokenGrant::is_unproven) {
            return None;
        }
        let Some(roots) = snapshot.roots() else {
            // Nothing can be offered without an identity; the roots will be noted when they come.
            self.current = Exports {
                addresses: reach::advertised(snapshot, &self.own).into(),
                ..Exports::default()
            };
            return Some(self.current.clone());
        };
        match &only {
            Some(names) => {
                for name in names {
                    self.current.services.remove(name.as_str());
                    self.current.services.remove(&face_of(name));
                    self.current.withheld.remove(name.as_str());
                    self.current.withheld.remove(&face_of(name));
                }
            }
            None => {
                self.led_from.clear();
                self.current = Exports {
                    addresses: reach::advertised(snapshot, &self.own).into(),
                    bundle: Some(Arc::new(bundle(roots, &self.peering.partition))),
                    ..Exports::default()
                };
            }
        }
        let gateways = gateways(snapshot, &self.peering.partition);
        for (name, namespaces) in exported_names(snapshot, &self.peering, only.as_ref()) {
            self.put(snapshot, roots, &gateways, &name, &namespaces);
        }
        let names = self.current.services.keys().chain(self.current.withheld.keys());
        let mut list: Vec<&String> = names.filter(|name| !name.ends_with(SIDECAR_SUFFIX)).collect();
        list.sort();
        if !list.iter().copied().eq(self.current.list.iter()) {
            self.current.list = list.into_iter().cloned().collect();
        }
        Some(self.current.clone())
    }

    fn put(
        &mut self,
        snapshot: &Snapshot,
        roots: &CaRoots,
        gateways: &[InstanceHealth],
        name: &ServiceName,
        namespaces: &BTreeSet<Namespace>,
    ) {
        let mut instances = Vec::new();
        let mut meshed = None;
        for namespace in namespaces {
            let key = ServiceKey {
                origin: Origin::Local,
                partition: self.peering.partition.clone(),
                namespace: namespace.clone(),
                name: name.clone(),
            };
            instances.extend(typical_instances(snapshot, &key));
            let reachable = snapshot.proxies_of(&key).next().is_some()
                || has_chain(snapshot, &key)
                || !gateways_before(snapshot, &key).is_empty();
            if (meshed.is_none() || namespace.is_default()) && reachable {
                meshed = Some(key);
            }
        }
        self.offer(name.to_string(), instances.into());
        if let Some(key) = meshed {
            let ends = ends(snapshot, &key);
            for end in ends.iter().filter(|end| end.service.name != key.name) {
                let heads = self.led_from.entry(end.service.name.clone()).or_default();
                heads.insert(key.name.clone());
            }
            let meta = PeerMeta {
                health: Some(health(snapshot, &ends)),
                ..peer_meta(snapshot, roots, &key, &self.peering, &ends)
            };
            let synthetic = gateways.iter().enumerate().map(|(index, gateway)| {
                let status = flatten(gateway.checks.iter().map(|check| &*check.row));
                OfferedInstance::of_gateway(
                    &gateway.node,
                    &gateway.instance,
                    status,
                    name,
                    index,
                    meta.clone(),
                )
            });
            let synthetic: Arc<[OfferedInstance]> = synthetic.collect();
            self.offer(face_of(name), synthetic);
        }
    }

    /// Offers a service unless no importer could take it: some importers would not survive it.
    fn offer(&mut self, id: String, instances: Arc<[OfferedInstance]>) {
        match check_offer(&id, &instances) {
            Ok(()) => {
                self.current.services.insert(id, instances);
            }
            Err(why) => {
                self.current.withheld.insert(id, why);
            }
        }
    }
}

fn face_of(name: &ServiceName) -> String {
    format!("{name}{SIDECAR_SUFFIX}")
}

/// The names to export with the namespaces that they are in; of all names, or `only` of these.
fn exported_names(
    snapshot: &Snapshot,
    peering: &PeeringKey,
    only: Option<&BTreeSet<ServiceName>>,
) -> BTreeMap<ServiceName, BTreeSet<Namespace>> {
    let names = configured_names(snapshot, peering, only);
    match used_token(snapshot, peering) {
        Some(token) => names
            .into_iter()
            .filter_map(|(name, mut namespaces)| {
                namespaces.retain(|namespace| shows(token, namespace, &name));
                (!namespaces.is_empty()).then_some((name, namespaces))
            })
            .collect(),
        None => names,
    }
}

/// What `exported-services` offers to the peer and its token does not let it see, as `name` or `namespace/name`.
pub fn withheld(snapshot: &Snapshot, peering: &PeeringKey) -> Vec<String> {
    let Some(token) = used_token(snapshot, peering) else {
        return Vec::new();
    };
    let names = configured_names(snapshot, peering, None);
    let each = names.into_iter().flat_map(|(name, namespaces)| {
        namespaces
            .into_iter()
            .map(move |namespace| (namespace, name.clone()))
    });
    each.filter(|(namespace, name)| !shows(token, namespace, name))
        .map(|(namespace, name)| AllowedService { namespace, name }.to_string())
        .collect()
}

/// The token that the peer's stream was opened by, if it is one of ours.
fn used_token<'a>(snapshot: &'a Snapshot, peering: &PeeringKey) -> Option<&'a TokenGrant> {
    snapshot.grant(peering)?.row.in_force()
}

/// Whether the token lets its user see a service: nothing before it has shown to be who it is for.
fn shows(token: &TokenGrant, namespace: &Namespace, name: &ServiceName) -> bool {
    !token.is_unproven() && token.bounds.allow(namespace, name)
}

/// As [`exported_names`], as `exported-services` says.
fn configured_names(
    snapshot: &Snapshot,
    peering: &PeeringKey,
    only: Option<&BTreeSet<ServiceName>>,
) -> BTreeMap<ServiceName, BTreeSet<Namespace>> {
    let mut names: BTreeMap<ServiceName, BTreeSet<Namespace>> = BTreeMap::new();
    let Some(exports) = exports_of(snapshot, &peering.partition) else {
        return names;
    };
    // A name with the suffix would be taken for the mesh face of another service.
    let meant = |name: &ServiceName| {
        only.is_none_or(|only| only.contains(name)) && !name.as_str().ends_with(SIDECAR_SUFFIX)
    };
    // Exact names count even without instances: the importer then knows that they are meant to come.
    for (namespace, name) in exports.named().filter(|(_, name)| meant(name)) {
        if exports.to(namespace, name, &peering.name) {
            names.entry(name.clone()).or_default().insert(namespace.clone());
        }
    }
    // A name may be nothing but routes to others. Unlike Consul's it is in the list (wire facts, section 5.1): an
    // importer drops what is not.
    for key in heads(snapshot, &peering.partition).filter(|key| meant(&key.name)) {
        if exports.to(&key.namespace, &key.name, &peering.name) {
            names.entry(key.name).or_default().insert(key.namespace);
        }
    }
    let registered = snapshot.service_names(&Origin::Local, &peering.partition);
    for key in registered.filter(|key| meant(&key.name)) {
        let exported = exports.to(&key.namespace, &key.name, &peering.name);
        if exported && snapshot.instances_of(key).any(|instance| is_typical(instance)) {
            names
                .entry(key.name.clone())
                .or_default()
                .insert(key.namespace.clone());
        }
    }
    names
}

/// The kinds of entries that make a name more than its instances.
const CHAIN_KINDS: [ConfigKind; 3] = [
    ConfigKind::ServiceResolver,
    ConfigKind::ServiceRouter,
    ConfigKind::ServiceSplitter,
];

/// The services of a partition about whose chain an entry says something, some of them more than once.
fn heads<'s>(snapshot: &'s Snapshot, partition: &'s Partition) -> impl Iterator<Item = ServiceKey> + 's {
    CHAIN_KINDS
        .into_iter()
        .flat_map(|kind| snapshot.configs(kind))
        .map(|held| held.key())
        .filter(|key| key.partition == *partition)
        .filter_map(|key| {
            Some(ServiceKey {
                origin: Origin::Local,
                partition: key.partition,
                namespace: Namespace::new(&key.namespace).ok()?,
                name: ServiceName::new(&key.name).ok()?,
            })
        })
}

fn has_chain(snapshot: &Snapshot, key: &ServiceKey) -> bool {
    CHAIN_KINDS.into_iter().any(|kind| {
        let entry = ConfigKey::of_service(kind, &key.partition, &key.namespace, &key.name);
        snapshot.config(&entry).is_some()
    })
}

fn is_typical(instance: &Instance) -> bool {
    instance.kind == ServiceKind::Typical
}

/// All of them, whatever their health: that is for the importer to weigh.
fn typical_instances(snapshot: &Snapshot, key: &ServiceKey) -> Vec<OfferedInstance> {
    let instances = snapshot.instances_of(key).filter(|instance| is_typical(instance));
    let offered = |found: &InstanceHealth| {
        let status = flatten(found.checks.iter().map(|check| &*check.row));
        OfferedInstance::of_typical(&found.node, &found.instance, status)
    };
    health_of(snapshot, instances).iter().map(offered).collect()
}

/// Where the calls of a service end, as far as gateways lead them there: distinct.
fn ends(snapshot: &Snapshot, key: &ServiceKey) -> BTreeSet<Target> {
    let Ok(chain) = chain_of(snapshot, key) else {
        return BTreeSet::new();
    };
    let inside =
        |target: &&Target| target.service.origin.is_local() && target.service.partition == key.partition;
    let ends = chain.resolvers().map(|resolver| &resolver.target);
    ends.filter(inside).cloned().collect()
}

/// How the sidecars are that calls end at, and what terminating gateways pass them on to. An importer cannot know: what
/// it dials are gateways.
fn health(snapshot: &Snapshot, ends: &BTreeSet<Target>) -> HealthSummary {
    let standing = ends.iter().flat_map(|end| {
        let service = &end.service;
        let kind = ConfigKind::ServiceResolver;
        let key = ConfigKey::of_service(kind, &service.partition, &service.namespace, &service.name);
        let subset = match snapshot.config(&key).map(|held| &*held.row) {
            Some(ConfigEntry::ServiceResolver(resolver)) => {
                end.subset.as_ref().and_then(|name| resolver.subsets.get(name))
            }
            _ => None,
        };
        answering(snapshot, end, subset)
    });
    summary(&standing.collect::<Vec<_>>())
}

/// How an importer dials the service; the peer's name in the SNI is ours for it (wire facts, section 5.5).
fn peer_meta(
    snapshot: &Snapshot,
    roots: &CaRoots,
    key: &ServiceKey,
    peering: &PeeringKey,
    ends: &BTreeSet<Target>,
) -> PeerMeta {
    let protocol = protocol(snapshot, key);
    let gateway = SpiffeId::MeshGateway {
        trust_domain: roots.trust_domain.clone(),
        partition: key.partition.clone(),
        datacenter: roots.datacenter.clone(),
    };
    let mut spiffe_ids = vec![identity(roots, key), gateway.to_string()];
    // Bytes go through the gateway to whoever the chain ends at, who then shows the own certificate.
    if !protocol.is_http() {
        for id in ends.iter().map(|end| identity(roots, &end.service)) {
            if !spiffe_ids.contains(&id) {
                spiffe_ids.push(id);
            }
        }
    }
    PeerMeta {
        sni: vec![sni::exported(
            &key.name,
            &key.namespace,
            &key.partition,
            &peering.name,
            &roots.trust_domain,
        )],
        spiffe_ids,
        protocol: protocol.as_str().to_owned(),
        health: None,
    }
}

fn identity(roots: &CaRoots, service: &ServiceKey) -> String {
    let id = SpiffeId::Service {
        trust_domain: roots.trust_domain.clone(),
        partition: service.partition.clone(),
        namespace: service.namespace.clone(),
        datacenter: roots.datacenter.clone(),
        service: service.name.clone(),
    };
    id.to_string()
}

/// What the service speaks; the importer has to speak the same (wire facts, section 5.5).
fn protocol(snapshot: &Snapshot, key: &ServiceKey) -> Protocol {
    let own = ConfigKey::new(
        ConfigKind::ServiceDefaults,
        &key.partition,
        key.namespace.as_str(),
        key.name.as_str(),
    );
    let all = ConfigKey::singleton(ConfigKind::ProxyDefaults, &key.partition);
    let entry = |key| snapshot.config(key).map(|held| &*held.row);
    let own = match entry(&own) {
        Some(ConfigEntry::ServiceDefaults(own)) => Some(own),
        _ => None,
    };
    let all = match entry(&all) {
        Some(ConfigEntry::ProxyDefaults(all)) => Some(all),
        _ => None,
    };
    Protocol::of_service(own, all)
}

fn bundle(roots: &CaRoots, partition: &Partition) -> OfferedBundle {
    OfferedBundle {
        trust_domain: roots.trust_domain.to_string(),
        root_pems: roots.roots.iter().map(|root| root.pem.clone()).collect(),
        exported_partition: if partition.is_default() {
            String::new()
        } else {
            partition.to_string()
        },
    }
}

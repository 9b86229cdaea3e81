//! Reads a snapshot and remembers of what, so that whoever waits for another answer knows when to ask again.

use crate::change::Topic;
use crate::outside::{gateways_before, met_at};
use crate::read::mesh_face;
use crate::snapshot::Snapshot;
use peerway_model::chain::{Chain, Entries, compile};
use peerway_model::config::{ApiGateway, Attached, HttpRoute, Protocol, SamenessGroup, TcpRoute, attached};
use peerway_model::{ConfigEntry, ConfigKey, ConfigKind, Invalid, Partition, PeeringKey, ServiceKey};
use std::collections::BTreeSet;

/// A snapshot and what was read of it, also what was looked for and not found.
pub(super) struct Looking<'s> {
    snapshot: &'s Snapshot,
    topics: BTreeSet<Topic>,
}

impl<'s> Looking<'s> {
    pub(super) fn new(snapshot: &'s Snapshot) -> Self {
        Looking {
            snapshot,
            topics: BTreeSet::new(),
        }
    }

    pub(super) fn into_topics(self) -> BTreeSet<Topic> {
        self.topics
    }

    pub(super) fn config(&mut self, key: ConfigKey) -> Option<&'s ConfigEntry> {
        let held = self.snapshot.config(&key);
        self.topics.insert(Topic::Config(key));
        held.map(|held| &*held.row)
    }

    fn configs(&mut self, kind: ConfigKind) -> impl Iterator<Item = &'s ConfigEntry> {
        self.topics.insert(Topic::ConfigKind(kind));
        self.snapshot.configs(kind).map(|held| &*held.row)
    }

    /// All routes of requests, by key.
    pub(super) fn http_routes(&mut self) -> Vec<&'s HttpRoute> {
        let route = |entry: &'s ConfigEntry| match entry {
            ConfigEntry::HttpRoute(route) => Some(&**route),
            _ => None,
        };
        self.configs(ConfigKind::HttpRoute).filter_map(route).collect()
    }

    /// All routes of connections, by key.
    pub(super) fn tcp_routes(&mut self) -> Vec<&'s TcpRoute> {
        let route = |entry: &'s ConfigEntry| match entry {
            ConfigEntry::TcpRoute(route) => Some(route),
            _ => None,
        };
        self.configs(ConfigKind::TcpRoute).filter_map(route).collect()
    }

    /// The listeners of a gateway with what they have of these routes.
    pub(super) fn attached(
        &mut self,
        gateway: &'s ApiGateway,
        requests: &[&'s HttpRoute],
        connections: &[&'s TcpRoute],
    ) -> Vec<Attached<'s>> {
        let is_there = |key: &ConfigKey| self.config(key.clone()).is_some();
        attached(gateway, requests, connections, is_there)
    }

    /// The chain of a service of this cluster.
    pub(super) fn chain(&mut self, service: &ServiceKey) -> Result<Chain, Invalid> {
        compile(self, service)
    }

    /// Whether calls for a service of this cluster have anybody to go to.
    pub(super) fn is_met(&mut self, service: &ServiceKey) -> bool {
        self.topics.insert(Topic::ProxiesOf(service.clone()));
        self.topics.insert(Topic::Service(service.clone()));
        self.topics
            .insert(Topic::ConfigKind(ConfigKind::TerminatingGateway));
        let before = gateways_before(self.snapshot, service);
        self.topics.extend(before.into_iter().map(Topic::Service));
        !met_at(self.snapshot, service).is_empty()
    }

    /// Whether a peer is one to which calls may go: its peering is wanted, and it has said by which certificates its
    /// services are known. Not one that claims to be this cluster.
    pub(super) fn knows(&mut self, peering: &PeeringKey) -> bool {
        self.topics.insert(Topic::Peering(peering.clone()));
        self.topics.insert(Topic::Bundle(peering.clone()));
        self.topics.insert(Topic::Roots);
        let live = self.snapshot.peering(peering).is_some_and(|held| held.is_live());
        let Some(bundle) = self.snapshot.bundle(peering) else {
            return false;
        };
        let ours = self.snapshot.roots().map(|roots| &roots.trust_domain);
        let vouched = bundle.root_pems.iter().any(|pem| !pem.trim().is_empty());
        live && vouched && ours != Some(&bundle.trust_domain)
    }

    /// What a peer's service speaks; `None` while its exporter has not said how it is dialled.
    pub(super) fn imported(&mut self, service: &ServiceKey) -> Option<Protocol> {
        let face = mesh_face(service)?;
        self.topics.insert(Topic::Service(face.clone()));
        let mut said = self.snapshot.instances_of(&face);
        said.find_map(|gateway| {
            let meta = gateway.peer_meta.as_ref()?;
            meta.sni.first().filter(|sni| !sni.is_empty())?;
            Some(Protocol::parse(&meta.protocol).unwrap_or_default())
        })
    }
}

impl<'s> Entries<'s> for Looking<'s> {
    fn entry(&mut self, key: ConfigKey) -> Option<&'s ConfigEntry> {
        self.config(key)
    }

    fn groups(&mut self, partition: &Partition) -> Vec<&'s SamenessGroup> {
        let group = |entry: &'s ConfigEntry| match entry {
            ConfigEntry::SamenessGroup(group) if group.partition == *partition => Some(group),
            _ => None,
        };
        self.configs(ConfigKind::SamenessGroup)
            .filter_map(group)
            .collect()
    }
}

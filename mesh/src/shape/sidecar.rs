//! The shape of a sidecar.

use super::Shape;
use crate::address;
use crate::fragment_key::FragmentKey;
use crate::pieces::{DEFAULT_CONNECT_TIMEOUT_MS, MAX_CONNECT_TIMEOUT_MS};
use crate::read::Reading;
use peerway_model::instance::{GatewayMode, Opaque};
use peerway_model::{
    ConfigEntry, ConfigKey, ConfigKind, Instance, InstanceKey, Origin, PeeringKey, Proxy, ServiceAddress,
    ServiceKey, SpiffeId, Upstream,
};
use std::collections::BTreeSet;

/// Where applications listen and upstreams are bound unless a registration says otherwise.
const LOOPBACK: &str = "127.0.0.1";

pub(super) fn shape(instance: &Instance, reading: &mut Reading<'_>) -> Option<Shape> {
    let proxy = instance.proxy.as_ref()?;
    let service = instance.destination_key()?;
    let cluster = reading.cluster()?;
    let protocol = reading.protocol(&service);
    let mut keys = Keys::default();
    if let Some(address) = local_app(instance, proxy, reading) {
        keys.add(FragmentKey::LocalApp { address, protocol });
    }
    if let Some(address) = public_address(instance, proxy)
        && keys.bind(&address)
    {
        keys.add(match protocol.is_http() {
            true => FragmentKey::LocalRoots,
            false => FragmentKey::InboundRoots(service.clone()),
        });
        keys.add(FragmentKey::PublicListener {
            address,
            service: service.clone(),
            server_first: proxy.config.get("server_first").is_some_and(says_yes),
        });
    }
    let inherited = inherited_mode(proxy, &service, reading);
    // Local upstreams first: where names collide, the first one counts, and a peer must not take a local name.
    let (peered, local): (Vec<&Upstream>, Vec<&Upstream>) = proxy
        .upstreams
        .iter()
        .partition(|upstream| upstream.peer.is_some());
    for upstream in local.into_iter().chain(peered) {
        keys.add_upstream(upstream, &service, inherited);
    }
    if let Some(transparent) = proxy.transparent {
        let address = ServiceAddress {
            address: LOOPBACK.to_owned(),
            port: transparent.outbound_port,
        };
        if keys.bind(&address) {
            let partition = &service.partition;
            for addressed in reading.addressed(partition).iter() {
                keys.add_dialled(addressed.key.clone(), inherited, DEFAULT_CONNECT_TIMEOUT_MS);
                if !addressed.instances.is_empty() {
                    keys.add(FragmentKey::DirectCluster(addressed.key.clone()));
                }
            }
            if !reading.keeps_to_itself(partition) {
                keys.add(FragmentKey::Passthrough);
            }
            keys.add(FragmentKey::OutboundListener {
                address,
                partition: partition.clone(),
            });
        }
    }
    Some(Shape {
        identity: SpiffeId::Service {
            trust_domain: cluster.trust_domain.clone(),
            partition: service.partition,
            namespace: service.namespace,
            datacenter: cluster.datacenter.clone(),
            service: service.name,
        },
        keys: keys.list,
    })
}

/// Where the application listens; `None` when nobody said on which port.
fn local_app(instance: &Instance, proxy: &Proxy, reading: &mut Reading<'_>) -> Option<ServiceAddress> {
    let port = match (proxy.local_port, &proxy.destination_id) {
        (Some(port), _) => port,
        (None, Some(id)) => {
            let application = InstanceKey {
                node: instance.key.node.clone(),
                id: id.clone(),
            };
            reading.instance(&application)?.port
        }
        (None, None) => 0,
    };
    let text = proxy.local_address.as_deref().filter(|text| !text.is_empty());
    let given = ServiceAddress {
        address: text.unwrap_or(LOOPBACK).to_owned(),
        port,
    };
    address::ip(&given).or_else(|| address::host(&given))
}

fn says_yes(given: &Opaque) -> bool {
    matches!(given, Opaque::Bool(true)) || given.as_text() == Some("true")
}

/// The configured address, else the instance's own, else every one of the machine.
fn public_address(instance: &Instance, proxy: &Proxy) -> Option<ServiceAddress> {
    let configured = proxy.config.get("bind_address").and_then(|given| given.as_text());
    let address = configured
        .and_then(address::ip_text)
        .or_else(|| address::ip_text(&instance.address))
        .unwrap_or_else(|| "0.0.0.0".to_owned());
    let port = proxy
        .config
        .get("bind_port")
        .and_then(|given| given.as_u64())
        .and_then(|port| u16::try_from(port).ok())
        .filter(|port| *port != 0)
        .unwrap_or(instance.port);
    (port != 0).then_some(ServiceAddress { address, port })
}

/// How peers are reached by an upstream that does not say it: as the proxy says, else the service's defaults, else
/// those of all proxies, else straight to the peer's gateways.
fn inherited_mode(proxy: &Proxy, service: &ServiceKey, reading: &mut Reading<'_>) -> GatewayMode {
    let asks = |upstream: &Upstream| upstream.peer.is_some() && upstream.mesh_gateway.is_none();
    if let Some(mode) = proxy.mesh_gateway {
        return mode;
    }
    if proxy.transparent.is_none() && !proxy.upstreams.iter().any(asks) {
        return GatewayMode::Remote;
    }
    let own = ConfigKey::new(
        ConfigKind::ServiceDefaults,
        &service.partition,
        service.namespace.as_str(),
        service.name.as_str(),
    );
    if let Some(ConfigEntry::ServiceDefaults(defaults)) = reading.config(own)
        && let Some(mode) = defaults.mesh_gateway
    {
        return mode;
    }
    let global = ConfigKey::singleton(ConfigKind::ProxyDefaults, &service.partition);
    match reading.config(global) {
        Some(ConfigEntry::ProxyDefaults(defaults)) => defaults.mesh_gateway.unwrap_or(GatewayMode::Remote),
        _ => GatewayMode::Remote,
    }
}

#[derive(Default)]
struct Keys {
    list: Vec<FragmentKey>,
    seen: BTreeSet<FragmentKey>,
    bound: BTreeSet<ServiceAddress>,
    /// Upstreams whose Envoy cluster is in the list: it has one name, so the first one's mode and timeout count.
    dialled: BTreeSet<ServiceKey>,
}

impl Keys {
    fn add(&mut self, key: FragmentKey) {
        if self.seen.insert(key.clone()) {
            self.list.push(key);
        }
    }

    /// Takes an address; false when another listener has it. Envoy refuses a second listener on an address.
    fn bind(&mut self, address: &ServiceAddress) -> bool {
        self.bound.insert(address.clone())
    }

    fn add_upstream(&mut self, upstream: &Upstream, caller: &ServiceKey, inherited: GatewayMode) {
        let text = Some(upstream.bind_address.as_str()).filter(|text| !text.is_empty());
        let given = ServiceAddress {
            address: text.unwrap_or(LOOPBACK).to_owned(),
            port: upstream.bind_port,
        };
        let Some(address) = address::ip(&given).filter(|address| self.bind(address)) else {
            return;
        };
        let service = ServiceKey {
            origin: upstream.peer.clone().map_or(Origin::Local, Origin::Peer),
            // A peering belongs to a partition; that of the caller is the only one whose peers it may use.
            partition: match upstream.peer {
                Some(_) => caller.partition.clone(),
                None => upstream.partition.clone(),
            },
            namespace: upstream.namespace.clone(),
            name: upstream.name.clone(),
        };
        self.add(FragmentKey::UpstreamListener {
            address,
            service: service.clone(),
            partition: caller.partition.clone(),
        });
        let mode = upstream.mesh_gateway.unwrap_or(inherited);
        self.add_dialled(service, mode, connect_timeout_ms(upstream));
    }

    /// What it takes to reach a service, unless it is there already.
    fn add_dialled(&mut self, service: ServiceKey, mode: GatewayMode, connect_timeout_ms: u64) {
        if !self.dialled.insert(service.clone()) {
            return;
        }
        let (roots, mode) = match service.origin.peer() {
            None => (FragmentKey::LocalRoots, GatewayMode::Remote),
            Some(peer) => {
                let peering = PeeringKey {
                    partition: service.partition.clone(),
                    name: peer.clone(),
                };
                (FragmentKey::PeerRoots(peering), mode)
            }
        };
        self.add(roots);
        self.add(FragmentKey::UpstreamCluster {
            service: service.clone(),
            mode,
            connect_timeout_ms,
        });
        self.add(FragmentKey::UpstreamEndpoints { service, mode });
    }
}

fn connect_timeout_ms(upstream: &Upstream) -> u64 {
    upstream
        .config
        .get("connect_timeout_ms")
        .and_then(|given| given.as_u64())
        .filter(|ms| (1..=MAX_CONNECT_TIMEOUT_MS).contains(ms))
        .unwrap_or(DEFAULT_CONNECT_TIMEOUT_MS)
}

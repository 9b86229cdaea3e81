//! The shape of a sidecar.

use super::Shape;
use super::calling::{Asked, Calling};
use crate::address;
use crate::fragment_key::{FragmentKey, Reach};
use crate::pieces::reporter;
use crate::read::Reading;
use peerway_model::chain::Target;
use peerway_model::instance::{GatewayMode, Opaque};
use peerway_model::{
    Instance, InstanceKey, Origin, PeeringKey, Proxy, ServiceAddress, ServiceKey, SpiffeId, Upstream,
};
use std::collections::BTreeSet;

/// Where applications listen and upstreams are bound unless a registration says otherwise.
const LOOPBACK: &str = "127.0.0.1";

pub(super) fn shape(instance: &Instance, reading: &mut Reading<'_>) -> Option<Shape> {
    let proxy = instance.proxy.as_ref()?;
    let service = instance.destination_key()?;
    let cluster = reading.cluster()?;
    let protocol = reading.protocol(&service);
    let mut keys = Keys {
        reporter: reporter(reading, &service),
        ..Keys::default()
    };
    if keys.reporter.is_some() {
        keys.add(FragmentKey::TraceCollector(service.partition.clone()));
    }
    if let Some(address) = local_app(instance, proxy, reading) {
        keys.add(FragmentKey::LocalApp {
            address,
            protocol,
            connect_timeout_ms: reading.inbound_of(&service).connect_timeout_ms,
        });
    }
    if let Some(address) = public_address(instance, proxy)
        && keys.bind(&address)
    {
        if protocol.is_http() {
            keys.add(FragmentKey::LocalRoots);
            keys.add(FragmentKey::LinePolicy(service.clone()));
            keys.add(FragmentKey::RequestPolicy(service.clone()));
        } else {
            keys.add(FragmentKey::InboundRoots(service.clone()));
            keys.add(FragmentKey::Admitted(service.clone()));
            keys.add(FragmentKey::ConnectionPolicy(service.clone()));
        }
        keys.add(FragmentKey::PublicListener {
            address,
            service: service.clone(),
            server_first: proxy.config.get("server_first").is_some_and(Opaque::says_yes),
        });
    }
    let calling = Calling::of(proxy, &service, reading);
    // Local upstreams first: where names collide, the first one counts, and a peer must not take a local name.
    let (peered, local): (Vec<&Upstream>, Vec<&Upstream>) = proxy
        .upstreams
        .iter()
        .partition(|upstream| upstream.peer.is_some());
    for upstream in local.into_iter().chain(peered) {
        keys.add_upstream(upstream, &service, &calling, reading);
    }
    if let Some(transparent) = proxy.transparent {
        let address = ServiceAddress {
            address: LOOPBACK.to_owned(),
            port: transparent.outbound_port,
        };
        if keys.bind(&address) {
            let partition = &service.partition;
            for addressed in reading.addressed(partition).iter() {
                let asked = calling.asked(&addressed.key, None);
                keys.add_dialled(addressed.key.clone(), &asked, reading);
                if !addressed.instances.is_empty() {
                    // Its instances are local, wherever its chain leads.
                    keys.add(FragmentKey::LocalRoots);
                    keys.add(FragmentKey::DirectCluster(addressed.key.clone()));
                }
            }
            if !reading.keeps_to_itself(partition) {
                keys.add(FragmentKey::Passthrough);
            }
            keys.add(FragmentKey::OutboundListener {
                address,
                partition: partition.clone(),
                reporter: keys.reporter.clone(),
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
        leaves: Vec::new(),
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

#[derive(Default)]
struct Keys {
    /// Who reports single requests.
    reporter: Option<String>,
    list: Vec<FragmentKey>,
    seen: BTreeSet<FragmentKey>,
    bound: BTreeSet<ServiceAddress>,
    /// Targets whose Envoy cluster is in the list: it has one name, so the first one's mode and timeout count.
    dialled: BTreeSet<Target>,
    /// Upstreams whose routes are in the list.
    routed: BTreeSet<ServiceKey>,
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

    fn add_upstream(
        &mut self,
        upstream: &Upstream,
        caller: &ServiceKey,
        calling: &Calling<'_>,
        reading: &mut Reading<'_>,
    ) {
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
        let asked = calling.asked(&service, Some(upstream));
        self.add(FragmentKey::UpstreamListener {
            address,
            service: service.clone(),
            partition: caller.partition.clone(),
            reporter: self.reporter.clone(),
            exact_balance: asked.exact_balance,
        });
        self.add_dialled(service, &asked, reading);
    }

    /// What it takes to reach a service and all that its chain leads to, unless it is there already.
    fn add_dialled(&mut self, service: ServiceKey, asked: &Asked, reading: &mut Reading<'_>) {
        if service.origin.peer().is_some() {
            self.add_target(&Target::of(service), &[], asked);
            return;
        }
        let Some(chain) = reading.chain(&service) else {
            return;
        };
        for resolver in chain.resolvers() {
            self.add_target(&resolver.target, &resolver.settings.failover, asked);
        }
        if chain.protocol.is_http() && !chain.is_default() && self.routed.insert(service.clone()) {
            self.add(FragmentKey::UpstreamRoutes(service));
        }
    }

    /// What it takes to reach a target, and what stands in for it.
    fn add_target(&mut self, target: &Target, failover: &[Target], asked: &Asked) {
        if !self.dialled.insert(target.clone()) {
            return;
        }
        if failover.is_empty() {
            self.add_reach(target.clone(), None, asked);
            return;
        }
        self.add(FragmentKey::UpstreamGroup {
            target: target.clone(),
            connect_timeout_ms: asked.connect_timeout_ms,
        });
        for (nth, member) in std::iter::once(target).chain(failover).enumerate() {
            self.add_reach(member.clone(), Some((nth, target.clone())), asked);
        }
    }

    fn add_reach(&mut self, target: Target, stands_in: Option<(usize, Target)>, asked: &Asked) {
        let (roots, mode) = match target.service.origin.peer() {
            None => (FragmentKey::LocalRoots, GatewayMode::Remote),
            Some(peer) => {
                let peering = PeeringKey {
                    partition: target.service.partition.clone(),
                    name: peer.clone(),
                };
                (FragmentKey::PeerRoots(peering), asked.mode)
            }
        };
        self.add(roots);
        let reach = Reach {
            target,
            stands_in,
            mode,
        };
        self.add(FragmentKey::UpstreamCluster {
            reach: reach.clone(),
            connect_timeout_ms: asked.connect_timeout_ms,
            terms: asked.terms,
            bounds: asked.bounds.clone(),
        });
        self.add(FragmentKey::UpstreamEndpoints(reach));
    }
}

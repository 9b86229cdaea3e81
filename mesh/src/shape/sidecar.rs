//! The shape of a sidecar.

use super::calling::Calling;
use super::keys::Keys;
use super::{Shape, deciding};
use crate::address;
use crate::fragment_key::FragmentKey;
use crate::pieces::reporter;
use crate::read::Reading;
use peerway_model::expose::{Exposed, public_port};
use peerway_model::instance::Opaque;
use peerway_model::{Instance, InstanceKey, Origin, Proxy, ServiceAddress, ServiceKey, SpiffeId, Upstream};

/// Where applications listen and upstreams are bound unless a registration says otherwise.
const LOOPBACK: &str = "127.0.0.1";

pub(super) fn shape(instance: &Instance, reading: &mut Reading<'_>) -> Option<Shape> {
    let proxy = instance.proxy.as_ref()?;
    let service = instance.destination_key()?;
    let cluster = reading.cluster()?;
    let protocol = reading.protocol(&service);
    let mut keys = Keys::new(reporter(reading, &service));
    if keys.reporter.is_some() {
        keys.add(FragmentKey::TraceCollector(service.partition.clone()));
    }
    let connect_timeout_ms = reading.inbound_of(&service).connect_timeout_ms;
    if let Some(port) = local_port(instance, proxy, reading)
        && let Some(address) = at_application(proxy, port)
    {
        keys.add(FragmentKey::LocalApp {
            address,
            protocol,
            connect_timeout_ms,
        });
    }
    if let Some(address) = public_address(instance, proxy)
        && keys.bind(&address)
    {
        for key in deciding(&service, reading) {
            keys.add(key);
        }
        keys.add(FragmentKey::PublicListener {
            address,
            service: service.clone(),
            server_first: proxy.config.get("server_first").is_some_and(Opaque::says_yes),
        });
    }
    let calling = Calling::of(instance, proxy.mesh_gateway, &service, reading);
    // Local upstreams first: where names collide, the first one counts, and a peer must not take a local name.
    let (peered, local): (Vec<&Upstream>, Vec<&Upstream>) = proxy
        .upstreams
        .iter()
        .partition(|upstream| upstream.peer.is_some());
    for upstream in local.into_iter().chain(peered) {
        keys.add_upstream(upstream, &service, &calling, reading);
    }
    let settings = reading.sidecar_settings(&proxy.sidecar, &service);
    if let Some(transparent) = settings.transparent() {
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
    // Last: whatever a port is used for besides comes first.
    let all = reading.proxy_defaults(&service.partition);
    for path in Exposed::of(instance, &settings, all).open {
        let address = ServiceAddress {
            address: bind_address(instance, proxy),
            port: path.listener_port,
        };
        let application = at_application(proxy, path.local_port);
        if let Some(application) = application.filter(|_| keys.bind(&address)) {
            keys.add(FragmentKey::ExposedApp {
                address: application,
                protocol: path.protocol,
                connect_timeout_ms,
            });
            keys.add(FragmentKey::ExposedListener {
                address,
                partition: service.partition.clone(),
                path,
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
        dns_names: Vec::new(),
        leaves: Vec::new(),
        keys: keys.list,
    })
}

/// The port that the application listens on; `None` when nobody said it.
fn local_port(instance: &Instance, proxy: &Proxy, reading: &mut Reading<'_>) -> Option<u16> {
    match (proxy.local_port, &proxy.destination_id) {
        (Some(port), _) => Some(port),
        (None, Some(id)) => {
            let application = InstanceKey {
                node: instance.key.node.clone(),
                id: id.clone(),
            };
            Some(reading.instance(&application)?.port)
        }
        (None, None) => None,
    }
}

/// A port of the application.
fn at_application(proxy: &Proxy, port: u16) -> Option<ServiceAddress> {
    let text = proxy.local_address.as_deref().filter(|text| !text.is_empty());
    let given = ServiceAddress {
        address: text.unwrap_or(LOOPBACK).to_owned(),
        port,
    };
    address::ip(&given).or_else(|| address::host(&given))
}

/// Where calls for the service are taken, unless there is no port for them.
fn public_address(instance: &Instance, proxy: &Proxy) -> Option<ServiceAddress> {
    let port = public_port(instance, proxy);
    (port != 0).then(|| ServiceAddress {
        address: bind_address(instance, proxy),
        port,
    })
}

/// The configured address, else the instance's own, else every one of the machine.
fn bind_address(instance: &Instance, proxy: &Proxy) -> String {
    let configured = proxy.config.get("bind_address").and_then(|given| given.as_text());
    configured
        .and_then(address::ip_text)
        .or_else(|| address::ip_text(&instance.address))
        .unwrap_or_else(|| "0.0.0.0".to_owned())
}

impl Keys {
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
}

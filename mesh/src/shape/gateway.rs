//! The shape of a mesh gateway.

use super::Shape;
use super::keys::preferring;
use crate::address;
use crate::finding::Face;
use crate::fragment_key::{FragmentKey, Passed};
use crate::pieces::reporter;
use crate::read::Reading;
use peerway_model::{Instance, ServiceAddress, SpiffeId};
use std::collections::BTreeSet;

pub(super) fn shape(instance: &Instance, reading: &mut Reading<'_>) -> Option<Shape> {
    let cluster = reading.cluster()?;
    let partition = instance.key.node.partition.clone();
    let mut keys = Vec::new();
    let mut ends_tls = false;
    let mut reached = BTreeSet::new();
    let reporter = reporter(reading, &instance.service_key());
    if reporter.is_some() {
        keys.push(FragmentKey::TraceCollector(partition.clone()));
    }
    if instance.port != 0 {
        let address = ServiceAddress {
            address: address::ip_text(&instance.address).unwrap_or_else(|| "0.0.0.0".to_owned()),
            port: instance.port,
        };
        keys.push(FragmentKey::GatewayListener {
            address,
            partition: partition.clone(),
            reporter,
        });
    }
    let own = reading.locality_of(instance);
    for route in reading.routes(&partition).iter() {
        for target in &route.targets {
            // Exported services may end at the same target.
            if reached.insert((route.face, target.clone())) {
                let passed = Passed {
                    face: route.face,
                    target: target.clone(),
                    from: match route.face {
                        Face::Exported => preferring(own.as_ref(), target, reading),
                        Face::Imported => None,
                    },
                };
                keys.push(FragmentKey::GatewayCluster(passed.clone()));
                keys.push(FragmentKey::GatewayEndpoints(passed));
            }
        }
        if route.protocol.is_http() {
            keys.push(FragmentKey::InboundRoots(route.service.clone()));
            keys.push(FragmentKey::GatewayRoutes(route.service.clone()));
            ends_tls = true;
        }
    }
    for servers in reading.servers(&partition).iter() {
        let (partition, name) = (partition.clone(), servers.name.clone());
        keys.push(FragmentKey::ServersCluster {
            partition: partition.clone(),
            name: name.clone(),
        });
        keys.push(FragmentKey::ServersEndpoints { partition, name });
    }
    if ends_tls {
        keys.push(FragmentKey::LocalRoots);
    }
    Some(Shape {
        identity: SpiffeId::MeshGateway {
            trust_domain: cluster.trust_domain.clone(),
            partition,
            datacenter: cluster.datacenter.clone(),
        },
        dns_names: Vec::new(),
        leaves: Vec::new(),
        keys,
    })
}

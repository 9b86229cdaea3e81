//! The shape of a terminating gateway.

use super::{Shape, deciding};
use crate::address;
use crate::fragment_key::FragmentKey;
use crate::naming;
use crate::pieces::{reporter, targets};
use crate::read::Reading;
use peerway_model::instance::Opaque;
use peerway_model::{Instance, ServiceAddress, ServiceKey, SpiffeId};
use std::collections::BTreeSet;

pub(super) fn shape(instance: &Instance, reading: &mut Reading<'_>) -> Option<Shape> {
    let cluster = reading.cluster()?;
    let gateway = instance.service_key();
    let identity = |service: &ServiceKey| SpiffeId::Service {
        trust_domain: cluster.trust_domain.clone(),
        partition: service.partition.clone(),
        namespace: service.namespace.clone(),
        datacenter: cluster.datacenter.clone(),
        service: service.name.clone(),
    };
    let mut keys = Vec::new();
    let mut leaves = Vec::new();
    let reporter = reporter(reading, &gateway);
    if reporter.is_some() {
        keys.push(FragmentKey::TraceCollector(gateway.partition.clone()));
    }
    if instance.port != 0 {
        let address = ServiceAddress {
            address: address::ip_text(&instance.address).unwrap_or_else(|| "0.0.0.0".to_owned()),
            port: instance.port,
        };
        let server_first = instance.gateway_config.get("server_first");
        keys.push(FragmentKey::TerminatingListener {
            address,
            gateway: gateway.clone(),
            server_first: server_first.is_some_and(Opaque::says_yes),
            reporter,
        });
    }
    let mut shared = BTreeSet::new();
    for (service, outward) in reading.links(&gateway).iter() {
        // Services may be decided about by the same roots and keys.
        keys.extend(
            deciding(service, reading)
                .into_iter()
                .filter(|key| shared.insert(key.clone())),
        );
        for target in targets(reading, service) {
            keys.push(FragmentKey::OutsideCluster {
                target: target.clone(),
                outward: outward.clone(),
            });
            keys.push(FragmentKey::OutsideEndpoints(target));
        }
        leaves.push((naming::leaf(service), identity(service)));
    }
    leaves.sort();
    Some(Shape {
        identity: identity(&gateway),
        dns_names: Vec::new(),
        leaves,
        keys,
    })
}

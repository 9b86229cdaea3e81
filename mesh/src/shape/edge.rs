//! The shape of a gateway at the edge.

use super::Shape;
use super::calling::{Asked, Calling};
use super::keys::Keys;
use crate::address;
use crate::finding::{Certificates, EdgeTls};
use crate::fragment::Terms;
use crate::fragment_key::{EdgeKey, FragmentKey};
use crate::pieces::reporter;
use crate::read::Reading;
use peerway_model::config::EdgeTerms;
use peerway_model::{Instance, ServiceAddress, ServiceKind, SpiffeId};

/// Every address of the machine.
const ANY: &str = "0.0.0.0";

pub(super) fn shape(instance: &Instance, reading: &mut Reading<'_>) -> Option<Shape> {
    let cluster = reading.cluster()?;
    let gateway = instance.service_key();
    let mut keys = Keys::new(reporter(reading, &gateway));
    if keys.reporter.is_some() {
        keys.add(FragmentKey::TraceCollector(gateway.partition.clone()));
    }
    let key = EdgeKey {
        service: gateway.clone(),
        is_api: instance.kind == ServiceKind::ApiGateway,
    };
    let edge = reading.edge(&key);
    let bound = bound(instance);
    for port in &edge.ports {
        let address = ServiceAddress {
            address: bound.clone(),
            port: port.port,
        };
        if !keys.bind(&address) {
            continue;
        }
        keys.add(FragmentKey::EdgeListener {
            address,
            gateway: key.clone(),
            reporter: keys.reporter.clone(),
        });
        if port.protocol.is_http() {
            keys.add(FragmentKey::EdgeRoutes {
                gateway: key.clone(),
                port: port.port,
            });
        }
        if let Some(EdgeTls {
            certificates: Certificates::Own(certificates),
            ..
        }) = &port.tls
        {
            for certificate in certificates {
                keys.add(FragmentKey::Certificate(certificate.clone()));
            }
        }
    }
    let calling = Calling::of(instance, None, &gateway, reading);
    for (service, terms) in &edge.calls {
        let asked = with(calling.asked(service, None), terms);
        keys.add_ends(service, &asked, reading);
    }
    Some(Shape {
        identity: SpiffeId::Service {
            trust_domain: cluster.trust_domain.clone(),
            partition: gateway.partition,
            namespace: gateway.namespace,
            datacenter: cluster.datacenter.clone(),
            service: gateway.name,
        },
        dns_names: edge.dns_names.clone(),
        leaves: Vec::new(),
        keys: keys.list,
    })
}

/// Where its listeners are: the configured address, else the instance's own, else every one of the machine.
fn bound(instance: &Instance) -> String {
    instance
        .gateway_config
        .get("bind_address")
        .and_then(|given| given.as_text())
        .and_then(address::ip_text)
        .or_else(|| address::ip_text(&instance.address))
        .unwrap_or_else(|| ANY.to_owned())
}

/// What its entry says about a service counts before what the defaults of the gateway's name say.
fn with(asked: Asked, terms: &EdgeTerms) -> Asked {
    let usual = EdgeTerms {
        limits: asked.terms.limits,
        passive_health_check: Some(asked.terms.passive),
    };
    let both = terms.or(&usual);
    Asked {
        terms: Terms {
            limits: both.limits,
            passive: both.passive_health_check.unwrap_or_default(),
        },
        ..asked
    }
}

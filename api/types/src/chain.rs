//! A compiled discovery chain as JSON (`/v1/discovery-chain/:service`).

use crate::config::{load_balancer, route, split, subset, weight};
use crate::duration::duration_text;
use peerway_model::chain::{Chain, DEFAULT_CONNECT_TIMEOUT_MS, Node, NodeId, Resolver, Target};
use peerway_model::name::Datacenter;
use peerway_model::{Origin, TrustDomain, sni};
use serde_json::{Map, Value, json};

/// The chain with Consul's field names. `trust_domain` is `None` while the cluster has no authority; targets then have
/// no SNI.
pub fn chain_to_json(chain: &Chain, datacenter: &Datacenter, trust_domain: Option<&TrustDomain>) -> Value {
    let nodes: Map<String, Value> = chain
        .nodes
        .iter()
        .map(|(id, node)| (full(id, datacenter), node_to_json(id, node, datacenter)))
        .collect();
    let targets: Map<String, Value> = chain
        .targets()
        .iter()
        .map(|one| (one.id(datacenter), target(chain, one, datacenter, trust_domain)))
        .collect();
    json!({
        "ServiceName": chain.service.name.as_str(),
        "Namespace": chain.service.namespace.as_str(),
        "Partition": chain.service.partition.as_str(),
        "Datacenter": datacenter.as_str(),
        "Protocol": chain.protocol.as_str(),
        "Default": chain.is_default(),
        "StartNode": full(&chain.start, datacenter),
        "Nodes": nodes,
        "Targets": targets,
    })
}

fn full(id: &NodeId, datacenter: &Datacenter) -> String {
    format!("{}:{}", id.kind(), id.name(datacenter))
}

fn node_to_json(id: &NodeId, node: &Node, datacenter: &Datacenter) -> Value {
    let mut out = Map::new();
    out.insert("Type".to_owned(), json!(id.kind()));
    out.insert("Name".to_owned(), json!(id.name(datacenter)));
    match node {
        Node::Router(steps) => {
            let routes: Vec<Value> = steps
                .iter()
                .map(|step| json!({"Definition": route(&step.route), "NextNode": full(&step.next, datacenter)}))
                .collect();
            out.insert("Routes".to_owned(), json!(routes));
        }
        Node::Splitter(steps) => {
            let splits: Vec<Value> = steps
                .iter()
                .map(|step| {
                    json!({
                        "Definition": split(&step.written),
                        "Weight": weight(step.written.weight),
                        "NextNode": full(&step.next, datacenter),
                    })
                })
                .collect();
            out.insert("Splits".to_owned(), json!(splits));
        }
        Node::Resolver(resolver) => {
            if let Some(balancer) = &resolver.settings.load_balancer {
                out.insert("LoadBalancer".to_owned(), load_balancer(balancer));
            }
            out.insert("Resolver".to_owned(), resolver_to_json(resolver, datacenter));
        }
    }
    Value::Object(out)
}

fn resolver_to_json(resolver: &Resolver, datacenter: &Datacenter) -> Value {
    let mut out = Map::new();
    if resolver.is_default {
        out.insert("Default".to_owned(), json!(true));
    }
    out.insert("Target".to_owned(), json!(resolver.target.id(datacenter)));
    let connect = resolver.settings.connect_timeout_ms;
    let connect = duration_text(connect.unwrap_or(DEFAULT_CONNECT_TIMEOUT_MS));
    out.insert("ConnectTimeout".to_owned(), json!(connect));
    if let Some(ms) = resolver.settings.request_timeout_ms {
        out.insert("RequestTimeout".to_owned(), json!(duration_text(ms)));
    }
    if !resolver.settings.failover.is_empty() {
        let targets: Vec<String> = resolver
            .settings
            .failover
            .iter()
            .map(|target| target.id(datacenter))
            .collect();
        out.insert("Failover".to_owned(), json!({ "Targets": targets }));
    }
    Value::Object(out)
}

fn target(
    chain: &Chain,
    target: &Target,
    datacenter: &Datacenter,
    trust_domain: Option<&TrustDomain>,
) -> Value {
    let service = &target.service;
    let mut out = Map::new();
    out.insert("ID".to_owned(), json!(target.id(datacenter)));
    out.insert("Service".to_owned(), json!(service.name.as_str()));
    out.insert("Namespace".to_owned(), json!(service.namespace.as_str()));
    out.insert("Partition".to_owned(), json!(service.partition.as_str()));
    if let Some(name) = &target.subset {
        out.insert("ServiceSubset".to_owned(), json!(name.as_str()));
    }
    let resolver = chain.resolver(&NodeId::Resolver(target.clone()));
    if let Some(own) = resolver.and_then(|resolver| resolver.settings.subset.as_ref()) {
        out.insert("Subset".to_owned(), subset(own));
    }
    let connect = resolver.and_then(|resolver| resolver.settings.connect_timeout_ms);
    let connect = duration_text(connect.unwrap_or(DEFAULT_CONNECT_TIMEOUT_MS));
    out.insert("ConnectTimeout".to_owned(), json!(connect));
    match &service.origin {
        Origin::Peer(peer) => {
            out.insert("Peer".to_owned(), json!(peer.as_str()));
        }
        Origin::Local => {
            out.insert("Datacenter".to_owned(), json!(datacenter.as_str()));
            if let Some(trust_domain) = trust_domain {
                let plain = sni::service(
                    &service.name,
                    &service.namespace,
                    &service.partition,
                    datacenter,
                    trust_domain,
                );
                let name = match &target.subset {
                    None => plain,
                    Some(subset) => format!("{subset}.{plain}"),
                };
                out.insert("SNI".to_owned(), json!(name));
                out.insert("Name".to_owned(), json!(name));
            }
        }
    }
    Value::Object(out)
}

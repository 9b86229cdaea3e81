//! A compiled discovery chain as JSON (`/v1/discovery-chain/:service`).

use crate::config::{by_locality, load_balancer, route, split, subset, weight};
use crate::duration::duration_text;
use peerway_model::chain::{Chain, DEFAULT_CONNECT_TIMEOUT_MS, Node, NodeId, Resolver, Target};
use peerway_model::name::Datacenter;
use peerway_model::{HealthSummary, Origin, TrustDomain, sni};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Whether calls may go to a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TargetState {
    /// They may.
    Up,
    /// Only when none of those is up that stand in for it, or for which it stands in.
    Stale,
    /// They may not.
    Down,
    /// There is nobody to call; nothing is tried.
    Absent,
}

impl TargetState {
    fn as_str(self) -> &'static str {
        match self {
            TargetState::Up => "UP",
            TargetState::Stale => "STALE",
            TargetState::Down => "DOWN",
            TargetState::Absent => "ABSENT",
        }
    }
}

/// How a target is. Not in Consul.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetHealth {
    /// Whether calls may go there.
    pub state: TargetState,
    /// Why it is not up; empty when it is.
    pub reason: String,
    /// How its instances are; `None` when that is not known.
    pub summary: Option<HealthSummary>,
    /// Of a peer's: how old what is held may be, in milliseconds; `None` when it was never proven.
    pub age_ms: Option<u64>,
}

/// How the targets of a chain are.
pub type Healths = BTreeMap<Target, TargetHealth>;

/// Where the calls go that are meant for the first of these: to the first one that is up, else to the first one that is
/// stale.
fn chosen<'t>(targets: &[&'t Target], healths: &Healths) -> Option<&'t Target> {
    let first = |wanted: TargetState| {
        let is = |target: &&&Target| healths.get(**target).is_some_and(|held| held.state == wanted);
        targets.iter().find(is).copied()
    };
    first(TargetState::Up).or_else(|| first(TargetState::Stale))
}

/// The chain with Consul's field names, and how its targets are. `trust_domain` is `None` while the cluster has no
/// authority; targets then have no SNI.
pub fn chain_to_json(
    chain: &Chain,
    datacenter: &Datacenter,
    trust_domain: Option<&TrustDomain>,
    healths: &Healths,
) -> Value {
    let nodes: Map<String, Value> = chain
        .nodes
        .iter()
        .map(|(id, node)| (full(id, datacenter), node_to_json(id, node, datacenter, healths)))
        .collect();
    let targets: Map<String, Value> = chain
        .targets()
        .iter()
        .map(|one| {
            let mut shown = target(chain, one, datacenter, trust_domain);
            if let Some(health) = healths.get(one) {
                shown.insert("Health".to_owned(), health_to_json(health));
            }
            (one.id(datacenter), Value::Object(shown))
        })
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

fn health_to_json(health: &TargetHealth) -> Value {
    let mut out = Map::new();
    out.insert("State".to_owned(), json!(health.state.as_str()));
    out.insert("Reason".to_owned(), json!(health.reason));
    if let Some(summary) = health.summary {
        out.insert("Healthy".to_owned(), json!(summary.healthy));
        out.insert("Total".to_owned(), json!(summary.total));
        out.insert("Weight".to_owned(), json!(summary.weight));
        out.insert("Draining".to_owned(), json!(summary.draining));
    }
    if let Some(age) = health.age_ms {
        out.insert("AgeMs".to_owned(), json!(age));
    }
    Value::Object(out)
}

fn node_to_json(id: &NodeId, node: &Node, datacenter: &Datacenter, healths: &Healths) -> Value {
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
            out.insert(
                "Resolver".to_owned(),
                resolver_to_json(resolver, datacenter, healths),
            );
        }
    }
    Value::Object(out)
}

fn resolver_to_json(resolver: &Resolver, datacenter: &Datacenter, healths: &Healths) -> Value {
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
    by_locality(&mut out, resolver.settings.by_locality);
    if !resolver.settings.failover.is_empty() {
        let targets: Vec<String> = resolver
            .settings
            .failover
            .iter()
            .map(|target| target.id(datacenter))
            .collect();
        let mut failover = json!({ "Targets": targets });
        if !healths.is_empty() {
            let all: Vec<&Target> = std::iter::once(&resolver.target)
                .chain(&resolver.settings.failover)
                .collect();
            let now = chosen(&all, healths).map(|target| target.id(datacenter));
            failover["Now"] = json!(now);
        }
        out.insert("Failover".to_owned(), failover);
    }
    Value::Object(out)
}

fn target(
    chain: &Chain,
    target: &Target,
    datacenter: &Datacenter,
    trust_domain: Option<&TrustDomain>,
) -> Map<String, Value> {
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
    by_locality(
        &mut out,
        resolver.and_then(|resolver| resolver.settings.by_locality),
    );
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
    out
}

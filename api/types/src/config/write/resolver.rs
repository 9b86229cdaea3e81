//! From a resolver to JSON.

use super::routing::{destination, text, timeout};
use crate::duration::duration_text;
use peerway_model::config::{
    Balance, ByLocality, Destination, Failover, HashOf, HashPolicy, LoadBalancer, ServiceResolver, Subset,
};
use serde_json::{Map, Value, json};

pub(super) fn service_resolver(out: &mut Map<String, Value>, resolver: &ServiceResolver) {
    let default_subset = resolver.default_subset.as_ref().map(|name| name.as_str());
    text(out, "DefaultSubset", default_subset);
    if !resolver.subsets.is_empty() {
        let subsets: Map<String, Value> = resolver
            .subsets
            .iter()
            .map(|(name, own)| (name.to_string(), subset(own)))
            .collect();
        out.insert("Subsets".to_owned(), Value::Object(subsets));
    }
    if let Some(redirect) = &resolver.redirect {
        out.insert("Redirect".to_owned(), led(redirect));
    }
    if !resolver.failover.is_empty() {
        let failover: Map<String, Value> = resolver
            .failover
            .iter()
            .map(|(name, own)| (name.clone(), failover(own)))
            .collect();
        out.insert("Failover".to_owned(), Value::Object(failover));
    }
    timeout(out, "ConnectTimeout", resolver.connect_timeout_ms);
    timeout(out, "RequestTimeout", resolver.request_timeout_ms);
    if let Some(balancer) = &resolver.load_balancer {
        out.insert("LoadBalancer".to_owned(), load_balancer(balancer));
    }
    by_locality(out, resolver.by_locality);
}

/// Whether those that are near are preferred, with Consul's field names, where anything is said.
pub(crate) fn by_locality(out: &mut Map<String, Value>, mode: Option<ByLocality>) {
    if let Some(mode) = mode {
        out.insert(
            "PrioritizeByLocality".to_owned(),
            json!({ "Mode": mode.as_str() }),
        );
    }
}

/// A subset with Consul's field names.
pub(crate) fn subset(subset: &Subset) -> Value {
    let mut out = Map::new();
    text(
        &mut out,
        "Filter",
        subset.filter.as_ref().map(|filter| filter.as_str()),
    );
    if subset.only_passing {
        out.insert("OnlyPassing".to_owned(), json!(true));
    }
    Value::Object(out)
}

fn led(to: &Destination) -> Value {
    let mut out = Map::new();
    destination(&mut out, to);
    Value::Object(out)
}

fn failover(failover: &Failover) -> Value {
    match failover {
        Failover::Targets(targets) => {
            let targets: Vec<Value> = targets.iter().map(led).collect();
            json!({ "Targets": targets })
        }
        Failover::Group(group) => json!({ "SamenessGroup": group.as_str() }),
    }
}

/// A load balancer with Consul's field names.
pub(crate) fn load_balancer(balancer: &LoadBalancer) -> Value {
    let mut out = Map::new();
    let policy = match balancer.balance {
        None => None,
        Some(Balance::Random) => Some("random"),
        Some(Balance::RoundRobin) => Some("round_robin"),
        Some(Balance::Maglev) => Some("maglev"),
        Some(Balance::LeastRequest { choices }) => {
            if let Some(count) = choices {
                out.insert("LeastRequestConfig".to_owned(), json!({ "ChoiceCount": count }));
            }
            Some("least_request")
        }
        Some(Balance::RingHash { minimum, maximum }) => {
            let mut ring = Map::new();
            for (field, size) in [("MinimumRingSize", minimum), ("MaximumRingSize", maximum)] {
                if let Some(size) = size {
                    ring.insert(field.to_owned(), json!(size));
                }
            }
            if !ring.is_empty() {
                out.insert("RingHashConfig".to_owned(), Value::Object(ring));
            }
            Some("ring_hash")
        }
    };
    text(&mut out, "Policy", policy);
    if !balancer.hash.is_empty() {
        let policies: Vec<Value> = balancer.hash.iter().map(hash_policy).collect();
        out.insert("HashPolicies".to_owned(), json!(policies));
    }
    Value::Object(out)
}

fn hash_policy(policy: &HashPolicy) -> Value {
    let mut out = Map::new();
    match &policy.by {
        HashOf::SourceIp => {
            out.insert("SourceIP".to_owned(), json!(true));
        }
        HashOf::Header(name) => field(&mut out, "header", name),
        HashOf::Query(name) => field(&mut out, "query_parameter", name),
        HashOf::Cookie {
            name,
            ttl_ms,
            session,
            path,
        } => {
            field(&mut out, "cookie", name);
            let mut cookie = Map::new();
            if *session {
                cookie.insert("Session".to_owned(), json!(true));
            }
            if let Some(ms) = ttl_ms {
                cookie.insert("TTL".to_owned(), json!(duration_text(*ms)));
            }
            text(&mut cookie, "Path", path.as_deref());
            if !cookie.is_empty() {
                out.insert("CookieConfig".to_owned(), Value::Object(cookie));
            }
        }
    }
    if policy.terminal {
        out.insert("Terminal".to_owned(), json!(true));
    }
    Value::Object(out)
}

fn field(out: &mut Map<String, Value>, field: &str, value: &str) {
    text(out, "Field", Some(field));
    text(out, "FieldValue", Some(value));
}

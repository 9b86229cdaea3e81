//! Labels of Envoy's statistics: who it is, and what the names of Envoy clusters and listeners say, so that dashboards
//! need not take names apart (xDS facts, section 7.9; the names, sections 1.3 and 1.4).

use serde_json::{Value, json};

/// What comes before the service in the name of an Envoy cluster: markers, each ending in `~`.
const MARKERS: &str = r"(?:[^.]+~)?";
/// How a call is routed, in the name of an Envoy cluster.
const ROUTING: &str = r"(?:internal|internal-v1|external)\.";
/// The end of the name of an Envoy cluster.
const DOMAIN: &str = r"[^.]+\.consul\.";

/// Who the proxy is.
pub(super) struct Source<'a> {
    pub(super) service: &'a str,
    pub(super) namespace: &'a str,
    pub(super) partition: &'a str,
    pub(super) datacenter: &'a str,
    /// Further labels of its own, which may take the place of those here.
    pub(super) tags: &'a [(String, String)],
}

/// The `stats_config` of a bootstrap.
pub(super) fn config(source: &Source<'_>) -> Value {
    let fixed = [
        ("local_cluster", source.service),
        ("consul.source.service", source.service),
        ("consul.source.namespace", source.namespace),
        ("consul.source.partition", source.partition),
        ("consul.source.datacenter", source.datacenter),
    ];
    let mut tags: Vec<Value> = extracted()
        .into_iter()
        .map(|(name, regex)| json!({ "tag_name": name, "regex": regex }))
        .collect();
    let own = source
        .tags
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let ours = fixed
        .into_iter()
        .filter(|(name, _)| source.tags.iter().all(|(own, _)| own != name));
    tags.extend(
        ours.chain(own)
            .map(|(name, value)| json!({ "tag_name": name, "fixed_value": value })),
    );
    json!({ "stats_tags": tags, "use_all_default_tags": true })
}

/// Label and regular expression (ECMAScript): the first group is taken out of the name, the second is the value.
///
/// Each begins with one plain word and a dot: Envoy then asks it of names that begin with that word only. One that does
/// not match is what costs most, since it is tried at every place of the name.
fn extracted() -> Vec<(&'static str, String)> {
    let mut labels = of_clusters();
    for kind in ["tcp", "http"] {
        labels.extend(of_upstreams(kind));
    }
    labels
}

fn of_clusters() -> Vec<(&'static str, String)> {
    let cluster = |rest: &str| format!(r"^cluster\.{MARKERS}{rest}");
    vec![
        (
            "consul.destination.service",
            cluster(&format!(r"(([^.~]+)\.)(?:[^.]+\.){{2,3}}{ROUTING}{DOMAIN}")),
        ),
        (
            "consul.destination.namespace",
            cluster(&format!(
                r"[^.~]+\.(([^.]+)\.)(?:[^.]+\.){{1,2}}{ROUTING}{DOMAIN}"
            )),
        ),
        (
            "consul.destination.partition",
            cluster(&format!(
                r"(?:[^.]+\.){{2}}(([^.]+)\.)[^.]+\.(?:internal-v1|external)\.{DOMAIN}"
            )),
        ),
        (
            "consul.destination.datacenter",
            cluster(&format!(
                r"(?:[^.]+\.){{2,3}}(([^.]+)\.)(?:internal|internal-v1)\.{DOMAIN}"
            )),
        ),
        (
            "consul.destination.peer",
            cluster(&format!(r"(?:[^.]+\.){{2,3}}(([^.]+)\.)external\.{DOMAIN}")),
        ),
        (
            "consul.destination.routing_type",
            cluster(&format!(
                r"(?:[^.]+\.){{3,4}}((internal|internal-v1|external)\.){DOMAIN}"
            )),
        ),
        (
            "consul.destination.trust_domain",
            cluster(&format!(r"(?:[^.]+\.){{3,4}}{ROUTING}(([^.]+)\.consul\.)")),
        ),
    ]
}

/// Of what a listener for an upstream counts; `kind` says whether connections or requests.
fn of_upstreams(kind: &str) -> Vec<(&'static str, String)> {
    let upstream = |rest: &str| format!(r"^{kind}\.{rest}");
    vec![
        (
            "consul.upstream.service",
            upstream(r"upstream(?:_peered)?\.(([^.]+)\.)"),
        ),
        (
            "consul.upstream.namespace",
            upstream(r"upstream(?:_peered)?\.[^.]+\.(([^.]+)\.)"),
        ),
        (
            "consul.upstream.partition",
            upstream(r"upstream\.(?:[^.]+\.){2}(([^.]+)\.)"),
        ),
        (
            "consul.upstream.datacenter",
            upstream(r"upstream\.(?:[^.]+\.){3}(([^.]+)\.)"),
        ),
        (
            "consul.upstream.peer",
            upstream(r"upstream_peered\.(?:[^.]+\.){2}(([^.]+)\.)"),
        ),
    ]
}

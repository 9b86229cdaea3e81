//! Views as text, one line for each thing that matters.

use crate::{Caller, CallerPattern, Discovery, Fragment, View};
use peerway_model::ServiceAddress;

pub(super) fn view(view: &View) -> String {
    let mut lines = vec![format!("identity {}", view.identity)];
    for fragment in &view.fragments {
        lines.extend(self::fragment(fragment));
    }
    lines.join("\n")
}

fn fragment(fragment: &Fragment) -> Vec<String> {
    match fragment {
        Fragment::Validation(validation) => {
            let domains: Vec<String> = validation
                .domains
                .iter()
                .map(|(domain, pems)| format!("{domain}={:?}", pems.concat()))
                .collect();
            vec![format!("validation {} {}", validation.name, domains.join(" "))]
        }
        Fragment::Cluster(cluster) => {
            let discovery = match &cluster.discovery {
                Discovery::Static(at) => format!("static {}", address(at)),
                Discovery::Eds => "eds".to_owned(),
                Discovery::Dns(at) => format!("dns {}", address(at)),
            };
            let mut lines = vec![format!(
                "cluster {} {discovery} {}ms{}{}",
                cluster.name,
                cluster.connect_timeout_ms,
                cluster
                    .max_ejection_percent
                    .map_or(String::new(), |percent| format!(" eject {percent}%")),
                if cluster.keepalive { " keepalive" } else { "" },
            )];
            if let Some(tls) = &cluster.tls {
                lines.push(format!("  tls {} by {}", tls.sni, tls.validation));
                lines.extend(tls.identities.iter().map(|id| format!("  to {id}")));
            }
            lines
        }
        Fragment::Endpoints(endpoints) => {
            let mut lines = vec![format!("endpoints {}", endpoints.cluster)];
            lines.extend(endpoints.members.iter().map(|member| {
                let health = if member.healthy { "up" } else { "down" };
                format!("  {} {health} {}", address(&member.address), member.weight)
            }));
            lines
        }
        Fragment::Listener(listener) => {
            let mut lines = vec![format!("listener {} {:?}", listener.name, listener.direction)];
            for chain in &listener.chains {
                let names = match chain.server_names.as_slice() {
                    [] => "any".to_owned(),
                    names => names.join(","),
                };
                let tls = chain
                    .tls
                    .as_ref()
                    .map_or(String::new(), |tls| format!(" by {}", tls.validation));
                lines.push(format!(
                    "  {names} -> {} as {}{tls}",
                    chain.cluster, chain.stat_prefix
                ));
                if let Some(authorization) = &chain.authorization {
                    lines.push(format!("    {:?} only", authorization.action));
                    lines.extend(
                        authorization
                            .callers
                            .iter()
                            .map(|held| format!("    {}", caller(held))),
                    );
                }
            }
            lines
        }
    }
}

fn caller(caller: &Caller) -> String {
    caller
        .except
        .iter()
        .fold(pattern(&caller.include), |text, except| {
            format!("{text} but {}", pattern(except))
        })
}

fn pattern(pattern: &CallerPattern) -> String {
    format!(
        "{}/{}/{}/{}",
        pattern.trust_domain, pattern.partition, pattern.namespace, pattern.service
    )
}

fn address(address: &ServiceAddress) -> String {
    format!("{}:{}", address.address, address.port)
}

/// Compares without the indentation of the source.
#[track_caller]
pub(super) fn assert_view(view: Option<&std::sync::Arc<View>>, expected: &str) {
    let lines: Vec<&str> = expected.lines().filter(|line| !line.trim().is_empty()).collect();
    let indent = lines
        .iter()
        .map(|line| line.len() - line.trim_start().len())
        .min()
        .unwrap_or(0);
    let expected: Vec<&str> = lines.iter().map(|line| line[indent..].trim_end()).collect();
    let found = view.map_or("nothing".to_owned(), |view| self::view(view));
    assert_eq!(found, expected.join("\n"), "found:\n{found}\n");
}

//! Views as text, one line for each thing that matters.

use crate::{
    Caller, CallerPattern, Chain, Discovery, Endpoint, Fragment, Health, HttpRoute, Intake, KnownBy,
    LEAF_SECRET, Lets, Policy, RequestCaller, Requests, RouteTable, Routes, Terms, Traffic, View,
    VirtualHost, WHOLE,
};
use peerway_model::ServiceAddress;
use peerway_model::config::{Protocol, TlsBounds, TrustedCa};

pub(super) fn view(view: &View) -> String {
    let mut lines = vec![format!("identity {}", view.identity)];
    lines.extend(view.dns_names.iter().map(|name| format!("  known as {name}")));
    lines.extend(view.leaves.iter().map(|(name, of)| format!("leaf {name} {of}")));
    for fragment in &view.fragments {
        lines.extend(self::fragment(fragment));
    }
    lines.join("\n")
}

fn fragment(fragment: &Fragment) -> Vec<String> {
    match fragment {
        Fragment::Certificate(certificate) => {
            vec![format!(
                "certificate {} {:?}",
                certificate.name, certificate.chain
            )]
        }
        Fragment::Validation(validation) => {
            let domains: Vec<String> = validation
                .domains
                .iter()
                .map(|(domain, pems)| format!("{domain}={:?}", pems.concat()))
                .collect();
            let mut lines = vec![format!("validation {} {}", validation.name, domains.join(" "))];
            if let Some(authorization) = &validation.admitted {
                let callers = authorization.callers.iter();
                lines.extend(callers.map(|held| format!("  takes {}", caller(held))));
            }
            lines
        }
        Fragment::Cluster(cluster) => {
            let discovery = match &cluster.discovery {
                Discovery::Static(at) => format!("static {}", address(at)),
                Discovery::Eds => "eds".to_owned(),
                Discovery::OriginalDestination => "original".to_owned(),
                Discovery::DnsOnDemand(at) => format!("dns on demand {}", address(at)),
                Discovery::Members(names) => format!("of {}", names.join(" ")),
                Discovery::Dns(members) => {
                    let members: Vec<String> = members.iter().map(member).collect();
                    format!("dns {}", members.join(" "))
                }
            };
            let mut lines = vec![format!(
                "cluster {}{} {discovery} {}ms{}{}",
                cluster.name,
                match cluster.protocol {
                    Protocol::Tcp => String::new(),
                    protocol => format!(" {}", protocol.as_str()),
                },
                cluster.connect_timeout_ms,
                cluster
                    .max_ejection_percent
                    .map_or(String::new(), |percent| format!(" eject {percent}%")),
                if cluster.keepalive { " keepalive" } else { "" },
            )];
            if cluster.terms != Terms::default() {
                lines.push(format!("  on {:?}", cluster.terms));
            }
            if let Some(balance) = &cluster.balance {
                lines.push(format!("  balance {balance:?}"));
            }
            if let Some(tls) = &cluster.tls {
                let tls_as = spoken(&tls.bounds);
                lines.push(format!("  tls {} by {}{tls_as}", tls.sni, tls.validation));
                lines.extend(tls.identities.iter().map(|id| format!("  to {id}")));
            }
            if let Some(tls) = &cluster.outside_tls {
                let tls_as = spoken(&tls.bounds);
                let roots = match &tls.roots {
                    TrustedCa::File(path) => path,
                    TrustedCa::Inline(pem) | TrustedCa::InlineBytes(pem) => pem,
                };
                lines.push(format!("  outside tls {:?} by {roots}{tls_as}", tls.sni));
                if let Some((certificate, key)) = &tls.certificate {
                    lines.push(format!("  shows {certificate} {key}"));
                }
                lines.extend(tls.names.iter().map(|name| format!("  to {name:?}")));
            }
            lines
        }
        Fragment::Endpoints(endpoints) => {
            let mut lines = vec![format!("endpoints {}", endpoints.cluster)];
            lines.extend(endpoints.members.iter().map(|one| format!("  {}", member(one))));
            lines
        }
        Fragment::Listener(listener) => {
            let mut lines = vec![format!("listener {} {:?}", listener.name, listener.direction)];
            if listener.intake != Intake::default() {
                lines.push(format!("  takes {:?}", listener.intake));
            }
            if let Some(log) = &listener.telemetry.access_log {
                lines.push(format!("  logs {log:?}"));
            }
            if let Some(tracing) = &listener.telemetry.tracing {
                lines.push(format!("  reports {tracing:?}"));
            }
            lines.extend(listener.chains.iter().flat_map(chain));
            lines
        }
        Fragment::Policy(policy) => lets(policy),
        Fragment::Routes(table) => match table.hosts.as_slice() {
            [host] if host.routes.len() == 1 => vec![format!("routes {}", routes(table))],
            [host] => {
                let mut lines = vec![format!("routes {} {}", table.name, self::host(host))];
                lines.extend(host.routes.iter().map(|one| format!("  {}", route(one))));
                lines
            }
            hosts => {
                let mut lines = vec![format!("routes {}", table.name)];
                for host in hosts {
                    lines.push(format!("  {}", self::host(host)));
                    lines.extend(host.routes.iter().map(|one| format!("    {}", route(one))));
                }
                lines
            }
        },
    }
}

fn lets(policy: &Policy) -> Vec<String> {
    let mut lines = vec![format!("policy {}", policy.name)];
    match &policy.lets {
        Lets::Connections(authorization) => {
            lines.push("    Allow only".to_owned());
            let callers = authorization.callers.iter();
            lines.extend(callers.map(|held| format!("    {}", caller(held))));
        }
        Lets::Tokens(providers) => lines.extend(providers.iter().map(|own| format!("    verifies {own:?}"))),
        Lets::SingleLines(names) => lines.push(format!("    one line of {names:?}")),
        Lets::Requests(authorization) => {
            let gateways = &authorization.gateways;
            lines.push(format!(
                "    requests, believing {}/{}",
                gateways.trust_domain, gateways.partition
            ));
            for grant in &authorization.grants {
                if let Requests::Fitting(fitting) = &grant.requests {
                    lines.extend(fitting.iter().map(|fitting| format!("    {fitting:?}")));
                }
                lines.extend(grant.callers.iter().map(request_caller));
            }
        }
    }
    lines
}

fn spoken(bounds: &TlsBounds) -> String {
    match *bounds == TlsBounds::default() {
        true => String::new(),
        false => format!(" in {bounds:?}"),
    }
}

fn member(member: &Endpoint) -> String {
    let health = match member.health {
        Health::Up => "up",
        Health::Doubtful => "doubtful",
        Health::Down => "down",
    };
    let mut text = format!("{} {health} {}", address(&member.address), member.weight);
    if member.rank != 0 || member.locality.is_some() {
        text += &format!(" #{}", member.rank);
    }
    if let Some(at) = &member.locality {
        text += &format!(" {at}");
    }
    text
}

fn chain(chain: &Chain) -> Vec<String> {
    let names = match (chain.server_names.as_slice(), chain.destinations.as_slice()) {
        ([], []) => "any".to_owned(),
        (names, []) => names.join(","),
        (_, dialled) => format!("{dialled:?}"),
    };
    let tls = chain.tls.as_ref().map_or(String::new(), |tls| {
        let shown = match tls.leaf.as_str() {
            LEAF_SECRET => String::new(),
            leaf => format!(" with {leaf}"),
        };
        format!(" by {}{shown}{}", tls.validation, spoken(&tls.bounds))
    });
    let tls = chain.serving.as_ref().map_or(tls, |serving| {
        let shown = match serving.certificates.as_slice() {
            [leaf] if leaf == LEAF_SECRET => String::new(),
            names => format!(" with {}", names.join(",")),
        };
        format!(" serving in TLS{shown}{}", spoken(&serving.bounds))
    });
    match &chain.traffic {
        Traffic::Tcp(tcp) => {
            let mut lines = vec![format!(
                "  {names} -> {} as {}{tls}",
                tcp.cluster, chain.stat_prefix
            )];
            if let Some(policy) = &tcp.policy {
                lines.push(format!("    as {policy} says"));
            }
            lines
        }
        Traffic::Http(http) => {
            let to = match &http.routes {
                Routes::Inline(table) => routes(table),
                Routes::Named(name) => format!("named {name}"),
            };
            let mut lines = vec![format!(
                "  {names} -> {} {:?} {to} as {}{tls}",
                http.protocol.as_str(),
                http.caller_header,
                chain.stat_prefix
            )];
            if let Some(policy) = &http.policy {
                lines.push(format!("    as {} and {} say", policy.lines, policy.requests));
                lines.extend(policy.tokens.iter().map(|name| format!("    and {name}")));
            }
            lines
        }
    }
}

fn request_caller(held: &RequestCaller) -> String {
    let how = match held.known_by {
        KnownBy::Certificate => "itself",
        KnownBy::Gateway => "gateway",
    };
    format!("    {} by {how}", caller(&held.caller))
}

fn routes(table: &RouteTable) -> String {
    let hosts: Vec<String> = table
        .hosts
        .iter()
        .map(|host| {
            let routes: Vec<String> = host.routes.iter().map(route).collect();
            format!("{} {}", self::host(host), routes.join(", "))
        })
        .collect();
    format!("{} {}", table.name, hosts.join("; "))
}

fn host(host: &VirtualHost) -> String {
    let mut text = host.name.clone();
    if host.domains != ["*"] {
        text += &format!(" for {}", host.domains.join(","));
    }
    for edits in [&host.request_headers, &host.response_headers] {
        if !edits.is_empty() {
            text += &format!(" with {edits:?}");
        }
    }
    text
}

/// What differs from a route of which nothing is said.
fn route(route: &HttpRoute) -> String {
    let legs: Vec<String> = route
        .legs
        .iter()
        .map(|leg| match leg.weight {
            WHOLE => leg.cluster.clone(),
            weight => format!("{weight} {}", leg.cluster),
        })
        .collect();
    let mut text = format!("-> {}", legs.join(" + "));
    if let Some(ms) = route.timeout_ms {
        text += &format!(" {ms}ms");
    }
    let plain = HttpRoute {
        timeout_ms: route.timeout_ms,
        ..HttpRoute::to(route.legs.clone())
    };
    if *route != plain {
        if route.request.path != plain.request.path {
            text = format!("{:?} {text}", route.request.path);
        }
        if let Some(rewrite) = &route.prefix_rewrite {
            text += &format!(" as {rewrite}");
        }
        if route.rewrites_host {
            text.push_str(" for its host");
        }
        if route.elsewhere {
            text.push_str(" elsewhere");
        }
        if let Some(retry) = &route.retry {
            text += &format!(
                " retry {:?} {:?} {:?}",
                retry.times, retry.reasons, retry.status_codes
            );
        }
        for policy in &route.hash {
            text += &format!(" hash {:?}", policy.by);
        }
    }
    text
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

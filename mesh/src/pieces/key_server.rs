//! Servers that have the keys of tokens.

use crate::fragment::{Cluster, Discovery, Endpoint, KEY_SERVER_PREFIX, OutsideName, OutsideTls, Terms};
use crate::read::Reading;
use peerway_model::ProviderName;
use peerway_model::chain::DEFAULT_CONNECT_TIMEOUT_MS;
use peerway_model::config::{KeyDiscovery, KeySource, Protocol, RemoteKeys, TlsBounds, TrustedCa};
use peerway_model::name::Partition;
use std::net::IpAddr;

/// Whom the machine of a proxy trusts: where Debian and Alpine keep it, and the images of Envoy that build on them. Envoy
/// has no way to ask the system for its roots, and refuses a cluster whose file is not there: then keys cannot be
/// fetched, so no token is verified. Without any roots it would take every server.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The server that has the keys of a provider; `None` where the keys are at hand.
pub(super) fn cluster(
    reading: &mut Reading<'_>,
    partition: &Partition,
    provider: &ProviderName,
) -> Option<Cluster> {
    let KeySource::Remote(keys) = &reading.provider(partition, provider)?.keys else {
        return None;
    };
    let address = keys.uri.address();
    let discovery = match (crate::address::ip(address), keys.discovery) {
        (Some(address), _) => Discovery::Static(address),
        (None, KeyDiscovery::LogicalDns) => Discovery::DnsOnDemand(address.clone()),
        (None, KeyDiscovery::StrictDns | KeyDiscovery::Static) => {
            Discovery::Dns(vec![Endpoint::up(address.clone())])
        }
    };
    Some(Cluster {
        name: format!("{KEY_SERVER_PREFIX}{provider}"),
        connect_timeout_ms: keys.connect_timeout_ms.unwrap_or(DEFAULT_CONNECT_TIMEOUT_MS),
        protocol: Protocol::Http,
        discovery,
        balance: None,
        terms: Terms::default(),
        tls: None,
        outside_tls: keys.uri.is_https().then(|| Box::new(with_tls(keys))),
        max_ejection_percent: None,
        keepalive: false,
    })
}

/// The server has the name that it is asked for by.
fn with_tls(keys: &RemoteKeys) -> OutsideTls {
    let host = keys.uri.host();
    let address = host.parse::<IpAddr>().ok();
    let trusted = keys.trusted.clone();
    OutsideTls {
        roots: trusted.unwrap_or_else(|| TrustedCa::File(SYSTEM_ROOTS.to_owned())),
        certificate: None,
        // An address is nothing to ask for by name (RFC 6066, section 3).
        sni: address.is_none().then(|| host.to_owned()),
        names: vec![address.map_or_else(|| OutsideName::Host(host.to_owned()), OutsideName::Ip)],
        // It is not of the mesh, whose entry says how its proxies speak with each other.
        bounds: TlsBounds::default(),
    }
}

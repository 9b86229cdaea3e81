//! Addresses that Envoy can use.

use peerway_model::ServiceAddress;
use std::net::IpAddr;

/// Longest host name (RFC 1035 section 2.3.4), in bytes.
const MAX_HOST_BYTES: usize = 253;

/// The address in its one canonical spelling, if it is an IP address with a port.
pub(crate) fn ip(address: &ServiceAddress) -> Option<ServiceAddress> {
    let canonical = ip_text(&address.address)?;
    (address.port != 0).then_some(ServiceAddress {
        address: canonical,
        port: address.port,
    })
}

/// The canonical spelling of an IP address.
pub(crate) fn ip_text(text: &str) -> Option<String> {
    text.parse::<IpAddr>().ok().map(|ip| ip.to_string())
}

/// The address, if it is a host name that a resolver may be asked about, with a port.
pub(crate) fn host(address: &ServiceAddress) -> Option<ServiceAddress> {
    let text = &address.address;
    let named = text.len() <= MAX_HOST_BYTES && ip_text(text).is_none() && is_dotted(text);
    (named && address.port != 0).then(|| address.clone())
}

/// The address that `host:port` or `[v6]:port` spells; `None` for other text.
pub(crate) fn joined(text: &str) -> Option<ServiceAddress> {
    let (host, port) = text.rsplit_once(':')?;
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = match bracketed {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().ok()?.to_string(),
        None if host.contains(':') => return None,
        None => host.to_owned(),
    };
    // `parse` alone would take "+80".
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    Some(ServiceAddress {
        address,
        port: port.parse().ok().filter(|port| digits && *port != 0)?,
    })
}

/// Whether `text` is made of labels of letters, digits, `-` and `_`: no wildcard, no empty label.
pub(crate) fn is_dotted(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    text.split('.')
        .all(|label| !label.is_empty() && label.bytes().all(inner))
}

//! Where keys are fetched.

use crate::Invalid;
use crate::instance::ServiceAddress;
use std::net::Ipv6Addr;

/// Longest URI, in bytes.
pub const MAX_URI_BYTES: usize = 2048;
/// Longest host name (RFC 1035 section 2.3.4), in bytes.
const MAX_HOST_BYTES: usize = 253;

/// An absolute URI of `http` or `https` with a host, without user and fragment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyUri {
    text: String,
    https: bool,
    address: ServiceAddress,
}

impl KeyUri {
    /// Reads a URI.
    pub fn new(text: &str) -> Result<Self, Invalid> {
        let refuse = |problem: &str| {
            Err(Invalid::new(
                "",
                format!("is {text:?}, {problem}: write it like https://idp.example.com/keys"),
            ))
        };
        if text.len() > MAX_URI_BYTES {
            return Err(Invalid::new("", format!("is longer than {MAX_URI_BYTES} bytes")));
        }
        if let Some(odd) = text
            .chars()
            .find(|c| !c.is_ascii_graphic() || matches!(c, '#' | '\\' | '"' | '<' | '>'))
        {
            return refuse(&format!("in which {odd:?} has no place"));
        }
        let (https, rest) = if let Some(rest) = text.strip_prefix("https://") {
            (true, rest)
        } else if let Some(rest) = text.strip_prefix("http://") {
            (false, rest)
        } else {
            return refuse("which begins with neither https:// nor http://");
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let authority = &rest[..end];
        if rest[end..].starts_with('?') {
            return refuse("which has no path before its query");
        }
        if authority.contains('@') {
            return refuse("which has a user or password, that proxies would not send");
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(inner) => match inner.split_once(']') {
                Some((host, port)) if host.parse::<Ipv6Addr>().is_ok() => (host, port),
                _ => return refuse("whose host is no IPv6 address"),
            },
            None => {
                let at = authority.find(':').unwrap_or(authority.len());
                (&authority[..at], &authority[at..])
            }
        };
        let label = |label: &str| {
            let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
            !label.is_empty() && label.bytes().all(inner)
        };
        let named = host.len() <= MAX_HOST_BYTES && host.split('.').all(label);
        if !named && host.parse::<Ipv6Addr>().is_err() {
            return refuse("whose host is neither a name nor an IP address");
        }
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => Some(if https { 443 } else { 80 }),
            None => None,
            Some(digits) => digits.parse().ok().filter(|port| *port != 0),
        };
        let Some(port) = port else {
            return refuse("whose port is none");
        };
        Ok(KeyUri {
            text: text.to_owned(),
            https,
            address: ServiceAddress {
                address: host.to_owned(),
                port,
            },
        })
    }

    /// The URI as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether TLS is spoken.
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// The host name or IP address, without brackets.
    pub fn host(&self) -> &str {
        &self.address.address
    }

    /// Host and port.
    pub fn address(&self) -> &ServiceAddress {
        &self.address
    }
}

//! The host that a request names.

use crate::Invalid;
use std::net::IpAddr;

/// Longest host (RFC 1035, section 2.3.4), in bytes.
const MAX_HOST_BYTES: usize = 253;
/// Longest label of one, in bytes.
const MAX_LABEL_BYTES: usize = 63;

/// What is asked of the host of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Host<'a> {
    /// Nothing.
    Any,
    /// That it ends with a dot and this, whatever is before.
    Below(&'a str),
    /// That it is this.
    Exact(&'a str),
}

impl<'a> Host<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, Invalid> {
        if text == "*" {
            return Ok(Host::Any);
        }
        let (rest, wild) = match text.strip_prefix("*.") {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        if rest.contains('*') {
            return Err(Invalid::new(
                "",
                format!("{text:?} has a \"*\" that is not its first label, write *.example.com"),
            ));
        }
        if rest.contains(':') {
            return Err(Invalid::new(
                "",
                format!(
                    "{text:?} has a port, leave it out: hosts are taken with and without that of the listener"
                ),
            ));
        }
        let label = |label: &str| {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
            (1..=MAX_LABEL_BYTES).contains(&label.len())
                && label.bytes().all(plain)
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if rest.len() > MAX_HOST_BYTES || !rest.split('.').all(label) {
            return Err(Invalid::new(
                "",
                format!(
                    "{text:?} is not a host name: labels of 1 to {MAX_LABEL_BYTES} letters, digits and '-', at most {MAX_HOST_BYTES} bytes"
                ),
            ));
        }
        Ok(match wild {
            true => Host::Below(rest),
            false => Host::Exact(rest),
        })
    }

    /// Refuses what no certificate can be made for.
    pub(super) fn certifiable(self) -> Result<(), Invalid> {
        let problem = match self {
            Host::Any => {
                "is \"*\", for which no certificate can be made: name the hosts, or use TLS without it"
            }
            Host::Exact(host) if host.parse::<IpAddr>().is_ok() => {
                "is an address, for which no certificate is made: use a host name where TLS is spoken"
            }
            Host::Below(_) | Host::Exact(_) => return Ok(()),
        };
        Err(Invalid::new("", problem))
    }
}

/// Hosts in lower case, each also with the port, which clients add where it is not the usual one. Distinct.
pub fn port_forms(hosts: &[String], port: u16) -> Vec<String> {
    let mut domains: Vec<String> = Vec::new();
    for host in hosts {
        let host = host.to_ascii_lowercase();
        let with_port = (host != "*").then(|| format!("{host}:{port}"));
        for domain in std::iter::once(host).chain(with_port) {
            if !domains.contains(&domain) {
                domains.push(domain);
            }
        }
    }
    domains
}

/// The hosts that both mean, as one that means them; `None` when there is none.
pub(super) fn meet(a: &str, b: &str) -> Option<String> {
    let (a, b) = (a.to_ascii_lowercase(), b.to_ascii_lowercase());
    let within = |inner: &str, outer: &str| {
        let below = outer.strip_prefix('*');
        inner == outer || below.is_some_and(|below| inner.ends_with(below))
    };
    if within(&a, &b) {
        Some(a)
    } else if within(&b, &a) {
        Some(b)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_with_at_most_a_wildcard_in_front() {
        assert_eq!(Host::parse("*").unwrap(), Host::Any);
        assert_eq!(Host::parse("*.Example.com").unwrap(), Host::Below("Example.com"));
        assert_eq!(Host::parse("a-1.b").unwrap(), Host::Exact("a-1.b"));
        let long = format!("{}.com", "a".repeat(MAX_LABEL_BYTES + 1));
        for bad in [
            "", ".", "a..b", "a.*", "a*.b", "*a", "**", "*.*.a", "*.", "a:80", "a b", "-a", "a-", "é", &long,
        ] {
            assert!(Host::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn hosts_meet_in_the_narrower_one() {
        let met = |a, b| meet(a, b).unwrap_or_default();
        for (a, b, narrower) in [
            ("*", "A.com", "a.com"),
            ("a.com", "a.com", "a.com"),
            ("*.a.com", "x.a.com", "x.a.com"),
            ("*.a.com", "*.b.a.com", "*.b.a.com"),
            ("*.a.com", "a.com", ""),
            ("*.a.com", "*.b.com", ""),
            ("a.com", "b.com", ""),
        ] {
            assert_eq!((met(a, b), met(b, a)), (narrower.to_owned(), narrower.to_owned()));
        }
    }

    #[test]
    fn certificates_are_made_for_names() {
        let certifiable = |text| Host::parse(text).unwrap().certifiable().is_ok();
        assert!(certifiable("example.com") && certifiable("*.example.com"));
        assert!(!certifiable("*") && !certifiable("10.0.0.1"));
    }

    #[test]
    fn hosts_come_with_and_without_the_port() {
        let hosts = ["A.com", "*.b.com", "a.com", "*"].map(str::to_owned);
        let expected = ["a.com", "a.com:80", "*.b.com", "*.b.com:80", "*"];
        assert_eq!(port_forms(&hosts, 80), expected);
    }
}

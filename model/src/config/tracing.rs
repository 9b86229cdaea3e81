//! Where proxies report what became of single requests.

use crate::Invalid;
use crate::instance::ServiceAddress;
use std::net::IpAddr;

/// Longest host name (RFC 1035 section 2.3.4), in bytes.
const MAX_HOST_BYTES: usize = 253;
/// All traces, in hundredths of a percent.
pub const ALL_TRACES: u32 = 10_000;

/// Traces of all proxies of a partition, in OpenTelemetry's protocol over gRPC. Not in Consul.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tracing {
    /// IP address or host name, and port, of who collects them.
    pub collector: ServiceAddress,
    /// The share of the traces that begin at a proxy that is reported, in hundredths of a percent; at most
    /// [`ALL_TRACES`]. Of a trace that began before, whoever began it decided.
    pub sampling: u32,
}

impl Tracing {
    pub(super) fn validate(&self) -> Result<(), Invalid> {
        let ServiceAddress { address, port } = &self.collector;
        let label = |label: &str| {
            let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
            !label.is_empty() && label.bytes().all(inner)
        };
        let named = address.len() <= MAX_HOST_BYTES && address.split('.').all(label);
        if !named && address.parse::<IpAddr>().is_err() {
            return Err(Invalid::new(
                "Collector",
                format!("has {address:?}, which is neither an IP address nor a host name"),
            ));
        }
        if *port == 0 {
            return Err(Invalid::new(
                "Collector",
                "has port 0, give the one that is listened on",
            ));
        }
        if self.sampling > ALL_TRACES {
            return Err(Invalid::new("SamplingPercent", "is above 100"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_has_an_address_and_a_port() {
        let refused = |address: &str, port| {
            let tracing = Tracing {
                collector: ServiceAddress {
                    address: address.to_owned(),
                    port,
                },
                sampling: ALL_TRACES,
            };
            tracing.validate().err().map(|error| error.to_string())
        };
        for good in ["127.0.0.1", "fd00::1", "collector.example.com", "collector"] {
            assert_eq!(refused(good, 4317), None, "{good}");
        }
        for bad in ["", "a b", "a..b", "*.example.com", "http://a", &"a".repeat(254)] {
            assert!(
                refused(bad, 4317).is_some_and(|error| error.starts_with("Collector")),
                "{bad}"
            );
        }
        assert!(refused("a", 0).is_some());
    }
}

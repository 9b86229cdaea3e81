//! SPIFFE IDs of workloads, gateways and servers (SPIFFE-ID specification; xDS facts, section 1.2).

use crate::Invalid;
use crate::name::{Datacenter, Namespace, Partition, ServiceName};
use std::fmt;
use std::sync::Arc;

/// Longest trust domain (SPIFFE-ID specification, section 2.1), in bytes.
pub const MAX_TRUST_DOMAIN_BYTES: usize = 255;
/// Longest SPIFFE ID that a verifier must accept (SPIFFE-ID specification, section 2.3), in bytes.
pub const MAX_SPIFFE_ID_BYTES: usize = 2048;

/// The authority part of a SPIFFE ID: lower-case `<cluster uuid>.consul` for every cluster of ours.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrustDomain(Arc<str>);

impl TrustDomain {
    /// Validates and lower-cases: 1 to 255 of `a-z 0-9 . - _`.
    pub fn new(text: &str) -> Result<Self, Invalid> {
        let lower = text.to_ascii_lowercase();
        let valid = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_');
        if lower.is_empty() || lower.len() > MAX_TRUST_DOMAIN_BYTES || !lower.bytes().all(valid) {
            return Err(Invalid::new("", format!("{text:?} is not a valid trust domain")));
        }
        Ok(TrustDomain(lower.into()))
    }

    /// The trust domain of the cluster with this id: the suffix is fixed, whatever the DNS domain.
    pub fn of_cluster(id: &str) -> Result<Self, Invalid> {
        TrustDomain::new(&format!("{id}.consul"))
    }

    /// The trust domain as text, without a scheme.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An identity in the mesh. Displays as the URI; the default partition is left out of the path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SpiffeId {
    /// `spiffe://TD[/ap/AP]/ns/NS/dc/DC/svc/SERVICE`
    Service {
        /// Of the cluster that the service lives in.
        trust_domain: TrustDomain,
        /// Of the service.
        partition: Partition,
        /// Of the service.
        namespace: Namespace,
        /// Of the cluster; informative, policies do not look at it.
        datacenter: Datacenter,
        /// The name.
        service: ServiceName,
    },
    /// `spiffe://TD[/ap/AP]/gateway/mesh/dc/DC`
    MeshGateway {
        /// Of the cluster.
        trust_domain: TrustDomain,
        /// Of the gateway.
        partition: Partition,
        /// Of the cluster.
        datacenter: Datacenter,
    },
    /// `spiffe://TD/agent/server/dc/DC`
    Server {
        /// Of the cluster.
        trust_domain: TrustDomain,
        /// Of the cluster.
        datacenter: Datacenter,
    },
}

impl SpiffeId {
    /// Parses a URI. Refuses what it does not know, userinfo, ports, queries and empty segments.
    pub fn parse(uri: &str) -> Result<Self, Invalid> {
        let refuse = || {
            Invalid::new(
                "",
                format!("{uri:?} is not a SPIFFE ID of a service, mesh gateway or server"),
            )
        };
        if uri.len() > MAX_SPIFFE_ID_BYTES {
            return Err(Invalid::new(
                "",
                format!("a SPIFFE ID of {} bytes is too long", uri.len()),
            ));
        }
        let rest = uri.strip_prefix("spiffe://").ok_or_else(refuse)?;
        let (authority, path) = rest.split_once('/').ok_or_else(refuse)?;
        let trust_domain = TrustDomain::new(authority).map_err(|_| refuse())?;
        let segments: Vec<&str> = path.split('/').collect();
        let (partition, segments) = match segments.as_slice() {
            ["ap", partition, rest @ ..] => (Partition::new(partition).map_err(|_| refuse())?, rest),
            all => (Partition::default(), all),
        };
        match segments {
            ["ns", namespace, "dc", datacenter, "svc", service] => Ok(SpiffeId::Service {
                trust_domain,
                partition,
                namespace: Namespace::new(namespace).map_err(|_| refuse())?,
                datacenter: Datacenter::new(datacenter).map_err(|_| refuse())?,
                service: ServiceName::new(service).map_err(|_| refuse())?,
            }),
            ["gateway", "mesh", "dc", datacenter] => Ok(SpiffeId::MeshGateway {
                trust_domain,
                partition,
                datacenter: Datacenter::new(datacenter).map_err(|_| refuse())?,
            }),
            ["agent", "server", "dc", datacenter] if partition.is_default() => Ok(SpiffeId::Server {
                trust_domain,
                datacenter: Datacenter::new(datacenter).map_err(|_| refuse())?,
            }),
            _ => Err(refuse()),
        }
    }

    /// The trust domain of the identity.
    pub fn trust_domain(&self) -> &TrustDomain {
        match self {
            SpiffeId::Service { trust_domain, .. }
            | SpiffeId::MeshGateway { trust_domain, .. }
            | SpiffeId::Server { trust_domain, .. } => trust_domain,
        }
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spiffe://{}", self.trust_domain())?;
        match self {
            SpiffeId::Service {
                partition,
                namespace,
                datacenter,
                service,
                ..
            } => {
                write_partition(f, partition)?;
                write!(f, "/ns/{namespace}/dc/{datacenter}/svc/{service}")
            }
            SpiffeId::MeshGateway {
                partition,
                datacenter,
                ..
            } => {
                write_partition(f, partition)?;
                write!(f, "/gateway/mesh/dc/{datacenter}")
            }
            SpiffeId::Server { datacenter, .. } => write!(f, "/agent/server/dc/{datacenter}"),
        }
    }
}

fn write_partition(f: &mut fmt::Formatter<'_>, partition: &Partition) -> fmt::Result {
    if partition.is_default() {
        Ok(())
    } else {
        write!(f, "/ap/{partition}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_survives_display_and_parse() {
        for uri in [
            "spiffe://11111111-2222-3333-4444-555555555555.consul/ns/default/dc/dc1/svc/web",
            "spiffe://td.consul/ap/billing/ns/team/dc/dc1/svc/web",
            "spiffe://td.consul/gateway/mesh/dc/dc1",
            "spiffe://td.consul/ap/billing/gateway/mesh/dc/dc1",
            "spiffe://td.consul/agent/server/dc/dc1",
        ] {
            assert_eq!(SpiffeId::parse(uri).unwrap().to_string(), uri);
        }
    }

    #[test]
    fn the_default_partition_is_not_written() {
        let id = SpiffeId::parse("spiffe://td.consul/ap/default/ns/default/dc/dc1/svc/web").unwrap();
        assert_eq!(id.to_string(), "spiffe://td.consul/ns/default/dc/dc1/svc/web");
    }

    #[test]
    fn other_uris_are_refused() {
        for uri in [
            "",
            "https://td.consul/ns/default/dc/dc1/svc/web",
            "spiffe://td.consul",
            "spiffe://td.consul/",
            "spiffe://user@td.consul/ns/default/dc/dc1/svc/web",
            "spiffe://td.consul:1/ns/default/dc/dc1/svc/web",
            "spiffe://td.consul/ns/default/dc/dc1/svc/",
            "spiffe://td.consul/ns/default/dc/dc1/svc/web/extra",
            "spiffe://td.consul/ns/default/dc/dc1/svc/web?x=1",
            "spiffe://td.consul/ap/x/agent/server/dc/dc1",
        ] {
            assert!(SpiffeId::parse(uri).is_err(), "{uri}");
        }
    }
}

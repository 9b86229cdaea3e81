//! `terminating-gateway`: services outside the mesh that a gateway stands for.

use super::service_router::at_most;
use super::{Meta, Pattern};
use crate::Invalid;
use crate::name::{Namespace, Partition, ServiceName};
use crate::server::SERVER_SERVICE;
use std::collections::BTreeSet;

/// Most services of one gateway.
pub const MAX_LINKED_SERVICES: usize = 1_000;
/// Longest path of a file on the machine of a gateway, in bytes.
pub const MAX_FILE_PATH_BYTES: usize = 4_096;
/// Longest SNI of a service outside (RFC 1035 section 2.3.4), in bytes.
const MAX_OUTSIDE_SNI_BYTES: usize = 253;

/// Services outside the mesh that a gateway stands for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TerminatingGateway {
    /// The partition.
    pub partition: Partition,
    /// The namespace of the gateway.
    pub namespace: Namespace,
    /// The name that the gateway is registered under.
    pub name: ServiceName,
    /// May be empty.
    pub services: Vec<LinkedService>,
    /// The operator's pairs.
    pub meta: Meta,
}

/// A service outside the mesh, or all of a namespace that have no sidecar.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LinkedService {
    /// The service, or `*`.
    pub name: Pattern<ServiceName>,
    /// Its namespace.
    pub namespace: Namespace,
    /// How the gateway speaks to it.
    pub outward: Outward,
}

/// How a gateway speaks to a service outside the mesh. The files are on the machine of the gateway.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Outward {
    /// Who vouches for the service; without it no TLS is spoken.
    pub ca_file: Option<String>,
    /// What the gateway shows, and its key; both or none.
    pub cert_file: Option<String>,
    /// The key of the certificate.
    pub key_file: Option<String>,
    /// The name that the service's certificate has to be for; unless given, one of those that it is registered with.
    pub sni: Option<String>,
    /// Whether a service that is registered under host names is told the host that the caller named instead of its own.
    pub keeps_host: bool,
}

impl TerminatingGateway {
    /// The link to a service: what is said about it before what is said about all of its namespace. One that is there
    /// only by `*` holds for services without a sidecar.
    pub fn link(&self, namespace: &Namespace, service: &ServiceName) -> Option<&LinkedService> {
        let of_namespace = || self.services.iter().filter(|link| link.namespace == *namespace);
        let own = of_namespace().find(|link| link.name.exact() == Some(service));
        own.or_else(|| {
            let all = of_namespace().find(|link| link.name.is_any());
            all.filter(|_| service.as_str() != SERVER_SERVICE)
        })
    }

    pub(super) fn validate(&self) -> Result<(), Invalid> {
        at_most("Services", self.services.len(), MAX_LINKED_SERVICES)?;
        let mut seen = BTreeSet::new();
        for (index, link) in self.services.iter().enumerate() {
            let at = format!("Services[{index}]");
            if !seen.insert((&link.namespace, &link.name)) {
                return Err(Invalid::new(
                    at,
                    "is about a service that has one already, make them one",
                ));
            }
            link.validate().map_err(|error| error.within(&at))?;
        }
        Ok(())
    }
}

impl LinkedService {
    fn validate(&self) -> Result<(), Invalid> {
        if self
            .name
            .exact()
            .is_some_and(|name| name.as_str() == SERVER_SERVICE)
        {
            return Err(Invalid::new(
                "Name",
                format!("is {SERVER_SERVICE:?}, which is what servers call themselves: link another service"),
            ));
        }
        self.outward.validate()
    }
}

impl Outward {
    fn validate(&self) -> Result<(), Invalid> {
        for (field, given) in [
            ("CAFile", &self.ca_file),
            ("CertFile", &self.cert_file),
            ("KeyFile", &self.key_file),
        ] {
            let Some(path) = given else { continue };
            if !path.starts_with('/') || path.len() > MAX_FILE_PATH_BYTES || path.contains('\0') {
                return Err(Invalid::new(
                    field,
                    format!(
                        "must be the whole path of a file on the gateway's machine, at most {MAX_FILE_PATH_BYTES} bytes"
                    ),
                ));
            }
        }
        if self.cert_file.is_some() != self.key_file.is_some() {
            let missing = if self.cert_file.is_some() {
                "KeyFile"
            } else {
                "CertFile"
            };
            return Err(Invalid::new(
                missing,
                "is required, CertFile and KeyFile go together",
            ));
        }
        let needs_ca = [
            ("CertFile", self.cert_file.is_some()),
            ("SNI", self.sni.is_some()),
        ];
        if let Some((field, _)) = needs_ca.iter().find(|(_, given)| *given)
            && self.ca_file.is_none()
        {
            return Err(Invalid::new(
                "CAFile",
                format!(
                    "is required with {field}: without it nobody vouches for the service and no TLS is spoken"
                ),
            ));
        }
        match &self.sni {
            Some(sni) if !is_host_name(sni) => Err(Invalid::new(
                "SNI",
                format!(
                    "must be a host name of labels of letters, digits, '-' and '_', at most {MAX_OUTSIDE_SNI_BYTES} bytes"
                ),
            )),
            _ => Ok(()),
        }
    }
}

fn is_host_name(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let label = |label: &str| !label.is_empty() && label.bytes().all(inner);
    text.len() <= MAX_OUTSIDE_SNI_BYTES
        && text.split('.').all(label)
        && text.parse::<std::net::IpAddr>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(name: &str, outward: Outward) -> LinkedService {
        LinkedService {
            name: match name {
                "*" => Pattern::Any,
                name => Pattern::Exact(ServiceName::new(name).unwrap()),
            },
            namespace: Namespace::default(),
            outward,
        }
    }

    fn gateway(services: Vec<LinkedService>) -> TerminatingGateway {
        TerminatingGateway {
            partition: Partition::default(),
            namespace: Namespace::default(),
            name: ServiceName::new("out").unwrap(),
            services,
            meta: Meta::new(),
        }
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn what_is_said_about_one_service_counts_before_what_is_said_about_all() {
        let own = Outward {
            keeps_host: true,
            ..Outward::default()
        };
        let gateway = gateway(vec![link("*", Outward::default()), link("db", own)]);
        gateway.validate().unwrap();
        let of = |name: &str| gateway.link(&Namespace::default(), &ServiceName::new(name).unwrap());
        assert!(of("db").unwrap().outward.keeps_host);
        assert!(!of("mail").unwrap().outward.keeps_host);
        assert_eq!(of("consul"), None, "servers are not meant by `*`");
        let elsewhere = Namespace::new("team").unwrap();
        assert_eq!(gateway.link(&elsewhere, &ServiceName::new("db").unwrap()), None);
    }

    #[test]
    fn what_cannot_work_is_refused_by_field() {
        let none = Outward::default();
        let ca = || Outward {
            ca_file: some("/ca.pem"),
            ..Outward::default()
        };
        for (bad, field) in [
            (
                Outward {
                    ca_file: some("ca.pem"),
                    ..none.clone()
                },
                "CAFile",
            ),
            (
                Outward {
                    sni: some("db.example"),
                    ..none.clone()
                },
                "CAFile",
            ),
            (
                Outward {
                    cert_file: some("/c"),
                    key_file: some("/k"),
                    ..none.clone()
                },
                "CAFile",
            ),
            (
                Outward {
                    cert_file: some("/c"),
                    ..ca()
                },
                "KeyFile",
            ),
            (
                Outward {
                    key_file: some("/k"),
                    ..ca()
                },
                "CertFile",
            ),
            (
                Outward {
                    sni: some("a..b"),
                    ..ca()
                },
                "SNI",
            ),
            (
                Outward {
                    sni: some("10.0.0.1"),
                    ..ca()
                },
                "SNI",
            ),
            (
                Outward {
                    sni: some("*.example"),
                    ..ca()
                },
                "SNI",
            ),
        ] {
            let error = gateway(vec![link("db", bad)]).validate().unwrap_err().to_string();
            assert!(error.starts_with(&format!("Services[0].{field}")), "{error}");
        }
        let twice = gateway(vec![link("db", none.clone()), link("db", ca())]);
        assert!(
            twice
                .validate()
                .unwrap_err()
                .to_string()
                .starts_with("Services[1]")
        );
        let servers = gateway(vec![link("consul", none)]);
        assert!(
            servers
                .validate()
                .unwrap_err()
                .to_string()
                .starts_with("Services[0].Name")
        );
    }
}

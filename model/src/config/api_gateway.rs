//! `api-gateway`: the listeners of a gateway at the edge, to which routes and certificates attach themselves.

use super::host::Host;
use super::ingress_gateway::MAX_EDGE_LISTENERS;
use super::service_router::at_most;
use super::{Meta, Protocol, TlsBounds};
use crate::Invalid;
use crate::name::{Namespace, Partition, ServiceName};
use std::collections::BTreeSet;

/// Most certificates of one listener.
pub const MAX_LISTENER_CERTIFICATES: usize = 16;

/// The TLS of a listener.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ApiTls {
    /// The names of `inline-certificate` entries in the gateway's partition and namespace, of which each client gets the
    /// one for the name that it asks for; at least one.
    pub certificates: Vec<ServiceName>,
    /// Which TLS is spoken.
    pub bounds: TlsBounds,
}

/// A port of the gateway.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ApiListener {
    /// The name by which routes ask for it.
    pub name: String,
    /// Which hosts requests may name, perhaps with `*` in front; `None` for any.
    pub hostname: Option<String>,
    /// The port; never 0.
    pub port: u16,
    /// HTTP, whatever version clients speak, or TCP.
    pub protocol: Protocol,
    /// Which TLS is spoken, if any.
    pub tls: Option<ApiTls>,
}

/// A gateway.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ApiGateway {
    /// The partition.
    pub partition: Partition,
    /// The namespace.
    pub namespace: Namespace,
    /// The gateway: the service that its instances are registered as.
    pub name: ServiceName,
    /// Its ports.
    pub listeners: Vec<ApiListener>,
    /// The operator's pairs.
    pub meta: Meta,
}

impl ApiListener {
    fn validate(&self) -> Result<(), Invalid> {
        ServiceName::new(&self.name).map_err(|error| error.within("Name"))?;
        if self.port == 0 {
            return Err(Invalid::new("Port", "is required, from 1 to 65535"));
        }
        if let Some(hostname) = &self.hostname {
            if !self.protocol.is_http() {
                return Err(Invalid::new(
                    "Hostname",
                    "needs requests that name a host: set Protocol to http, or remove it",
                ));
            }
            Host::parse(hostname).map_err(|error| error.within("Hostname"))?;
        }
        let Some(tls) = &self.tls else {
            return Ok(());
        };
        if tls.certificates.is_empty() {
            return Err(Invalid::new(
                "TLS.Certificates",
                "needs at least one inline-certificate",
            ));
        }
        at_most(
            "TLS.Certificates",
            tls.certificates.len(),
            MAX_LISTENER_CERTIFICATES,
        )?;
        let mut seen = BTreeSet::new();
        for (index, name) in tls.certificates.iter().enumerate() {
            if !seen.insert(name) {
                let at = format!("TLS.Certificates[{index}]");
                return Err(Invalid::new(at, format!("{name} is given more than once")));
            }
        }
        tls.bounds.validate_of_any().map_err(|error| {
            // Its names are shorter here.
            let path = error.path.replace("TLSMin", "Min").replace("TLSMax", "Max");
            let problem = error.problem.replace("TLSMin", "Min").replace("TLSMax", "Max");
            Invalid::new(format!("TLS.{path}"), problem)
        })
    }
}

impl ApiGateway {
    pub(super) fn validate(&self) -> Result<(), Invalid> {
        at_most("Listeners", self.listeners.len(), MAX_EDGE_LISTENERS)?;
        let (mut ports, mut names) = (BTreeSet::new(), BTreeSet::new());
        for (index, listener) in self.listeners.iter().enumerate() {
            let at = format!("Listeners[{index}]");
            listener.validate().map_err(|error| error.within(&at))?;
            if !ports.insert(listener.port) {
                return Err(Invalid::new(
                    format!("{at}.Port"),
                    format!(
                        "{} is that of another listener: use one without a Hostname, which takes the Hostnames of its routes and all of its Certificates",
                        listener.port
                    ),
                ));
            }
            if !names.insert(&listener.name) {
                return Err(Invalid::new(
                    format!("{at}.Name"),
                    format!("{:?} is that of another listener", listener.name),
                ));
            }
        }
        Ok(())
    }
}

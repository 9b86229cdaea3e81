//! `ingress-gateway`: what a gateway at the edge of the mesh lets in from outside, port by port.

use super::header_edits::HeaderEdits;
use super::host::{Host, port_forms};
use super::service_router::at_most;
use super::{Limits, Meta, PassiveHealthCheck, Pattern, Protocol, TlsBounds};
use crate::key::{Origin, ServiceKey};
use crate::name::{Datacenter, Namespace, Partition, PeerName, ServiceName};
use crate::{Invalid, Tenancy};
use std::collections::{BTreeMap, BTreeSet};

/// Most listeners of a gateway at the edge.
pub const MAX_EDGE_LISTENERS: usize = 64;
/// Most services of one listener.
pub const MAX_LISTENER_SERVICES: usize = 256;
/// Most hosts of one service.
pub const MAX_HOSTS: usize = 64;
/// Most names that the certificate of a gateway is made for.
pub const MAX_CERTIFICATE_NAMES: usize = 256;
/// The domain below which services have DNS names (Consul's default).
pub const DNS_DOMAIN: &str = "consul";

/// Whether a gateway at the edge speaks TLS to the outside, and which.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct EdgeTls {
    /// Whether at all.
    pub enabled: bool,
    /// Which.
    pub bounds: TlsBounds,
}

/// How much a gateway asks of a service at a time, and when it leaves an instance out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct EdgeTerms {
    /// How much.
    pub limits: Limits,
    /// When an instance is left out.
    pub passive_health_check: Option<PassiveHealthCheck>,
}

/// A service behind a listener.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IngressService {
    /// Which; any one stands for every service of the namespace that speaks what the listener does.
    pub name: Pattern<ServiceName>,
    /// Its namespace; for a peer's service the exporter's.
    pub namespace: Namespace,
    /// Its partition; for a peer's service that of the gateway.
    pub partition: Partition,
    /// The peer that exports it. Not in Consul.
    pub peer: Option<PeerName>,
    /// What requests for it say as their host; empty is its name below `ingress`.
    pub hosts: Vec<String>,
    /// Headers towards the service.
    pub request_headers: HeaderEdits,
    /// Headers towards the caller.
    pub response_headers: HeaderEdits,
    /// How much is asked of it; what is not said here is said by the defaults of the gateway.
    pub terms: EdgeTerms,
}

/// A port of the gateway.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IngressListener {
    /// The port; never 0.
    pub port: u16,
    /// What is spoken.
    pub protocol: Protocol,
    /// Said instead of what the gateway says.
    pub tls: Option<EdgeTls>,
    /// The services, one for TCP.
    pub services: Vec<IngressService>,
}

/// What a gateway lets in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IngressGateway {
    /// The partition.
    pub partition: Partition,
    /// The namespace.
    pub namespace: Namespace,
    /// The gateway: the service that its instances are registered as.
    pub name: ServiceName,
    /// Of all listeners that say nothing else.
    pub tls: EdgeTls,
    /// Its ports.
    pub listeners: Vec<IngressListener>,
    /// How much is asked of services that say nothing else.
    pub defaults: EdgeTerms,
    /// The operator's pairs.
    pub meta: Meta,
}

impl EdgeTerms {
    /// These where they say something, else `defaults`.
    pub fn or(&self, defaults: &EdgeTerms) -> EdgeTerms {
        let (own, all) = (&self.limits, &defaults.limits);
        EdgeTerms {
            limits: Limits {
                max_connections: own.max_connections.or(all.max_connections),
                max_pending_requests: own.max_pending_requests.or(all.max_pending_requests),
                max_concurrent_requests: own.max_concurrent_requests.or(all.max_concurrent_requests),
            },
            passive_health_check: self.passive_health_check.or(defaults.passive_health_check),
        }
    }

    fn validate(&self) -> Result<(), Invalid> {
        match &self.passive_health_check {
            Some(check) => check
                .validate()
                .map_err(|error| error.within("PassiveHealthCheck")),
            None => Ok(()),
        }
    }
}

impl IngressService {
    /// The service, unless it stands for any one.
    pub fn key(&self) -> Option<ServiceKey> {
        Some(self.named(self.name.exact()?.clone()))
    }

    /// The service of this name where this one is.
    pub fn named(&self, name: ServiceName) -> ServiceKey {
        ServiceKey {
            origin: self.peer.clone().map_or(Origin::Local, Origin::Peer),
            partition: self.partition.clone(),
            namespace: self.namespace.clone(),
            name,
        }
    }

    /// What requests for `service`, which this one stands for, say as their host on a port of a gateway in `partition`;
    /// as Envoy compares it, in lower case, distinct.
    pub fn domains(&self, service: &ServiceKey, partition: &Partition, port: u16) -> Vec<String> {
        match self.hosts.is_empty() {
            true => vec![format!("{}.*", usual_host(service, partition))],
            false => port_forms(&self.hosts, port),
        }
    }

    fn validate(&self, protocol: Protocol, tls: bool) -> Result<(), Invalid> {
        if self.name.is_any() {
            if !protocol.is_http() {
                return Err(Invalid::new(
                    "Name",
                    "is \"*\", which needs requests that name a host: set Protocol to http, http2 or grpc, or name one service",
                ));
            }
            if !self.hosts.is_empty() {
                return Err(Invalid::new(
                    "Hosts",
                    "does not go together with the Name \"*\", each service has the host of its own name",
                ));
            }
            if self.peer.is_some() {
                return Err(Invalid::new(
                    "Peer",
                    "does not go together with the Name \"*\", name the services of the peer one by one",
                ));
            }
        }
        if !protocol.is_http() {
            if !self.hosts.is_empty() {
                return Err(Invalid::new(
                    "Hosts",
                    "needs requests that name a host: set Protocol to http, http2 or grpc, or remove it",
                ));
            }
            for (field, edits) in [
                ("RequestHeaders", &self.request_headers),
                ("ResponseHeaders", &self.response_headers),
            ] {
                if !edits.is_empty() {
                    return Err(Invalid::new(
                        field,
                        "needs requests with headers: set Protocol to http, http2 or grpc, or remove it",
                    ));
                }
            }
        }
        at_most("Hosts", self.hosts.len(), MAX_HOSTS)?;
        for (index, text) in self.hosts.iter().enumerate() {
            let at = format!("Hosts[{index}]");
            let host = Host::parse(text).map_err(|error| error.within(&at))?;
            if tls {
                host.certifiable().map_err(|error| error.within(&at))?;
            }
        }
        self.request_headers
            .validate()
            .map_err(|error| error.within("RequestHeaders"))?;
        self.response_headers
            .validate()
            .map_err(|error| error.within("ResponseHeaders"))?;
        self.terms.validate()
    }
}

/// The host of a service that says nothing about its hosts, without the domain at its end: its name below `ingress`,
/// then what tells it from one of the same name elsewhere, as in the DNS names of services.
fn usual_host(service: &ServiceKey, partition: &Partition) -> String {
    let ServiceKey {
        origin,
        partition: own,
        namespace,
        name,
    } = service;
    let host = match (origin.peer(), namespace.is_default(), own == partition) {
        (Some(peer), true, _) => format!("{name}.ingress.{peer}.peer"),
        (Some(peer), false, _) => format!("{name}.ingress.{namespace}.ns.{peer}.peer"),
        (None, true, true) => format!("{name}.ingress"),
        (None, false, true) => format!("{name}.ingress.{namespace}"),
        (None, _, false) => format!("{name}.ingress.{namespace}.ns.{own}.ap"),
    };
    host.to_ascii_lowercase()
}

impl IngressListener {
    /// The TLS that it speaks; `None` when it speaks none.
    pub fn tls_in(&self, gateway: &IngressGateway) -> Option<TlsBounds> {
        let (own, all) = (self.tls.as_ref(), &gateway.tls);
        if !own.unwrap_or(all).enabled {
            return None;
        }
        let Some(own) = own else {
            return Some(all.bounds.clone());
        };
        Some(TlsBounds {
            min: own.bounds.min.or(all.bounds.min),
            max: own.bounds.max.or(all.bounds.max),
            ciphers: match own.bounds.ciphers.is_empty() {
                true => all.bounds.ciphers.clone(),
                false => own.bounds.ciphers.clone(),
            },
        })
    }

    fn validate(&self, gateway: &IngressGateway) -> Result<(), Invalid> {
        if self.port == 0 {
            return Err(Invalid::new("Port", "is required, from 1 to 65535"));
        }
        let tls = self.tls_in(gateway);
        if let Some(bounds) = &tls {
            bounds.validate().map_err(|error| error.within("TLS"))?;
        }
        if self.services.is_empty() {
            return Err(Invalid::new("Services", "needs at least one service"));
        }
        if !self.protocol.is_http() && self.services.len() > 1 {
            return Err(Invalid::new(
                "Services",
                "has more than one service, bytes go to one: set Protocol to http, http2 or grpc, or use a listener for each",
            ));
        }
        at_most("Services", self.services.len(), MAX_LISTENER_SERVICES)?;
        let mut seen = BTreeSet::new();
        let mut taken: BTreeMap<String, usize> = BTreeMap::new();
        for (index, service) in self.services.iter().enumerate() {
            let at = format!("Services[{index}]");
            service
                .validate(self.protocol, tls.is_some())
                .map_err(|error| error.within(&at))?;
            let place = (
                &service.name,
                &service.namespace,
                &service.partition,
                &service.peer,
            );
            if !seen.insert(place) {
                return Err(Invalid::new(
                    at,
                    "is a service that this listener has already, give all its Hosts there",
                ));
            }
            let Some(key) = service.key() else { continue };
            for domain in service.domains(&key, &gateway.partition, self.port) {
                if let Some(other) = taken.insert(domain.clone(), index) {
                    return Err(Invalid::new(
                        format!("{at}.Hosts"),
                        format!(
                            "the host {domain:?} is that of Services[{other}] too, give it to one of them"
                        ),
                    ));
                }
            }
        }
        Ok(())
    }
}

impl IngressGateway {
    /// The DNS names that its certificate is made for: those that requests say as their host where it speaks TLS. Sorted
    /// and distinct; none when it speaks none.
    pub fn dns_names(&self, datacenter: &Datacenter) -> Vec<String> {
        let mut names = BTreeSet::new();
        let below = [DNS_DOMAIN.to_owned(), format!("{datacenter}.{DNS_DOMAIN}")];
        for listener in &self.listeners {
            if listener.tls_in(self).is_none() {
                continue;
            }
            names.extend(below.iter().map(|domain| format!("*.ingress.{domain}")));
            for service in &listener.services {
                let elsewhere = service.peer.is_some()
                    || service.partition != self.partition
                    || !service.namespace.is_default();
                match service.key() {
                    Some(key) if service.hosts.is_empty() && elsewhere => {
                        let host = usual_host(&key, &self.partition);
                        names.extend(below.iter().map(|domain| format!("{host}.{domain}")));
                    }
                    None if elsewhere => {
                        // Any service of a place: the name of the place with any one before it.
                        let any = ServiceName::new("any").ok().map(|name| service.named(name));
                        let host = any.map(|key| usual_host(&key, &self.partition));
                        let place = host.as_deref().and_then(|host| host.split_once('.'));
                        if let Some((_, place)) = place {
                            names.extend(below.iter().map(|domain| format!("*.{place}.{domain}")));
                        }
                    }
                    _ => names.extend(service.hosts.iter().map(|host| host.to_ascii_lowercase())),
                }
            }
        }
        names.into_iter().collect()
    }

    /// Where it is.
    pub fn tenancy(&self) -> Tenancy {
        Tenancy {
            partition: self.partition.clone(),
            namespace: self.namespace.clone(),
        }
    }

    pub(super) fn validate(&self) -> Result<(), Invalid> {
        self.tls.bounds.validate().map_err(|error| error.within("TLS"))?;
        self.defaults
            .validate()
            .map_err(|error| error.within("Defaults"))?;
        at_most("Listeners", self.listeners.len(), MAX_EDGE_LISTENERS)?;
        let mut ports = BTreeSet::new();
        for (index, listener) in self.listeners.iter().enumerate() {
            let at = format!("Listeners[{index}]");
            listener.validate(self).map_err(|error| error.within(&at))?;
            if !ports.insert(listener.port) {
                return Err(Invalid::new(
                    format!("{at}.Port"),
                    format!("{} is that of another listener, make them one", listener.port),
                ));
            }
            let mut peered = listener.services.iter().enumerate();
            let strange =
                peered.find(|(_, service)| service.peer.is_some() && service.partition != self.partition);
            if let Some((nth, _)) = strange {
                return Err(Invalid::new(
                    format!("{at}.Services[{nth}].Partition"),
                    "does not go together with Peer, a peering belongs to the partition of the gateway",
                ));
            }
        }
        let some = Datacenter::new("dc").map_or(0, |datacenter| self.dns_names(&datacenter).len());
        if some > MAX_CERTIFICATE_NAMES {
            return Err(Invalid::new(
                "Listeners",
                format!(
                    "has {some} names for its certificate, at most {MAX_CERTIFICATE_NAMES} are allowed: use wildcard hosts or more gateways"
                ),
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

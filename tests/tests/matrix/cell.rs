//! The dimensions of the matrix and their product.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The proxy that a call is about: the one in front of the service, or the one that the caller is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProxyKind {
    Sidecar,
    IngressGateway,
    ApiGateway,
    TerminatingGateway,
}

/// How peers are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Local,
    Remote,
}

/// What instances and gateways give as their address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Addressing {
    Ipv4,
    Ipv6,
    /// One host name.
    Host,
    /// Two gateways, each with a host name.
    Hosts,
}

/// What the service speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Tcp,
    Http,
    Http2,
    Grpc,
    /// HTTP/1.1 that is upgraded.
    WebSocket,
}

/// Where the service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    Local,
    Peered,
}

impl ProxyKind {
    pub(crate) const ALL: [ProxyKind; 4] = [
        ProxyKind::Sidecar,
        ProxyKind::IngressGateway,
        ProxyKind::ApiGateway,
        ProxyKind::TerminatingGateway,
    ];

    /// Consul's word for it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            ProxyKind::Sidecar => "connect-proxy",
            ProxyKind::IngressGateway => "ingress-gateway",
            ProxyKind::ApiGateway => "api-gateway",
            ProxyKind::TerminatingGateway => "terminating-gateway",
        }
    }
}

impl Mode {
    pub(crate) const ALL: [Mode; 2] = [Mode::Local, Mode::Remote];

    /// Consul's word for it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Mode::Local => "local",
            Mode::Remote => "remote",
        }
    }
}

impl Addressing {
    pub(crate) const ALL: [Addressing; 4] = [
        Addressing::Ipv4,
        Addressing::Ipv6,
        Addressing::Host,
        Addressing::Hosts,
    ];

    /// What is registered. The only host name that every machine knows is that of itself.
    pub(crate) fn address(self) -> &'static str {
        match self {
            Addressing::Ipv4 => "127.0.0.1",
            Addressing::Ipv6 => "::1",
            Addressing::Host | Addressing::Hosts => "localhost",
        }
    }

    /// Where an application listens that is dialled at such an address.
    pub(crate) fn ip(self) -> IpAddr {
        match self {
            Addressing::Ipv6 => Ipv6Addr::LOCALHOST.into(),
            _ => Ipv4Addr::LOCALHOST.into(),
        }
    }

    /// How many gateways a cluster has.
    pub(crate) fn gateways(self) -> usize {
        match self {
            Addressing::Hosts => 2,
            _ => 1,
        }
    }
}

impl Protocol {
    pub(crate) const ALL: [Protocol; 5] = [
        Protocol::Tcp,
        Protocol::Http,
        Protocol::Http2,
        Protocol::Grpc,
        Protocol::WebSocket,
    ];

    /// The name of the service that speaks it.
    pub(crate) fn service(self) -> &'static str {
        match self {
            Protocol::Tcp => "bytes",
            Protocol::Http => "pages",
            Protocol::Http2 => "streams",
            Protocol::Grpc => "methods",
            Protocol::WebSocket => "sockets",
        }
    }

    /// The name of the service that speaks it and is called through such a proxy.
    pub(crate) fn behind(self, proxy: ProxyKind) -> String {
        match proxy {
            ProxyKind::TerminatingGateway => format!("{}-outside", self.service()),
            _ => self.service().to_owned(),
        }
    }

    /// What `service-defaults` say.
    pub(crate) fn configured(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Http | Protocol::WebSocket => "http",
            Protocol::Http2 => "http2",
            Protocol::Grpc => "grpc",
        }
    }
}

impl Target {
    pub(crate) const ALL: [Target; 2] = [Target::Local, Target::Peered];
}

/// One combination.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    pub(crate) proxy: ProxyKind,
    pub(crate) mode: Mode,
    pub(crate) addressing: Addressing,
    pub(crate) protocol: Protocol,
    pub(crate) target: Target,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}, mode {}, {:?}, {:?}, {:?}",
            self.proxy.as_str(),
            self.mode.as_str(),
            self.addressing,
            self.protocol,
            self.target
        )
    }
}

/// All combinations.
pub(crate) fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for proxy in ProxyKind::ALL {
        for mode in Mode::ALL {
            for addressing in Addressing::ALL {
                for protocol in Protocol::ALL {
                    for target in Target::ALL {
                        cells.push(Cell {
                            proxy,
                            mode,
                            addressing,
                            protocol,
                            target,
                        });
                    }
                }
            }
        }
    }
    cells
}

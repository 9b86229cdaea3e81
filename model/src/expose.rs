//! Paths that a sidecar passes to its application from outside the mesh: for those who look after health or collect
//! metrics and have no certificate.

use crate::Invalid;
use crate::config::{Protocol, ProxyDefaults, check_path};
use crate::instance::{Instance, Opaque, Proxy};
use crate::sidecar::SidecarSettings;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Most paths of one sidecar.
pub const MAX_EXPOSED_PATHS: usize = 64;

/// The keys of the configuration of proxies by which their Envoys listen for those who collect statistics, from their
/// start on.
const STATISTICS: [&str; 2] = ["envoy_prometheus_bind_addr", "envoy_stats_bind_addr"];

/// A path that anybody may ask for, without a certificate and whatever intentions say.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExposedPath {
    /// The whole path, in the one spelling that paths have when they are looked at.
    pub path: String,
    /// The port that the application listens on for it; not 0.
    pub local_port: u16,
    /// The port that the sidecar listens on for it; not 0.
    pub listener_port: u16,
    /// How the application is spoken to: `Http` or `Http2`.
    pub protocol: Protocol,
}

impl ExposedPath {
    fn validate(&self) -> Result<(), Invalid> {
        check_path("Path", &self.path)?;
        for (field, port, whose) in [
            ("LocalPathPort", self.local_port, "the application"),
            ("ListenerPort", self.listener_port, "the sidecar"),
        ] {
            if port == 0 {
                return Err(Invalid::new(
                    field,
                    format!("is required, give the port that {whose} listens on for this path"),
                ));
            }
        }
        match self.protocol {
            Protocol::Http | Protocol::Http2 => Ok(()),
            Protocol::Tcp | Protocol::Grpc => Err(Invalid::new(
                "Protocol",
                "is not one in which a path is asked for, use \"http\" or \"http2\"",
            )),
        }
    }
}

/// Refuses what no sidecar could do. A port has one path, and a path one port, as in Consul.
pub(crate) fn validate(paths: &[ExposedPath]) -> Result<(), Invalid> {
    if paths.len() > MAX_EXPOSED_PATHS {
        let problem = format!(
            "has {} paths, at most {MAX_EXPOSED_PATHS} are allowed",
            paths.len()
        );
        return Err(Invalid::new("Paths", problem));
    }
    let (mut known, mut ports) = (BTreeSet::new(), BTreeSet::new());
    for (index, own) in paths.iter().enumerate() {
        let at = format!("Paths[{index}]");
        own.validate().map_err(|error| error.within(&at))?;
        if !known.insert(&own.path) {
            let problem = format!("{:?} is given more than once", own.path);
            return Err(Invalid::new(format!("{at}.Path"), problem));
        }
        if !ports.insert(own.listener_port) {
            let problem = format!(
                "port {} is that of another path, choose another one",
                own.listener_port
            );
            return Err(Invalid::new(format!("{at}.ListenerPort"), problem));
        }
    }
    Ok(())
}

/// What a sidecar listens on a port for already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PortUse {
    /// Calls for its service.
    Public,
    /// Calls of its application for an upstream.
    Upstream,
    /// Redirected calls of its application.
    Outbound,
    /// Those who collect statistics of its Envoy.
    Statistics,
}

impl fmt::Display for PortUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PortUse::Public => "the public listener",
            PortUse::Upstream => "an upstream",
            PortUse::Outbound => "the outbound listener",
            PortUse::Statistics => "the listener for its statistics",
        })
    }
}

/// The paths of a sidecar.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Exposed {
    /// Those that are exposed.
    pub open: Vec<ExposedPath>,
    /// Those whose port is used for something else, which comes first; they are not exposed.
    pub shut: Vec<(ExposedPath, PortUse)>,
}

impl Exposed {
    /// The paths of a sidecar for which `settings` count, as do the defaults of all proxies. Nothing for any other
    /// instance.
    pub fn of(sidecar: &Instance, settings: &SidecarSettings, all: Option<&ProxyDefaults>) -> Exposed {
        let Some(proxy) = &sidecar.proxy else {
            return Exposed::default();
        };
        let used = ports(sidecar, proxy, settings, all);
        let mut exposed = Exposed::default();
        for path in &settings.exposed {
            match used.get(&path.listener_port) {
                None => exposed.open.push(path.clone()),
                Some(what) => exposed.shut.push((path.clone(), *what)),
            }
        }
        exposed
    }
}

/// The ports that a sidecar listens on for other things than paths, whatever the address.
fn ports(
    sidecar: &Instance,
    proxy: &Proxy,
    settings: &SidecarSettings,
    all: Option<&ProxyDefaults>,
) -> BTreeMap<u16, PortUse> {
    let upstreams = proxy.upstreams.iter().map(|upstream| upstream.bind_port);
    let redirected = settings
        .transparent()
        .map(|transparent| transparent.outbound_port);
    let mut used: BTreeMap<u16, PortUse> = upstreams.map(|port| (port, PortUse::Upstream)).collect();
    used.extend(redirected.map(|port| (port, PortUse::Outbound)));
    for key in STATISTICS {
        let said = proxy.config.get(key).or_else(|| all?.config.get(key));
        let port = said.and_then(Opaque::as_text).and_then(port_of);
        used.extend(port.map(|port| (port, PortUse::Statistics)));
    }
    used.insert(public_port(sidecar, proxy), PortUse::Public);
    used
}

/// The port of `address:port`.
fn port_of(text: &str) -> Option<u16> {
    let (_, port) = text.rsplit_once(':')?;
    port.parse().ok()
}

/// The port that a sidecar takes calls for its service on: the configured one, else the instance's own; 0 is none.
pub fn public_port(sidecar: &Instance, proxy: &Proxy) -> u16 {
    let configured = proxy.config.get("bind_port").and_then(Opaque::as_u64);
    configured
        .and_then(|port| u16::try_from(port).ok())
        .filter(|port| *port != 0)
        .unwrap_or(sidecar.port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(path: &str, listener_port: u16) -> ExposedPath {
        ExposedPath {
            path: path.to_owned(),
            local_port: 8_080,
            listener_port,
            protocol: Protocol::Http,
        }
    }

    #[test]
    fn paths_are_told_apart_by_port_and_have_one_spelling() {
        validate(&[path("/health", 9_100), path("/metrics", 9_101)]).unwrap();
        let many: Vec<ExposedPath> = (1..=65).map(|port| path(&format!("/{port}"), port)).collect();
        for (bad, at) in [
            (
                vec![path("/a", 1), path("/a", 2)],
                "Paths[1].Path: \"/a\" is given more than once",
            ),
            (
                vec![path("/a", 1), path("/b", 1)],
                "Paths[1].ListenerPort: port 1 is that of another path",
            ),
            (vec![path("/a", 0)], "Paths[0].ListenerPort: is required"),
            (
                vec![path("health", 1)],
                "Paths[0].Path: is \"health\", must begin with '/'",
            ),
            (vec![path("/a/../b", 1)], "Paths[0].Path: has a part '.' or '..'"),
            (vec![path("/a%2fb", 1)], "Paths[0].Path: has an escaped '/'"),
            (vec![path("/a?b", 1)], "Paths[0].Path: has '?'"),
            (vec![path("/a//b", 1)], "Paths[0].Path: has '//'"),
            (many, "Paths: has 65 paths, at most 64"),
        ] {
            let error = validate(&bad).unwrap_err().to_string();
            assert!(error.starts_with(at), "{error}");
        }
        let none = ExposedPath {
            local_port: 0,
            ..path("/a", 1)
        };
        assert!(
            validate(&[none])
                .unwrap_err()
                .to_string()
                .starts_with("Paths[0].LocalPathPort")
        );
        let bytes = ExposedPath {
            protocol: Protocol::Tcp,
            ..path("/a", 1)
        };
        assert!(
            validate(&[bytes])
                .unwrap_err()
                .to_string()
                .starts_with("Paths[0].Protocol")
        );
    }
}

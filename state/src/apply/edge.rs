//! What gateways at the edge let in has to speak what their listeners do, whichever of the two is written last.

use crate::change::{ChangeSet, Topic};
use crate::snapshot::Snapshot;
use crate::transaction::Refused;
use peerway_model::chain::protocol;
use peerway_model::config::Protocol;
use peerway_model::{ConfigEntry, ConfigKey, ConfigKind, Invalid, ServiceKey};

/// Refuses a state in which a gateway or a route that `changes` may be about leads to a service of this cluster that
/// speaks something else. What a peer's service speaks is its exporter's to say.
pub(super) fn check(next: &Snapshot, changes: &ChangeSet) -> Result<(), Refused> {
    let changed: Vec<&ConfigKey> = changes
        .iter()
        .filter_map(|topic| match topic {
            Topic::Config(key) if concerns_edges(key.kind) => Some(key),
            _ => None,
        })
        .collect();
    if changed.is_empty() {
        return Ok(());
    }
    for kind in LEADING {
        for held in next.configs(kind) {
            let own = held.key();
            // In an entry about another thing, the place in this one would be read as a place in its own.
            let it_is_written = changed.iter().any(|key| **key == own);
            for led in leads(&held.row) {
                speaks(next, &own, &led, it_is_written).map_err(Refused::Invalid)?;
            }
        }
    }
    Ok(())
}

/// The kinds of entries that lead to services by what they speak.
const LEADING: [ConfigKind; 3] = [
    ConfigKind::HttpRoute,
    ConfigKind::IngressGateway,
    ConfigKind::TcpRoute,
];

fn concerns_edges(kind: ConfigKind) -> bool {
    LEADING.contains(&kind) || matches!(kind, ConfigKind::ProxyDefaults | ConfigKind::ServiceDefaults)
}

/// A service that an entry leads to.
struct Led {
    /// The path of the field.
    at: String,
    service: ServiceKey,
    /// What it has to speak; `None` for requests of whatever kind.
    protocol: Option<Protocol>,
}

fn leads(entry: &ConfigEntry) -> Vec<Led> {
    match entry {
        ConfigEntry::IngressGateway(entry) => {
            let listeners = entry.listeners.iter().enumerate();
            listeners
                .flat_map(|(at, listener)| {
                    let services = listener.services.iter().enumerate();
                    services.filter_map(move |(nth, said)| {
                        Some(Led {
                            at: format!("Listeners[{at}].Services[{nth}]"),
                            service: said.key()?,
                            protocol: Some(listener.protocol),
                        })
                    })
                })
                .collect()
        }
        ConfigEntry::HttpRoute(route) => {
            let rules = route.rules.iter().enumerate();
            rules
                .flat_map(|(at, rule)| {
                    let services = rule.services.iter().enumerate();
                    services.map(move |(nth, service)| Led {
                        at: format!("Rules[{at}].Services[{nth}]"),
                        service: service.key(),
                        protocol: None,
                    })
                })
                .collect()
        }
        ConfigEntry::TcpRoute(route) => vec![Led {
            at: "Services[0]".to_owned(),
            service: route.service.key(),
            protocol: Some(Protocol::Tcp),
        }],
        _ => Vec::new(),
    }
}

fn speaks(next: &Snapshot, entry: &ConfigKey, led: &Led, it_is_written: bool) -> Result<(), Invalid> {
    let Led {
        at,
        service,
        protocol: wanted,
    } = led;
    let mut entries = next;
    let spoken = protocol(&mut entries, service);
    let fits = wanted.map_or(spoken.is_http(), |wanted| wanted == spoken);
    if fits || !service.origin.is_local() {
        return Ok(());
    }
    let (spoken, wanted) = (
        spoken.as_str(),
        wanted.map_or("http, http2 or grpc", Protocol::as_str),
    );
    Err(match it_is_written {
        true => Invalid::new(
            at.as_str(),
            format!(
                "the service {service} speaks {spoken} and this needs {wanted}: make them the same, with Protocol in the service-defaults of {}",
                service.name
            ),
        ),
        false => Invalid::new(
            "Protocol",
            format!(
                "the {} {} leads to {service} as one that speaks {wanted}, which {spoken} would not fit: take it out there first",
                entry.kind, entry.name
            ),
        ),
    })
}

//! What gateways at the edge let in has to speak what their listeners do, whichever of the two is written last.

use crate::change::{ChangeSet, Topic};
use crate::snapshot::Snapshot;
use crate::transaction::Refused;
use peerway_model::chain::protocol;
use peerway_model::config::IngressGateway;
use peerway_model::{ConfigEntry, ConfigKey, ConfigKind, Invalid};

/// Refuses a state in which a gateway that `changes` may be about lets in a service of this cluster that speaks
/// something else. What a peer's service speaks is its exporter's to say.
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
    for held in next.configs(ConfigKind::IngressGateway) {
        if let ConfigEntry::IngressGateway(entry) = &*held.row {
            let own = held.key();
            // In an entry about another thing, the place in the gateway's one would be read as a place in its own.
            let it_is_written = changed.iter().any(|key| **key == own);
            speaks(next, entry, it_is_written).map_err(Refused::Invalid)?;
        }
    }
    Ok(())
}

fn concerns_edges(kind: ConfigKind) -> bool {
    matches!(
        kind,
        ConfigKind::IngressGateway | ConfigKind::ProxyDefaults | ConfigKind::ServiceDefaults
    )
}

fn speaks(next: &Snapshot, entry: &IngressGateway, it_is_written: bool) -> Result<(), Invalid> {
    let mut entries = next;
    for (at, listener) in entry.listeners.iter().enumerate() {
        for (nth, said) in listener.services.iter().enumerate() {
            let Some(service) = said.key().filter(|service| service.origin.is_local()) else {
                continue;
            };
            let spoken = protocol(&mut entries, &service);
            if spoken == listener.protocol {
                continue;
            }
            let (listens, spoken) = (listener.protocol.as_str(), spoken.as_str());
            return Err(match it_is_written {
                true => Invalid::new(
                    format!("Listeners[{at}].Services[{nth}]"),
                    format!(
                        "the service {service} speaks {spoken} and the listener {listens}: make them the same, with Protocol in the service-defaults of {}",
                        service.name
                    ),
                ),
                false => Invalid::new(
                    "Protocol",
                    format!(
                        "the ingress-gateway {} lets {service} in on port {}, which speaks {listens} and would not fit {spoken}: take it out there first",
                        entry.name, listener.port
                    ),
                ),
            });
        }
    }
    Ok(())
}

//! What a service speaks.

use crate::read::Reading;
use peerway_model::config::Protocol;
use peerway_model::{ConfigEntry, ConfigKey, ConfigKind, ServiceKey};

/// Of a local service; what an imported one speaks is said by its exporter.
pub(super) fn of_service(reading: &mut Reading<'_>, service: &ServiceKey) -> Protocol {
    let own = ConfigKey::new(
        ConfigKind::ServiceDefaults,
        &service.partition,
        service.namespace.as_str(),
        service.name.as_str(),
    );
    let own = match reading.config(own) {
        Some(ConfigEntry::ServiceDefaults(own)) => Some(own),
        _ => None,
    };
    let all = match reading.config(ConfigKey::singleton(
        ConfigKind::ProxyDefaults,
        &service.partition,
    )) {
        Some(ConfigEntry::ProxyDefaults(all)) => Some(all),
        _ => None,
    };
    Protocol::of_service(own, all)
}

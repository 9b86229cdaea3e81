//! What listeners tell about their connections and requests.

use crate::fragment::{AccessLog, Telemetry};
use crate::read::Reading;
use peerway_model::name::Partition;
use peerway_model::{ConfigEntry, ConfigKey, ConfigKind};

/// As the defaults of all proxies of the partition say.
pub(super) fn telemetry(reading: &mut Reading<'_>, partition: &Partition) -> Telemetry {
    let global = ConfigKey::singleton(ConfigKind::ProxyDefaults, partition);
    let Some(ConfigEntry::ProxyDefaults(defaults)) = reading.config(global) else {
        return Telemetry::default();
    };
    let logs = &defaults.access_logs;
    Telemetry {
        access_log: logs.enabled.then(|| AccessLog {
            unmatched: !logs.disable_listener_logs,
            sink: logs.sink.clone(),
            format: logs.format.clone(),
        }),
    }
}

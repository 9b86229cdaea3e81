//! What listeners tell about their connections and requests, and to whom.

use crate::fragment::{AccessLog, Cluster, Discovery, Endpoint, TRACE_COLLECTOR, Telemetry, Terms, Tracing};
use crate::read::Reading;
use peerway_model::ServiceKey;
use peerway_model::chain::DEFAULT_CONNECT_TIMEOUT_MS;
use peerway_model::config::Protocol;
use peerway_model::name::Partition;

/// The name under which the proxies of a service report single requests; `None` while they do not.
pub(crate) fn reporter(reading: &mut Reading<'_>, service: &ServiceKey) -> Option<String> {
    reading.proxy_defaults(&service.partition)?.tracing.as_ref()?;
    Some(match service.namespace.is_default() {
        true => service.name.to_string(),
        false => format!("{}.{}", service.name, service.namespace),
    })
}

/// As the defaults of all proxies of the partition say.
pub(super) fn telemetry(
    reading: &mut Reading<'_>,
    partition: &Partition,
    reporter: Option<&str>,
) -> Telemetry {
    let Some(defaults) = reading.proxy_defaults(partition) else {
        return Telemetry::default();
    };
    let logs = &defaults.access_logs;
    Telemetry {
        access_log: logs.enabled.then(|| AccessLog {
            unmatched: !logs.disable_listener_logs,
            sink: logs.sink.clone(),
            format: logs.format.clone(),
        }),
        tracing: reporter
            .zip(defaults.tracing.as_ref())
            .map(|(service, tracing)| Tracing {
                service: service.to_owned(),
                sampling: tracing.sampling,
            }),
    }
}

/// Whoever collects the traces of a partition; `None` while nobody does.
pub(super) fn collector(reading: &mut Reading<'_>, partition: &Partition) -> Option<Cluster> {
    let address = &reading.proxy_defaults(partition)?.tracing.as_ref()?.collector;
    let discovery = match crate::address::ip(address) {
        Some(address) => Discovery::Static(address),
        None => Discovery::Dns(vec![Endpoint::up(address.clone())]),
    };
    Some(Cluster {
        name: TRACE_COLLECTOR.to_owned(),
        connect_timeout_ms: DEFAULT_CONNECT_TIMEOUT_MS,
        protocol: Protocol::Grpc,
        discovery,
        balance: None,
        terms: Terms::default(),
        tls: None,
        max_ejection_percent: None,
        outside_tls: None,
        keepalive: false,
    })
}

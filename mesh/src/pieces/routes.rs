//! Where requests go. One place decides how long an answer may take: the one nearest to the caller, on whose behalf
//! the time is spent.

use crate::fragment::RouteTable;
use crate::naming;
use crate::read::Reading;
use peerway_model::ServiceKey;
use peerway_model::config::Protocol;

/// How long an answer may take (Envoy's default, said aloud), in milliseconds.
const ANSWER_TIMEOUT_MS: u64 = 15_000;

/// Of an upstream's listener.
pub(super) fn upstream(service: &ServiceKey, protocol: Protocol, cluster: String) -> RouteTable {
    RouteTable {
        name: naming::routes(service),
        host: naming::virtual_host(service),
        cluster,
        // A gRPC call may be a stream that never ends, and says its own deadline otherwise.
        timeout_ms: (protocol != Protocol::Grpc).then_some(ANSWER_TIMEOUT_MS),
    }
}

/// Of a sidecar's application.
pub(super) fn public() -> RouteTable {
    RouteTable {
        name: naming::PUBLIC_LISTENER.to_owned(),
        host: naming::PUBLIC_LISTENER.to_owned(),
        cluster: naming::LOCAL_APP.to_owned(),
        timeout_ms: None,
    }
}

/// Of an exported service on a gateway; `None` while the cluster has no roots.
pub(super) fn gateway(reading: &mut Reading<'_>, service: &ServiceKey) -> Option<RouteTable> {
    let cluster = reading.cluster()?;
    Some(RouteTable {
        name: naming::routes(service),
        host: naming::virtual_host(service),
        cluster: naming::exported_cluster(&cluster, service),
        timeout_ms: None,
    })
}

//! What a proxy reports of single requests.

use crate::packed::millis;
use envoy_types::pb::envoy::config::core::v3::GrpcService;
use envoy_types::pb::envoy::config::core::v3::grpc_service::{EnvoyGrpc, TargetSpecifier};
use envoy_types::pb::envoy::config::trace::v3::tracing::Http;
use envoy_types::pb::envoy::config::trace::v3::tracing::http::ConfigType;
use envoy_types::pb::envoy::config::trace::v3::OpenTelemetryConfig;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::Tracing as Traced;
use envoy_types::pb::envoy::r#type::v3::Percent;
use envoy_types::util::pack_any;
use peerway_mesh::{TRACE_COLLECTOR, Tracing};

/// How long a report may take, in milliseconds; Envoy would wait for ever.
const REPORT_TIMEOUT_MS: u64 = 5_000;

/// The tracing of a connection manager.
pub(crate) fn traced(tracing: &Tracing) -> Traced {
    let collector = GrpcService {
        timeout: Some(millis(REPORT_TIMEOUT_MS)),
        target_specifier: Some(TargetSpecifier::EnvoyGrpc(EnvoyGrpc {
            cluster_name: TRACE_COLLECTOR.to_owned(),
            ..EnvoyGrpc::default()
        })),
        ..GrpcService::default()
    };
    let config = OpenTelemetryConfig {
        grpc_service: Some(collector),
        service_name: tracing.service.clone(),
        ..OpenTelemetryConfig::default()
    };
    Traced {
        // Nobody gets a trace for the asking.
        client_sampling: Some(Percent { value: 0.0 }),
        random_sampling: Some(Percent {
            value: f64::from(tracing.sampling) / 100.0,
        }),
        provider: Some(Http {
            name: "envoy.tracers.opentelemetry".to_owned(),
            config_type: Some(ConfigType::TypedConfig(pack_any(config))),
        }),
        ..Traced::default()
    }
}

//! The one builder of HTTP connection managers. Whatever passes requests is built here, so that no kind of listener
//! can be less strict than another about what a request may look like before policy sees it.

use crate::packed::{millis, number};
use crate::route::UNSERVED;
use crate::{access_log, authorization, route, source, tracing};
use envoy_types::pb::envoy::config::accesslog::v3::access_log_filter::FilterSpecifier;
use envoy_types::pb::envoy::config::accesslog::v3::{AccessLogFilter, ResponseFlagFilter};
use envoy_types::pb::envoy::config::common::mutation_rules::v3::{HeaderMutation, header_mutation};
use envoy_types::pb::envoy::config::core::v3::http_protocol_options::HeadersWithUnderscoresAction;
use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::config::core::v3::{
    HeaderValue, HeaderValueOption, Http2ProtocolOptions, HttpProtocolOptions, TypedExtensionConfig,
};
use envoy_types::pb::envoy::extensions::filters::http::grpc_http1_bridge::v3::Config as GrpcBridge;
use envoy_types::pb::envoy::extensions::filters::http::grpc_stats::v3::FilterConfig as GrpcStats;
use envoy_types::pb::envoy::extensions::filters::http::grpc_stats::v3::filter_config::PerMethodStatSpecifier;
use envoy_types::pb::envoy::extensions::filters::http::router::v3::Router;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::{
    ForwardClientCertDetails, PathWithEscapedSlashesAction, RouteSpecifier, SetCurrentClientCertDetails,
    UpgradeConfig,
};
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, HttpFilter, LocalReplyConfig, Rds, ResponseMapper, http_filter,
};
use envoy_types::pb::envoy::extensions::http::early_header_mutation::header_mutation::v3::HeaderMutation as EarlyMutation;
use envoy_types::pb::google::protobuf::BoolValue;
use envoy_types::util::pack_any;
use peerway_mesh::{CallerHeader, Http, Routes, Telemetry};
use peerway_model::config::Protocol;
use prost::{Message, Name};

/// How long a caller may take to send the headers of a request, in milliseconds; Envoy would wait for ever.
const HEADERS_TIMEOUT_MS: u64 = 10_000;
/// How long nothing may move in a request before it is given up (Envoy's default, said aloud), in milliseconds.
const STREAM_IDLE_TIMEOUT_MS: u64 = 300_000;
/// How long a connection without requests is kept (Envoy's default, said aloud), in milliseconds.
const CONNECTION_IDLE_TIMEOUT_MS: u64 = 3_600_000;
/// Most bytes of the headers of one request, in KiB (Envoy's default, said aloud).
const MAX_HEADERS_KIB: u32 = 60;
/// Most headers of one request (Envoy's default, said aloud).
const MAX_HEADERS: u32 = 100;

/// Most requests at a time of one HTTP/2 connection from outside.
const MAX_STREAMS: u32 = 100;
/// How much of one of them may be waiting, in bytes.
const STREAM_WINDOW_BYTES: u32 = 64 << 10;
/// How much of all of them may be waiting, in bytes.
const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;

/// Envoy's reasons for an answer of its own to a request that it could not pass on: nobody is well, or nobody could be
/// connected.
const UNSERVED_FLAGS: [&str; 2] = ["UH", "UF"];

/// Headers by which a request tells Envoy's router what to do. A caller from the network must not: `max-retries` is
/// work for the service a hundredfold, `alt-stat-name` a new statistic with every request, `timeout` and `retry-on`
/// undo what routes say.
const ROUTER_ORDERS: [&str; 16] = [
    "x-envoy-attempt-count",
    "x-envoy-decorator-operation",
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-force-trace",
    "x-envoy-hedge-on-per-try-timeout",
    "x-envoy-ip-tags",
    "x-envoy-max-retries",
    "x-envoy-retriable-header-names",
    "x-envoy-retriable-status-codes",
    "x-envoy-retry-grpc-on",
    "x-envoy-retry-on",
    "x-envoy-upstream-alt-stat-name",
    "x-envoy-upstream-rq-per-try-timeout-ms",
    "x-envoy-upstream-rq-timeout-alt-response",
    "x-envoy-upstream-rq-timeout-ms",
    "x-envoy-upstream-stream-duration-ms",
];

/// The connection manager of a chain whose statistics begin with `stat_prefix`.
pub(crate) fn manager(http: &Http, stat_prefix: &str, telemetry: &Telemetry) -> HttpConnectionManager {
    let certificate = match http.caller_header {
        CallerHeader::Remove | CallerHeader::Outside => ForwardClientCertDetails::Sanitize,
        CallerHeader::Replace => ForwardClientCertDetails::SanitizeSet,
        CallerHeader::Append => ForwardClientCertDetails::AppendForward,
    };
    let from_network = http.caller_header != CallerHeader::Remove;
    let from_outside = http.caller_header == CallerHeader::Outside;
    let told = from_network && !from_outside;
    HttpConnectionManager {
        stat_prefix: stat_prefix.to_owned(),
        http_filters: filters(http),
        access_log: access_log::of_chain(telemetry.access_log.as_ref()),
        tracing: telemetry.tracing.as_ref().map(tracing::traced),
        common_http_protocol_options: Some(HttpProtocolOptions {
            idle_timeout: Some(millis(CONNECTION_IDLE_TIMEOUT_MS)),
            max_headers_count: Some(number(MAX_HEADERS)),
            // Many applications take `a_b` and `a-b` for the same header; policy does not.
            headers_with_underscores_action: i32::from(HeadersWithUnderscoresAction::RejectRequest),
            ..HttpProtocolOptions::default()
        }),
        http2_protocol_options: match from_outside {
            // Whatever is offered in the handshake, clients may speak it.
            true => Some(bounded_http2()),
            false => http.protocol.is_http2().then(Http2ProtocolOptions::default),
        },
        // What a request from outside says about where it comes from is not believed: the address that is connected is
        // added to it, and what only proxies of ours may say is taken away.
        use_remote_address: from_outside.then_some(BoolValue { value: true }),
        max_request_headers_kb: Some(number(MAX_HEADERS_KIB)),
        stream_idle_timeout: Some(millis(STREAM_IDLE_TIMEOUT_MS)),
        request_headers_timeout: Some(millis(HEADERS_TIMEOUT_MS)),
        // Policy and the application have to read the same path out of a request: one spelling of each, and none
        // that depends on who reads it.
        normalize_path: Some(BoolValue { value: true }),
        merge_slashes: true,
        path_with_escaped_slashes_action: i32::from(PathWithEscapedSlashesAction::RejectRequest),
        forward_client_cert_details: i32::from(certificate),
        // Only the URI SAN, and Envoy's own `By` and `Hash` before it. The subject would stand before the URI, and
        // it is free text from whoever signed the certificate (xDS facts, section 3.7, trap 3).
        set_current_client_cert_details: told.then(|| SetCurrentClientCertDetails {
            uri: true,
            ..SetCurrentClientCertDetails::default()
        }),
        local_reply_config: (http.caller_header == CallerHeader::Replace).then(unserved),
        early_header_mutation_extensions: from_network.then(ignore_orders).into_iter().collect(),
        upgrade_configs: vec![UpgradeConfig {
            upgrade_type: "websocket".to_owned(),
            ..UpgradeConfig::default()
        }],
        route_specifier: Some(match &http.routes {
            Routes::Inline(table) => RouteSpecifier::RouteConfig(route::table(table)),
            Routes::Named(name) => RouteSpecifier::Rds(Rds {
                config_source: Some(source::ads()),
                route_config_name: name.clone(),
            }),
        }),
        ..HttpConnectionManager::default()
    }
}

/// What one connection from outside may take of the memory of a gateway (Envoy's advice for proxies at the edge).
fn bounded_http2() -> Http2ProtocolOptions {
    Http2ProtocolOptions {
        max_concurrent_streams: Some(number(MAX_STREAMS)),
        initial_stream_window_size: Some(number(STREAM_WINDOW_BYTES)),
        initial_connection_window_size: Some(number(CONNECTION_WINDOW_BYTES)),
        ..Http2ProtocolOptions::default()
    }
}

/// Marks the answers of a gateway to requests of which nobody has seen anything: whoever called may ask somebody else.
fn unserved() -> LocalReplyConfig {
    let flags = UNSERVED_FLAGS.map(str::to_owned).to_vec();
    LocalReplyConfig {
        mappers: vec![ResponseMapper {
            filter: Some(AccessLogFilter {
                filter_specifier: Some(FilterSpecifier::ResponseFlagFilter(ResponseFlagFilter { flags })),
            }),
            headers_to_add: vec![HeaderValueOption {
                header: Some(HeaderValue {
                    key: UNSERVED.to_owned(),
                    value: "true".to_owned(),
                    ..HeaderValue::default()
                }),
                append_action: i32::from(HeaderAppendAction::OverwriteIfExistsOrAdd),
                ..HeaderValueOption::default()
            }],
            ..ResponseMapper::default()
        }],
        ..LocalReplyConfig::default()
    }
}

/// Policy before everything that looks at more of a request than policy does.
fn filters(http: &Http) -> Vec<HttpFilter> {
    let mut filters = Vec::new();
    if let Some(policy) = &http.policy {
        let discovered = |name: &str, source| HttpFilter {
            name: name.to_owned(),
            config_type: Some(http_filter::ConfigType::ConfigDiscovery(source)),
            ..HttpFilter::default()
        };
        filters.push(discovered(&policy.lines, authorization::discovered_lines()));
        if let Some(tokens) = &policy.tokens {
            filters.push(discovered(tokens, authorization::discovered_tokens()));
        }
        filters.push(discovered(&policy.requests, authorization::discovered_requests()));
    }
    if http.protocol == Protocol::Grpc && http.caller_header != CallerHeader::Replace {
        filters.push(filter(
            "envoy.filters.http.grpc_stats",
            grpc_stats(http.caller_header),
        ));
        filters.push(filter(
            "envoy.filters.http.grpc_http1_bridge",
            GrpcBridge::default(),
        ));
    }
    filters.push(filter("envoy.filters.http.router", Router::default()));
    filters
}

/// A statistic a method only for calls of the application itself: others could name as many methods as they like.
fn grpc_stats(caller_header: CallerHeader) -> GrpcStats {
    let own = caller_header == CallerHeader::Remove;
    GrpcStats {
        per_method_stat_specifier: own.then_some(PerMethodStatSpecifier::StatsForAllMethods(BoolValue {
            value: true,
        })),
        ..GrpcStats::default()
    }
}

fn ignore_orders() -> TypedExtensionConfig {
    let mutations = ROUTER_ORDERS
        .into_iter()
        .map(|header| HeaderMutation {
            action: Some(header_mutation::Action::Remove(header.to_owned())),
        })
        .collect();
    TypedExtensionConfig {
        name: "envoy.http.early_header_mutation.header_mutation".to_owned(),
        typed_config: Some(pack_any(EarlyMutation { mutations })),
    }
}

fn filter<M: Message + Name>(name: &str, config: M) -> HttpFilter {
    HttpFilter {
        name: name.to_owned(),
        config_type: Some(http_filter::ConfigType::TypedConfig(pack_any(config))),
        ..HttpFilter::default()
    }
}

//! An encoded `Any` as text: the message's `Debug` without fields that are not set, with nested messages opened.

use envoy_types::pb::envoy::config::core::v3::TypedExtensionConfig;
use envoy_types::pb::envoy::config::core::v3::substitution_format_string::Format;
use envoy_types::pb::envoy::config::listener::v3::filter::ConfigType;
use envoy_types::pb::envoy::config::route::v3::RouteConfiguration;
use envoy_types::pb::envoy::config::trace::v3::OpenTelemetryConfig;
use envoy_types::pb::envoy::config::{
    cluster::v3::Cluster, endpoint::v3::ClusterLoadAssignment, listener::v3::Listener,
};
use envoy_types::pb::envoy::extensions::access_loggers::file::v3::{FileAccessLog, file_access_log};
use envoy_types::pb::envoy::extensions::access_loggers::stream::v3::{
    StderrAccessLog, StdoutAccessLog, stderr_access_log, stdout_access_log,
};
use envoy_types::pb::envoy::extensions::clusters::aggregate::v3::ClusterConfig as Aggregate;
use envoy_types::pb::envoy::extensions::filters::http::grpc_http1_bridge::v3::Config as GrpcBridge;
use envoy_types::pb::envoy::extensions::filters::http::grpc_stats::v3::FilterConfig as GrpcStats;
use envoy_types::pb::envoy::extensions::filters::http::jwt_authn::v3::JwtAuthentication;
use envoy_types::pb::envoy::extensions::filters::http::lua::v3::Lua;
use envoy_types::pb::envoy::extensions::filters::http::rbac::v3::Rbac as HttpRbac;
use envoy_types::pb::envoy::extensions::filters::http::router::v3::Router;
use envoy_types::pb::envoy::extensions::filters::listener::original_dst::v3::OriginalDst;
use envoy_types::pb::envoy::extensions::filters::listener::tls_inspector::v3::TlsInspector;
use envoy_types::pb::envoy::extensions::filters::network::connection_limit::v3::ConnectionLimit;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
use envoy_types::pb::envoy::extensions::filters::network::{rbac::v3::Rbac, tcp_proxy::v3::TcpProxy};
use envoy_types::pb::envoy::extensions::http::early_header_mutation::header_mutation::v3::HeaderMutation;
use envoy_types::pb::envoy::extensions::rbac::principals::mtls_authenticated::v3::Config as MtlsAuthenticated;
use envoy_types::pb::envoy::extensions::retry::priority::previous_priorities::v3::PreviousPrioritiesConfig;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{
    DownstreamTlsContext, Secret, SpiffeCertValidatorConfig, UpstreamTlsContext,
};
use envoy_types::pb::envoy::extensions::upstreams::http::v3::HttpProtocolOptions;
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{Any, Struct, Value};
use prost::{Message, Name};
use std::collections::BTreeMap;
use std::fmt::Debug;

/// The message in the encoded `Any`.
pub(crate) fn any(bytes: &[u8]) -> String {
    let any = Any::decode(bytes).unwrap();
    let mut text = format!("{}\n", any.type_url);
    for line in opened(&message(&any)).lines() {
        // One blank a level: principals are nested deeply.
        let bare = line.trim_start();
        text.extend(std::iter::repeat_n(' ', (line.len() - bare.len()) / 4));
        text.push_str(bare);
        text.push('\n');
    }
    text
}

/// The connection manager of a listener's only chain.
pub(crate) fn manager(bytes: &[u8]) -> HttpConnectionManager {
    let any = Any::decode(bytes).unwrap();
    let listener = Listener::decode(any.value.as_slice()).unwrap();
    let filter = listener.filter_chains[0].filters.last().unwrap().clone();
    let Some(ConfigType::TypedConfig(any)) = filter.config_type else {
        panic!("no connection manager");
    };
    HttpConnectionManager::decode(any.value.as_slice()).unwrap()
}

fn message(any: &Any) -> String {
    fn of<M: Message + Name + Default + Debug>(any: &Any) -> Option<String> {
        (any.type_url == M::type_url()).then(|| format!("{:#?}", M::decode(any.value.as_slice()).unwrap()))
    }
    of::<Cluster>(any)
        .or_else(|| of::<ClusterLoadAssignment>(any))
        .or_else(|| of::<Listener>(any))
        .or_else(|| of::<Secret>(any))
        .or_else(|| of::<OpenTelemetryConfig>(any))
        .or_else(|| logged_members(any))
        .or_else(|| of::<FileAccessLog>(any))
        .or_else(|| of::<StderrAccessLog>(any))
        .or_else(|| of::<StdoutAccessLog>(any))
        .or_else(|| of::<TlsInspector>(any))
        .or_else(|| of::<OriginalDst>(any))
        .or_else(|| of::<Rbac>(any))
        .or_else(|| of::<ConnectionLimit>(any))
        .or_else(|| of::<TcpProxy>(any))
        .or_else(|| of::<MtlsAuthenticated>(any))
        .or_else(|| of::<DownstreamTlsContext>(any))
        .or_else(|| of::<UpstreamTlsContext>(any))
        .or_else(|| of::<HttpConnectionManager>(any))
        .or_else(|| verified_tokens(any))
        .or_else(|| request_policies(any))
        .or_else(|| of::<TypedExtensionConfig>(any))
        .or_else(|| of::<Lua>(any))
        .or_else(|| of::<Router>(any))
        .or_else(|| of::<GrpcStats>(any))
        .or_else(|| of::<GrpcBridge>(any))
        .or_else(|| of::<HeaderMutation>(any))
        .or_else(|| of::<HttpProtocolOptions>(any))
        .or_else(|| of::<RouteConfiguration>(any))
        .or_else(|| of::<SpiffeCertValidatorConfig>(any))
        .or_else(|| of::<Aggregate>(any))
        .or_else(|| of::<PreviousPrioritiesConfig>(any))
        .unwrap_or_else(|| panic!("unknown type {}", any.type_url))
}

/// Providers by name: in the message they are a map, which has no order.
fn verified_tokens(any: &Any) -> Option<String> {
    if any.type_url != JwtAuthentication::type_url() {
        return None;
    }
    let message = JwtAuthentication::decode(any.value.as_slice()).unwrap();
    let providers: BTreeMap<_, _> = message.providers.into_iter().collect();
    Some(format!(
        "JwtAuthentication {{\n    providers: {providers:#?},\n    rules: {:#?},\n}}",
        message.rules
    ))
}

/// Policies by name: in the message they are a map, which has no order.
fn request_policies(any: &Any) -> Option<String> {
    if any.type_url != HttpRbac::type_url() {
        return None;
    }
    let Some(rules) = HttpRbac::decode(any.value.as_slice()).unwrap().rules else {
        return Some("Rbac {}".to_owned());
    };
    let policies: BTreeMap<_, _> = rules.policies.into_iter().collect();
    Some(format!(
        "Rbac {{\n    action: {},\n    policies: {policies:#?},\n}}",
        rules.action
    ))
}

/// A log of JSON objects with their members by name: in the message they are a map, which has no order.
fn logged_members(any: &Any) -> Option<String> {
    let url = &any.type_url;
    let (place, format) = if *url == FileAccessLog::type_url() {
        let log = FileAccessLog::decode(any.value.as_slice()).unwrap();
        let file_access_log::AccessLogFormat::LogFormat(format) = log.access_log_format? else {
            return None;
        };
        (format!("file {:?}", log.path), format.format)
    } else if *url == StdoutAccessLog::type_url() {
        let log = StdoutAccessLog::decode(any.value.as_slice()).unwrap();
        let stdout_access_log::AccessLogFormat::LogFormat(format) = log.access_log_format?;
        ("stdout".to_owned(), format.format)
    } else if *url == StderrAccessLog::type_url() {
        let log = StderrAccessLog::decode(any.value.as_slice()).unwrap();
        let stderr_access_log::AccessLogFormat::LogFormat(format) = log.access_log_format?;
        ("stderr".to_owned(), format.format)
    } else {
        return None;
    };
    match format {
        Some(Format::JsonFormat(members)) => {
            let json = sorted(members);
            Some(format!("{:#?}", JsonLog { place, json }))
        }
        _ => None,
    }
}

/// A log of JSON objects.
#[derive(Debug)]
#[allow(dead_code, reason = "shown by its Debug")]
struct JsonLog {
    place: String,
    json: BTreeMap<String, String>,
}

fn sorted(members: Struct) -> BTreeMap<String, String> {
    let text = |value: Value| match value.kind {
        Some(Kind::StructValue(inner)) => format!("{:?}", sorted(inner)),
        Some(Kind::StringValue(text)) => text,
        kind => format!("{kind:?}"),
    };
    let members = members.fields.into_iter();
    members.map(|(name, value)| (name, text(value))).collect()
}

/// Opens every nested `Any`, whose value `Debug` shows as a list of numbers.
fn opened(text: &str) -> String {
    let mut out = String::new();
    let mut lines = text.lines();
    let mut url = "";
    while let Some(line) = lines.next() {
        let trimmed = line.trim();
        if let Some(rest) = trimmed.strip_prefix("type_url: ") {
            url = rest.trim_matches(['"', ',']);
        }
        let value = match trimmed {
            "value: []," if !url.is_empty() => Some(Vec::new()),
            "value: [" => Some(
                lines
                    .by_ref()
                    .map(str::trim)
                    .take_while(|l| *l != "],")
                    .map(|l| l.trim_end_matches(',').parse().unwrap())
                    .collect(),
            ),
            _ => None,
        };
        if let Some(value) = value {
            let indent = &line[..line.len() - trimmed.len()];
            for nested in opened(&message(&Any {
                type_url: std::mem::take(&mut url).to_owned(),
                value,
            }))
            .lines()
            {
                out.push_str(&format!("{indent}{nested}\n"));
            }
        } else if ![": None,", ": [],", ": \"\",", ": {},", ": false,"]
            .iter()
            .any(|unset| line.ends_with(unset))
        {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

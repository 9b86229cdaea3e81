//! What a proxy writes about connections and requests.

use crate::packed::inline;
use envoy_types::pb::envoy::config::accesslog::v3::access_log::ConfigType;
use envoy_types::pb::envoy::config::accesslog::v3::access_log_filter::FilterSpecifier;
use envoy_types::pb::envoy::config::accesslog::v3::{
    AccessLog as EnvoyAccessLog, AccessLogFilter, ResponseFlagFilter,
};
use envoy_types::pb::envoy::config::core::v3::SubstitutionFormatString;
use envoy_types::pb::envoy::config::core::v3::substitution_format_string::Format;
use envoy_types::pb::envoy::extensions::access_loggers::file::v3::{FileAccessLog, file_access_log};
use envoy_types::pb::envoy::extensions::access_loggers::stream::v3::{
    StderrAccessLog, StdoutAccessLog, stderr_access_log, stdout_access_log,
};
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{Any, ListValue, NullValue, Struct, Value};
use envoy_types::util::pack_any;
use peerway_mesh::AccessLog;
use peerway_model::config::{LogFormat, LogSink};
use serde_json::Value as Json;

/// Envoy's flag of a connection that fits no chain, and of a request that fits no route.
const NO_ROUTE: &str = "NR";

/// The members of a line unless an operator says otherwise, and Envoy's operators for them; those of Consul, so that
/// what reads its proxies' logs reads ours (xDS facts, section 7.10).
const USUAL: [(&str, &str); 24] = [
    ("start_time", "%START_TIME%"),
    ("route_name", "%ROUTE_NAME%"),
    ("method", "%REQ(:METHOD)%"),
    ("path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"),
    ("protocol", "%PROTOCOL%"),
    ("response_code", "%RESPONSE_CODE%"),
    ("response_flags", "%RESPONSE_FLAGS%"),
    ("response_code_details", "%RESPONSE_CODE_DETAILS%"),
    (
        "connection_termination_details",
        "%CONNECTION_TERMINATION_DETAILS%",
    ),
    ("bytes_received", "%BYTES_RECEIVED%"),
    ("bytes_sent", "%BYTES_SENT%"),
    ("duration", "%DURATION%"),
    ("upstream_service_time", "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"),
    ("x_forwarded_for", "%REQ(X-FORWARDED-FOR)%"),
    ("user_agent", "%REQ(USER-AGENT)%"),
    ("request_id", "%REQ(X-REQUEST-ID)%"),
    ("authority", "%REQ(:AUTHORITY)%"),
    ("upstream_host", "%UPSTREAM_HOST%"),
    ("upstream_cluster", "%UPSTREAM_CLUSTER%"),
    ("upstream_local_address", "%UPSTREAM_LOCAL_ADDRESS%"),
    ("downstream_local_address", "%DOWNSTREAM_LOCAL_ADDRESS%"),
    ("downstream_remote_address", "%DOWNSTREAM_REMOTE_ADDRESS%"),
    ("requested_server_name", "%REQUESTED_SERVER_NAME%"),
    (
        "upstream_transport_failure_reason",
        "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
    ),
];

/// The log of everything that goes through a chain.
pub(crate) fn of_chain(log: Option<&AccessLog>) -> Vec<EnvoyAccessLog> {
    log.map(|log| logger(log, None)).into_iter().collect()
}

/// The log of a listener itself: of connections that fit none of its chains, which no chain can tell of.
pub(crate) fn of_listener(log: Option<&AccessLog>) -> Vec<EnvoyAccessLog> {
    let unmatched = AccessLogFilter {
        filter_specifier: Some(FilterSpecifier::ResponseFlagFilter(ResponseFlagFilter {
            flags: vec![NO_ROUTE.to_owned()],
        })),
    };
    log.filter(|log| log.unmatched)
        .map(|log| logger(log, Some(unmatched)))
        .into_iter()
        .collect()
}

fn logger(log: &AccessLog, filter: Option<AccessLogFilter>) -> EnvoyAccessLog {
    let format = format(&log.format);
    let (name, config): (_, Any) = match &log.sink {
        LogSink::Stdout => (
            "envoy.access_loggers.stdout",
            pack_any(StdoutAccessLog {
                access_log_format: Some(stdout_access_log::AccessLogFormat::LogFormat(format)),
            }),
        ),
        LogSink::Stderr => (
            "envoy.access_loggers.stderr",
            pack_any(StderrAccessLog {
                access_log_format: Some(stderr_access_log::AccessLogFormat::LogFormat(format)),
            }),
        ),
        LogSink::File(path) => (
            "envoy.access_loggers.file",
            pack_any(FileAccessLog {
                path: path.clone(),
                access_log_format: Some(file_access_log::AccessLogFormat::LogFormat(format)),
            }),
        ),
    };
    EnvoyAccessLog {
        name: name.to_owned(),
        filter,
        config_type: Some(ConfigType::TypedConfig(config)),
    }
}

fn format(format: &LogFormat) -> SubstitutionFormatString {
    let format = match format {
        LogFormat::Text(text) => {
            let end = if text.ends_with('\n') { "" } else { "\n" };
            Format::TextFormatSource(inline(format!("{text}{end}")))
        }
        LogFormat::Json(text) => Format::JsonFormat(members(text).unwrap_or_else(usual)),
        LogFormat::Usual => Format::JsonFormat(usual()),
    };
    SubstitutionFormatString {
        format: Some(format),
        ..SubstitutionFormatString::default()
    }
}

fn usual() -> Struct {
    let member = |(key, operator): (&str, &str)| {
        let value = Value {
            kind: Some(Kind::StringValue(operator.to_owned())),
        };
        (key.to_owned(), value)
    };
    Struct {
        fields: USUAL.into_iter().map(member).collect(),
    }
}

/// The members of a JSON object; `None` for any other text, which is refused when it is written.
fn members(text: &str) -> Option<Struct> {
    match serde_json::from_str(text).ok()? {
        Json::Object(members) => Some(object(members)),
        _ => None,
    }
}

fn object(members: serde_json::Map<String, Json>) -> Struct {
    Struct {
        fields: members
            .into_iter()
            .map(|(key, member)| (key, value(member)))
            .collect(),
    }
}

fn value(json: Json) -> Value {
    Value {
        kind: Some(match json {
            Json::Null => Kind::NullValue(i32::from(NullValue::NullValue)),
            Json::Bool(flag) => Kind::BoolValue(flag),
            Json::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
            Json::String(text) => Kind::StringValue(text),
            Json::Array(items) => Kind::ListValue(ListValue {
                values: items.into_iter().map(value).collect(),
            }),
            Json::Object(members) => Kind::StructValue(object(members)),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_line_has_every_member_once() {
        let members = usual().fields;
        assert_eq!(members.len(), USUAL.len());
        assert!(members.contains_key("upstream_cluster"));
    }

    #[test]
    fn a_json_format_keeps_its_types_and_what_is_none_is_replaced() {
        let members = super::members(r#"{ "a": [1, true, null, { "b": "%PROTOCOL%" }] }"#).unwrap();
        let text = format!("{members:?}");
        for part in ["NumberValue(1.0)", "BoolValue(true)", "NullValue", "%PROTOCOL%"] {
            assert!(text.contains(part), "{text}");
        }
        for other in ["", "[]", "{", "\"text\""] {
            assert!(super::members(other).is_none(), "{other}");
        }
        let replaced = format(&LogFormat::Json("[]".to_owned()));
        assert!(
            matches!(replaced.format, Some(Format::JsonFormat(usual)) if usual.fields.len() == USUAL.len())
        );
    }
}

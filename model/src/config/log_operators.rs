//! The operators of access log formats: those that every supported Envoy knows, in the forms that it takes. One that it
//! cannot read makes a proxy refuse all of its listeners. The lists are what `envoy --mode validate` of the oldest and
//! the newest supported version accepts; [`log_operator_examples`] has them all, for a test that
//! gives them to real ones.

use std::ops::RangeInclusive;

/// Longest text that an operator may be cut to, in bytes.
const LENGTHS: RangeInclusive<u32> = 1..=65_536;

/// Operators that stand alone.
const ALONE: [&str; 110] = [
    "ACCESS_LOG_TYPE",
    "BYTES_RECEIVED",
    "BYTES_RETRANSMITTED",
    "BYTES_SENT",
    "CONNECTION_ID",
    "CONNECTION_TERMINATION_DETAILS",
    "CUSTOM_FLAGS",
    "DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED",
    "DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_SENT",
    "DOWNSTREAM_DIRECT_LOCAL_ADDRESS",
    "DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT",
    "DOWNSTREAM_DIRECT_LOCAL_PORT",
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS",
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT",
    "DOWNSTREAM_DIRECT_REMOTE_PORT",
    "DOWNSTREAM_HANDSHAKE_DURATION",
    "DOWNSTREAM_HEADER_BYTES_RECEIVED",
    "DOWNSTREAM_HEADER_BYTES_SENT",
    "DOWNSTREAM_LOCAL_ADDRESS",
    "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
    "DOWNSTREAM_LOCAL_DNS_SAN",
    "DOWNSTREAM_LOCAL_EMAIL_SAN",
    "DOWNSTREAM_LOCAL_IP_SAN",
    "DOWNSTREAM_LOCAL_OTHERNAME_SAN",
    "DOWNSTREAM_LOCAL_PORT",
    "DOWNSTREAM_LOCAL_SUBJECT",
    "DOWNSTREAM_LOCAL_URI_SAN",
    "DOWNSTREAM_PEER_CERT",
    "DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_1",
    "DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256",
    "DOWNSTREAM_PEER_CHAIN_SERIALS",
    "DOWNSTREAM_PEER_DNS_SAN",
    "DOWNSTREAM_PEER_EMAIL_SAN",
    "DOWNSTREAM_PEER_FINGERPRINT_1",
    "DOWNSTREAM_PEER_FINGERPRINT_256",
    "DOWNSTREAM_PEER_IP_SAN",
    "DOWNSTREAM_PEER_ISSUER",
    "DOWNSTREAM_PEER_OTHERNAME_SAN",
    "DOWNSTREAM_PEER_SERIAL",
    "DOWNSTREAM_PEER_SUBJECT",
    "DOWNSTREAM_PEER_URI_SAN",
    "DOWNSTREAM_REMOTE_ADDRESS",
    "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
    "DOWNSTREAM_REMOTE_PORT",
    "DOWNSTREAM_TLS_CIPHER",
    "DOWNSTREAM_TLS_SESSION_ID",
    "DOWNSTREAM_TLS_VERSION",
    "DOWNSTREAM_TRANSPORT_FAILURE_REASON",
    "DOWNSTREAM_WIRE_BYTES_RECEIVED",
    "DOWNSTREAM_WIRE_BYTES_SENT",
    "DURATION",
    "FILTER_CHAIN_NAME",
    "GRPC_STATUS_NUMBER",
    "HOSTNAME",
    "LOCAL_REPLY_BODY",
    "PACKETS_RETRANSMITTED",
    "PROTOCOL",
    "REQUESTED_SERVER_NAME",
    "REQUEST_DURATION",
    "REQUEST_HEADERS_BYTES",
    "REQUEST_TX_DURATION",
    "RESPONSE_CODE",
    "RESPONSE_DURATION",
    "RESPONSE_FLAGS",
    "RESPONSE_FLAGS_LONG",
    "RESPONSE_HEADERS_BYTES",
    "RESPONSE_TRAILERS_BYTES",
    "RESPONSE_TX_DURATION",
    "ROUNDTRIP_DURATION",
    "ROUTE_NAME",
    "STREAM_ID",
    "TLS_JA3_FINGERPRINT",
    "TLS_JA4_FINGERPRINT",
    "TRACE_ID",
    "UNIQUE_ID",
    "UPSTREAM_CLUSTER",
    "UPSTREAM_CLUSTER_RAW",
    "UPSTREAM_CONNECTION_ID",
    "UPSTREAM_CONNECTION_POOL_READY_DURATION",
    "UPSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED",
    "UPSTREAM_DECOMPRESSED_HEADER_BYTES_SENT",
    "UPSTREAM_HEADER_BYTES_RECEIVED",
    "UPSTREAM_HEADER_BYTES_SENT",
    "UPSTREAM_HOST",
    "UPSTREAM_HOST_NAME",
    "UPSTREAM_HOST_NAME_WITHOUT_PORT",
    "UPSTREAM_LOCAL_ADDRESS",
    "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
    "UPSTREAM_LOCAL_DNS_SAN",
    "UPSTREAM_LOCAL_IP_SAN",
    "UPSTREAM_LOCAL_PORT",
    "UPSTREAM_LOCAL_URI_SAN",
    "UPSTREAM_PEER_CERT",
    "UPSTREAM_PEER_DNS_SAN",
    "UPSTREAM_PEER_IP_SAN",
    "UPSTREAM_PEER_ISSUER",
    "UPSTREAM_PEER_SUBJECT",
    "UPSTREAM_PEER_URI_SAN",
    "UPSTREAM_PROTOCOL",
    "UPSTREAM_REMOTE_ADDRESS",
    "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
    "UPSTREAM_REMOTE_PORT",
    "UPSTREAM_REQUEST_ATTEMPT_COUNT",
    "UPSTREAM_TLS_CIPHER",
    "UPSTREAM_TLS_SESSION_ID",
    "UPSTREAM_TLS_VERSION",
    "UPSTREAM_TRANSPORT_FAILURE_REASON",
    "UPSTREAM_WIRE_BYTES_RECEIVED",
    "UPSTREAM_WIRE_BYTES_SENT",
    "VIRTUAL_CLUSTER_NAME",
];
/// Operators that may have a format, of which Envoy takes any.
const FORMATTED: [&str; 9] = [
    "DOWNSTREAM_PEER_CERT_V_END",
    "DOWNSTREAM_PEER_CERT_V_START",
    "EMIT_TIME",
    "EMIT_TIME_LOCAL",
    "RESPONSE_CODE_DETAILS",
    "START_TIME",
    "START_TIME_LOCAL",
    "UPSTREAM_PEER_CERT_V_END",
    "UPSTREAM_PEER_CERT_V_START",
];
/// Operators with a name of a header, and perhaps another one that counts where the first is missing.
const HEADERS: [&str; 3] = ["REQ", "RESP", "TRAILER"];
/// Operators with a name of anything else that can be cut.
const NAMED: [&str; 2] = ["ENVIRONMENT", "QUERY_PARAM"];
/// Operators with a name that cannot be cut everywhere.
const UNCUT: [&str; 3] = ["CLUSTER_METADATA", "DYNAMIC_METADATA", "UPSTREAM_METADATA"];
/// Where metadata may come from.
const METADATA: [&str; 6] = [
    "DYNAMIC",
    "CLUSTER",
    "UPSTREAM_HOST",
    "ROUTE",
    "LISTENER",
    "VIRTUAL_HOST",
];

/// Operators that need more than a name, each in its forms.
const PARTICULAR: [&str; 14] = [
    "%METADATA(DYNAMIC:a:b):9%",
    "%METADATA(CLUSTER:a)%",
    "%METADATA(UPSTREAM_HOST:a)%",
    "%METADATA(ROUTE:a)%",
    "%METADATA(LISTENER:a)%",
    "%METADATA(VIRTUAL_HOST:a)%",
    "%FILTER_STATE(a):9%",
    "%FILTER_STATE(a:PLAIN)%",
    "%UPSTREAM_FILTER_STATE(a:FIELD:b)%",
    "%COMMON_DURATION(a:b)%",
    "%COMMON_DURATION(a:b:us)%",
    "%PATH%",
    "%PATH(WQ:ORIG_OR_PATH):9%",
    "%GRPC_STATUS(SNAKE_STRING)%",
];

/// Every operator that is taken, in every form: for a test that asks Envoys.
pub fn log_operator_examples() -> Vec<String> {
    let mut all: Vec<String> = PARTICULAR.map(str::to_owned).to_vec();
    all.extend(ALONE.iter().map(|name| format!("%{name}%")));
    for name in FORMATTED {
        all.extend([format!("%{name}%"), format!("%{name}(%s)%")]);
    }
    for name in HEADERS {
        all.extend([format!("%{name}(X-A)%"), format!("%{name}(X-A?:PATH):9%")]);
    }
    for name in NAMED {
        all.extend([format!("%{name}(a)%"), format!("%{name}(a):9%")]);
    }
    all.extend(UNCUT.iter().map(|name| format!("%{name}(a:b)%")));
    all
}

/// Whether every supported Envoy knows an operator: its name, what stands in its parentheses, and the length that it is
/// cut to.
pub(super) fn is_known(name: &str, arguments: Option<&str>, length: Option<&str>) -> bool {
    // Envoy reads no line ends there, and in JSON a backslash may become one.
    if arguments.is_some_and(|text| text.contains('\\') || text.chars().any(char::is_control)) {
        return false;
    }
    let cut = match length {
        None => true,
        Some(digits) => digits.parse().is_ok_and(|length| LENGTHS.contains(&length)),
    };
    let given = arguments.unwrap_or_default();
    let parts: Vec<&str> = given.split(':').collect();
    match name {
        _ if ALONE.contains(&name) => arguments.is_none() && length.is_none(),
        _ if FORMATTED.contains(&name) => length.is_none(),
        _ if HEADERS.contains(&name) => is_header_or_two(given) && cut,
        _ if NAMED.contains(&name) => !given.is_empty() && cut,
        _ if UNCUT.contains(&name) => !given.is_empty() && length.is_none(),
        "METADATA" => METADATA.contains(&parts[0]) && cut,
        "FILTER_STATE" | "UPSTREAM_FILTER_STATE" => {
            let how = parts.get(1..).unwrap_or_default();
            let said = matches!(how, [] | ["PLAIN" | "TYPED"])
                || matches!(how, ["FIELD", field] if !field.is_empty());
            !parts[0].is_empty() && said && cut
        }
        "COMMON_DURATION" => {
            let unit = matches!(parts.as_slice(), [_, _] | [_, _, "ms" | "us" | "ns"]);
            unit && length.is_none()
        }
        "PATH" => {
            let query = arguments.is_none() || matches!(parts[0], "WQ" | "NQ");
            let which = parts.get(1..).unwrap_or_default();
            query && matches!(which, [] | ["ORIG" | "PATH" | "ORIG_OR_PATH"]) && cut
        }
        "GRPC_STATUS" => {
            let how = arguments.is_none() || matches!(given, "CAMEL_STRING" | "SNAKE_STRING" | "NUMBER");
            how && length.is_none()
        }
        _ => false,
    }
}

fn is_header_or_two(text: &str) -> bool {
    let names: Vec<&str> = text.split('?').collect();
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    let is_name = |name: &&str| {
        let bare = name.strip_prefix(':').unwrap_or(name);
        !bare.is_empty() && bare.bytes().all(token)
    };
    names.len() <= 2 && names.iter().all(is_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operator_has_what_it_needs_and_no_more() {
        for (name, arguments, length) in [
            ("PROTOCOL", None, None),
            ("REQ", Some("X-A?:PATH"), Some("10")),
            ("START_TIME", Some("%s.%3f"), None),
            ("FILTER_STATE", Some("a:FIELD:b"), None),
            ("METADATA", Some("ROUTE:a:b"), Some("5")),
            ("COMMON_DURATION", Some("a:b:ms"), None),
            ("PATH", None, None),
            ("PATH", Some("NQ:ORIG"), Some("9")),
            ("GRPC_STATUS", Some("NUMBER"), None),
        ] {
            assert!(
                is_known(name, arguments, length),
                "{name} {arguments:?} {length:?}"
            );
        }
        for (name, arguments, length) in [
            ("NOPE", None, None),
            ("CEL", Some("1 +"), None),
            ("PROTOCOL", Some("a"), None),
            ("PROTOCOL", None, Some("5")),
            ("REQ", None, None),
            ("REQ", Some(""), None),
            ("REQ", Some("a?b?c"), None),
            ("REQ", Some("a b"), None),
            ("REQ", Some("a"), Some("99999999999999999999")),
            ("START_TIME", Some("a\\n"), None),
            ("START_TIME", Some("a\n"), None),
            ("METADATA", Some("NOPE:a"), None),
            ("FILTER_STATE", Some("a:x"), None),
            ("FILTER_STATE", Some("a:FIELD"), None),
            ("COMMON_DURATION", Some("a:b:x"), None),
            ("COMMON_DURATION", Some("a"), None),
            ("PATH", Some("x"), None),
            ("PATH", Some("WQ:x"), None),
            ("GRPC_STATUS", Some("x"), None),
            ("UPSTREAM_HOSTS_ATTEMPTED", None, None),
        ] {
            assert!(
                !is_known(name, arguments, length),
                "{name} {arguments:?} {length:?}"
            );
        }
    }
}

//! API gateways and what attaches itself to them, as operators write it.

use super::*;

const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
const KEY: &str = "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n";

#[test]
fn what_is_written_is_read_back_as_the_same_entry() {
    for value in [
        json!({"Kind": "api-gateway", "Name": "front"}),
        json!({"Kind": "api-gateway", "Name": "front", "Partition": "billing", "Namespace": "team", "Meta": {"a": "b"},
            "Status": {"Conditions": []}, "Listeners": [
                {"Name": "a", "Port": 80, "Protocol": "http", "Hostname": "*.a.com"},
                {"Name": "b", "Port": 443, "Protocol": "http", "TLS": {"MinVersion": "TLSv1_3",
                    "Certificates": [{"Kind": "inline-certificate", "Name": "c"}]}},
                {"Name": "c", "Port": 90, "Protocol": "tcp", "TLS": {}}]}),
        json!({"Kind": "http-route", "Name": "r", "Hostnames": ["a.com"],
            "Parents": [{"Kind": "api-gateway", "Name": "front", "SectionName": "a"}, {"Name": "other"}],
            "Rules": [
                {"Services": [{"Name": "api"}]},
                {"Matches": [
                    {"Path": {"Match": "exact", "Value": "/a"}, "Method": "get",
                        "Headers": [{"Name": "a", "Match": "present"}, {"Name": "b", "Match": "prefix", "Value": "1"},
                            {"Name": "c", "Match": "suffix", "Value": "2"}, {"Name": "d", "Value": "3"}],
                        "Query": [{"Name": "q", "Match": "regex", "Value": "a+"}, {"Name": "p", "Match": "present"}]},
                    {"Path": {"Value": "/b"}}],
                 "Filters": {"Headers": [{"Add": {"x-a": "1"}}, {"Remove": ["x-b"]}], "URLRewrite": {"Path": "/c"},
                    "RetryFilter": {"NumRetries": 2, "RetryOn": ["5xx"], "RetryOnStatusCodes": [503],
                        "RetryOnConnectFailure": true},
                    "TimeoutFilter": {"RequestTimeout": "2s", "IdleTimeout": "1m"}},
                 "ResponseFilters": {"Headers": [{"Set": {"x-c": "1"}}]},
                 "Services": [
                    {"Name": "api", "Weight": 3, "Filters": {"Headers": [{"Set": {"x-d": "1"}}]},
                        "ResponseFilters": {"Headers": [{"Remove": ["x-e"]}]}},
                    {"Name": "api", "Peer": "west", "Namespace": "team"},
                    {"Name": "api", "Partition": "other"}]}]}),
        json!({"Kind": "tcp-route", "Name": "t", "Parents": [{"Name": "front"}],
            "Services": [{"Name": "db", "Peer": "west", "Weight": 1}]}),
    ] {
        let entry = config(value).unwrap();
        let written = config_entry_to_json(&entry, None);
        let again = config(written.clone()).map_err(|error| error.to_string());
        assert_eq!(again, Ok(entry), "{written}");
    }
}

#[test]
fn a_key_is_taken_and_never_given_back() {
    let entry = config(
        json!({"Kind": "inline-certificate", "Name": "c", "Certificate": CERTIFICATE, "PrivateKey": KEY}),
    );
    let entry = entry.unwrap();
    let written = config_entry_to_json(&entry, None);
    assert_eq!(written["Certificate"], CERTIFICATE);
    assert!(written.get("PrivateKey").is_none());
    assert!(!format!("{entry:?}").contains("PRIVATE KEY"));
    // What was read cannot be written back without the key.
    let error = config(written).unwrap_err().to_string();
    assert!(error.starts_with("PrivateKey: is required"), "{error}");
}

#[test]
fn refusals_name_the_field_and_the_cure() {
    let gateway = |listener: Value| json!({"Kind": "api-gateway", "Name": "front", "Listeners": [listener]});
    let route = |rule: Value| json!({"Kind": "http-route", "Name": "r", "Rules": [rule]});
    let services = json!([{"Name": "api"}]);
    for (value, field) in [
        (
            gateway(json!({"Name": "a", "Port": 80, "Protocol": "grpc"})),
            "Listeners[0].Protocol: is \"grpc\", use \"http\"",
        ),
        (
            gateway(json!({"Name": "a", "Port": 80})),
            "Listeners[0].Protocol: is required",
        ),
        (
            gateway(json!({"Name": "a", "Port": 80, "Protocol": "tcp", "Hostname": "a.com"})),
            "Listeners[0].Hostname: needs requests",
        ),
        (
            gateway(json!({"Name": "a", "Port": 80, "Protocol": "http",
                "TLS": {"Certificates": [{"Kind": "file-system-certificate", "Name": "c"}]}})),
            "Listeners[0].TLS.Certificates[0].Kind: is \"file-system-certificate\"",
        ),
        (
            gateway(json!({"Name": "a", "Port": 80, "Protocol": "http", "TLS": {"MinVersion": "TLSv1_3"}})),
            "Listeners[0].TLS.Certificates: needs at least one",
        ),
        (
            gateway(
                json!({"Name": "a", "Port": 80, "Protocol": "http", "TLS": {"MinVersion": "TLSv1_3",
                "MaxVersion": "TLSv1_2", "Certificates": [{"Kind": "inline-certificate", "Name": "c"}]}}),
            ),
            "Listeners[0].TLS.MinVersion: is above MaxVersion",
        ),
        (
            gateway(
                json!({"Name": "a", "Port": 80, "Protocol": "http", "Default": {"JWT": {"Providers": [{"Name": "p"}]}}}),
            ),
            "Listeners[0].Default: is for JWT",
        ),
        (
            json!({"Kind": "http-route", "Name": "r", "Parents": [{"Name": "front", "Namespace": "team"}]}),
            "Parents[0]: is elsewhere",
        ),
        (
            json!({"Kind": "http-route", "Name": "r", "Parents": [{"Kind": "ingress-gateway", "Name": "front"}]}),
            "Parents[0].Kind: is \"ingress-gateway\"",
        ),
        (
            route(json!({"Filters": {"JWT": {"Providers": [{"Name": "p"}]}}, "Services": services})),
            "Rules[0].Filters.JWT: is not offered at gateways",
        ),
        (route(json!({})), "Rules[0].Services: needs at least one"),
        (
            route(json!({"Filters": {"URLRewrite": {"Path": "/a"}}, "Services": services})),
            "Rules[0].Matches: needs one with a Path",
        ),
        (
            route(json!({"Matches": [{"Path": {"Match": "regex", "Value": "/a+"}}],
                "Filters": {"URLRewrite": {"Path": "/a"}}, "Services": services})),
            "Rules[0].Matches[0].Path: needs to be exact or a prefix",
        ),
        (
            route(json!({"Matches": [{"Path": {"Value": "a"}}], "Services": services})),
            "Rules[0].Matches[0].Path.Value: is \"a\", must begin",
        ),
        (
            route(json!({"Matches": [{"Headers": [{"Name": "a", "Value": ""}]}], "Services": services})),
            "Rules[0].Matches[0].Headers[0].Value: must not be empty",
        ),
        (
            route(json!({"Matches": [{"Method": "FETCH"}], "Services": services})),
            "Rules[0].Matches[0].Method: is \"FETCH\"",
        ),
        (
            route(json!({"Filters": {"Headers": [{"Set": {"host": "a"}}]}, "Services": services})),
            "Rules[0].Filters.Headers.Set.host",
        ),
        (
            route(json!({"Filters": {"RetryFilter": {"RetryOn": ["often"]}}, "Services": services})),
            "Rules[0].Filters.RetryFilter.RetryOn[0]",
        ),
        (
            route(json!({"Filters": {"TimeoutFilter": {"RequestTimeout": "25h"}}, "Services": services})),
            "Rules[0].Filters.TimeoutFilter.RequestTimeout",
        ),
        (
            route(json!({"Services": [{"Name": "api", "Filters": {"URLRewrite": {"Path": "/"}}}]})),
            "Rules[0].Services[0].Filters.URLRewrite: is said for all services of a rule",
        ),
        (
            route(json!({"Services": [{"Name": "api", "Weight": 0}]})),
            "Rules[0].Services: needs one with a Weight above 0",
        ),
        (
            route(json!({"Services": [{"Name": "api"}, {"Name": "api"}]})),
            "Rules[0].Services[1]: is a service that this rule has",
        ),
        (
            json!({"Kind": "tcp-route", "Name": "t", "Services": [{"Name": "a"}, {"Name": "b"}]}),
            "Services: has more than one service",
        ),
        (
            json!({"Kind": "tcp-route", "Name": "t"}),
            "Services: needs a service",
        ),
        (
            json!({"Kind": "inline-certificate", "Name": "c", "Certificate": "text", "PrivateKey": KEY}),
            "Certificate: is not PEM text",
        ),
    ] {
        let error = config(value).unwrap_err().to_string();
        assert!(error.starts_with(field), "{field}: {error}");
    }
}

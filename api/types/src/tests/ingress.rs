//! What gateways at the edge let in, as operators write it.

use super::*;
use peerway_model::config::IngressGateway;

fn read(value: &Value) -> Result<ConfigEntry, String> {
    config_entry_from_json(value, &Tenancy::default()).map_err(|error| error.to_string())
}

fn ingress(value: &Value) -> IngressGateway {
    match read(value).unwrap() {
        ConfigEntry::IngressGateway(entry) => entry,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_written_is_read_back_as_the_same_entry() {
    for value in [
        json!({"Kind": "ingress-gateway", "Name": "edge"}),
        json!({"Kind": "ingress-gateway", "Name": "edge", "Partition": "billing", "Namespace": "team",
            "Meta": {"a": "b"}, "TLS": {"Enabled": true, "TLSMinVersion": "TLSv1_3"},
            "Defaults": {"MaxConnections": 7, "PassiveHealthCheck": {"MaxFailures": 3}},
            "Listeners": [
                {"Port": 80, "Protocol": "http", "TLS": {"Enabled": false}, "Services": [
                    {"Name": "*"},
                    {"Name": "api", "Hosts": ["a.com", "*.a.com"], "MaxPendingRequests": 0,
                        "RequestHeaders": {"Set": {"x-a": "1"}}, "ResponseHeaders": {"Remove": ["x-b"]}},
                    {"Name": "api", "Peer": "west"},
                    {"Name": "api", "Peer": "west", "Namespace": "team"},
                    {"Name": "api", "Namespace": "default"},
                    {"Name": "api", "Partition": "other"}]},
                {"Port": 443, "Protocol": "grpc", "TLS": {"CipherSuites": []}, "Services": [{"Name": "rpc"}]},
                {"Port": 90, "Services": [{"Name": "db", "Peer": "west"}]}]}),
    ] {
        let entry = read(&value).unwrap();
        let written = config_entry_to_json(&entry, None);
        assert_eq!(read(&written), Ok(entry), "{written}");
    }
}

#[test]
fn what_is_not_said_is_the_gateways_own() {
    let entry = ingress(
        &json!({"Kind": "ingress-gateway", "Name": "edge", "Namespace": "team",
        "Listeners": [{"Port": 80, "Services": [{"Name": "api"}]},
            {"Port": 81, "Services": [{"Name": "api", "Peer": "west"}]}]}),
    );
    let service = |at: usize| entry.listeners[at].services[0].key().unwrap().to_string();
    assert_eq!(service(0), "default/team/api");
    assert_eq!(service(1), "default/default/api?peer=west");
    assert_eq!(entry.listeners[0].protocol.as_str(), "tcp");
}

#[test]
fn refusals_name_the_field_and_the_cure() {
    let with = |listener: Value| json!({"Kind": "ingress-gateway", "Name": "edge", "Listeners": [listener]});
    let sds = json!({"ClusterName": "sds", "CertResource": "cert"});
    for (value, field) in [
        (
            json!({"Kind": "ingress-gateway", "Name": "edge", "TLS": {"SDS": sds}}),
            "TLS.SDS: is not offered: certificates come from the mesh",
        ),
        (
            with(json!({"Port": 80, "TLS": {"SDS": sds}, "Services": [{"Name": "api"}]})),
            "Listeners[0].TLS.SDS: is not offered",
        ),
        (
            with(json!({"Port": 80, "Services": [{"Name": "api", "TLS": {"SDS": sds}}]})),
            "Listeners[0].Services[0].TLS: is not offered",
        ),
        (
            with(json!({"Port": 80, "Protocol": "udp", "Services": [{"Name": "api"}]})),
            "Listeners[0].Protocol: protocol \"udp\" is not offered, use one of",
        ),
        (
            with(json!({"Port": 80, "Services": [{"Name": "api", "Peer": "west", "Partition": "x"}]})),
            "Listeners[0].Services[0].Partition: does not go together with Peer",
        ),
        (
            with(json!({"Port": 80, "Services": [{}]})),
            "Listeners[0].Services[0].Name: is required",
        ),
        (
            with(json!({"Services": [{"Name": "api"}]})),
            "Listeners[0].Port: is required",
        ),
        (
            with(json!({"Port": 80, "Service": [{"Name": "api"}]})),
            "Listeners[0].Service: is not a known field",
        ),
    ] {
        let error = read(&value).unwrap_err();
        assert!(error.starts_with(field), "{field}: {error}");
    }
}

#[test]
fn gateways_at_the_edge_are_registered_without_what_is_for_sidecars() {
    let with = |extra: Value| {
        let mut value = json!({"Kind": "ingress-gateway", "Name": "edge", "Port": 8443});
        if let (Some(value), Some(extra)) = (value.as_object_mut(), extra.as_object()) {
            value.extend(extra.clone());
        }
        register(value).map_err(|error| error.to_string())
    };
    assert!(with(json!({})).is_ok());
    assert!(with(json!({"Port": 0, "Proxy": {"Config": {"bind_address": "10.0.0.1"}}})).is_ok());
    for (extra, field) in [
        (
            json!({"Proxy": {"MeshGateway": {"Mode": "local"}}}),
            "Proxy.MeshGateway: is for sidecars, write MeshGateway into the service-defaults",
        ),
        (
            json!({"Proxy": {"Upstreams": [{"DestinationName": "a", "LocalBindPort": 1}]}}),
            "Proxy.Upstreams",
        ),
        (
            json!({"Proxy": {"DestinationServiceName": "a"}}),
            "Proxy.DestinationServiceName",
        ),
        (json!({"Proxy": {"Mode": "transparent"}}), "Proxy.Mode"),
    ] {
        let error = with(extra).unwrap_err();
        assert!(error.starts_with(field), "{field}: {error}");
    }
}

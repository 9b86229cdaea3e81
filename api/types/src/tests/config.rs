//! Config entries.

use super::*;

#[test]
fn exported_services_are_read_in_either_spelling() {
    let pascal = config(json!({
        "Kind": "exported-services", "Name": "default",
        "Services": [{"Name": "web", "Consumers": [{"Peer": "east"}, {"Partition": "billing"}, {"SamenessGroup": "all"}]}],
        "Meta": {"owner": "a", "rank": 1},
        "CreateIndex": 3, "ModifyIndex": 4, "Hash": 99,
    }))
    .unwrap();
    let snake = config(json!({
        "kind": "exported-services", "name": "default",
        "services": {"name": "web", "consumers": [{"peer_name": "east"}, {"partition": "billing"}, {"sameness_group": "all"}]},
        "meta": {"owner": "a", "rank": "1"},
    }))
    .unwrap();
    assert_eq!(pascal, snake);
    let ConfigEntry::ExportedServices(entry) = pascal else {
        panic!("another kind");
    };
    assert_eq!(entry.meta.get("rank").map(String::as_str), Some("1"));
    assert_eq!(
        entry.services[0].consumers,
        [
            Consumer::Peer(PeerName::new("east").unwrap()),
            Consumer::Partition(Partition::new("billing").unwrap()),
            Consumer::Group(peerway_model::GroupName::new("all").unwrap())
        ]
    );
}

#[test]
fn hcl_gives_the_same_entry_as_json() {
    let hcl = r#"
        Kind = "service-intentions"
        Name = "api"
        Sources = [
          { Name = "web" Action = "allow" Peer = "east" },
        ]
        sources_are_not_this = "x"
    "#;
    let value = crate::hcl::parse(hcl).unwrap();
    let error = config(value).unwrap_err();
    assert_eq!(error.path, "sources_are_not_this");
    let value = crate::hcl::parse(&hcl.replace("sources_are_not_this = \"x\"", "")).unwrap();
    let json = json!({"Kind": "service-intentions", "Name": "api",
        "Sources": [{"Name": "web", "Action": "allow", "Peer": "east"}]});
    assert_eq!(config(value).unwrap(), config(json).unwrap());
}

#[test]
fn local_sources_inherit_the_destinations_tenancy_and_peers_do_not() {
    let entry = config(json!({
        "Kind": "service-intentions", "Name": "api", "Namespace": "team", "Partition": "billing",
        "Sources": [
            {"Name": "web", "Action": "allow"},
            {"Name": "web", "Action": "deny", "Peer": "east"},
            {"Name": "*", "Namespace": "*", "Action": "deny", "Description": "rest"},
        ],
    }))
    .unwrap();
    let ConfigEntry::ServiceIntentions(entry) = entry else {
        panic!("another kind");
    };
    let team = Pattern::Exact(Namespace::new("team").unwrap());
    assert_eq!(entry.namespace, team);
    assert_eq!(entry.sources[0].namespace, team);
    assert_eq!(entry.sources[0].partition.as_str(), "billing");
    assert_eq!(entry.sources[1].namespace, Pattern::Exact(Namespace::default()));
    assert_eq!(entry.sources[1].peer, Some(PeerName::new("east").unwrap()));
    assert_eq!(entry.sources[2].namespace, Pattern::Any);
    assert_eq!(entry.sources[2].verdict, Verdict::Always(Action::Deny));
}

#[test]
fn what_is_written_is_read_back_as_the_same_entry() {
    for value in [
        json!({"Kind": "exported-services", "Name": "billing", "Partition": "billing",
            "Services": [{"Name": "*", "Namespace": "*", "Consumers": [{"Peer": "east"}]}]}),
        json!({"Kind": "service-intentions", "Name": "*", "Namespace": "*", "Partition": "billing",
            "Meta": {"a": "b"}, "Sources": [
                {"Name": "web", "Action": "allow", "Partition": "default"},
                {"Name": "web", "Action": "allow", "Peer": "east", "Namespace": "x"},
                {"Name": "*", "Action": "deny", "Description": "rest"}]}),
        json!({"Kind": "mesh", "Meta": {"a": "b"}}),
        json!({"Kind": "mesh", "TransparentProxy": {"MeshDestinationsOnly": true}}),
        json!({"Kind": "mesh", "Peering": {"PeerThroughMeshGateways": true}}),
        json!({"kind": "mesh", "peering": {"peer_through_mesh_gateways": false}}),
        json!({"Kind": "proxy-defaults", "Name": "global", "MeshGateway": {"Mode": "local"},
            "Config": {"connect_timeout_ms": 1500, "x": [1.5, null, {"y": true}], "protocol": "http2"}}),
        json!({"Kind": "proxy-defaults", "Name": "global", "AccessLogs": {"Enabled": true}}),
        json!({"Kind": "proxy-defaults", "Name": "global", "Mode": "transparent",
            "TransparentProxy": {"OutboundListenerPort": 15002, "DialedDirectly": true}}),
        json!({"kind": "service-defaults", "name": "web", "mode": "direct"}),
        json!({"kind": "service-defaults", "name": "web", "expose": {"checks": false, "paths": [
            {"path": "/health", "local_path_port": 8080, "listener_port": 21500, "parsed_from_check": true},
            {"path": "/metrics", "local_path_port": "8080", "listener_port": "21501", "protocol": "HTTP2"}]}}),
        json!({"kind": "service-defaults", "name": "web", "mode": "transparent",
            "transparent_proxy": {"outbound_listener_port": "15002"}}),
        json!({"Kind": "proxy-defaults", "Name": "global", "Tracing": {"Collector": "[fd00::1]:4317"}}),
        json!({"Kind": "proxy-defaults", "Name": "global",
            "Tracing": {"Collector": "otel.example.com:4317", "SamplingPercent": 0.25}}),
        json!({"Kind": "proxy-defaults", "Name": "global", "AccessLogs": {"Enabled": true,
            "DisableListenerLogs": true, "Type": "file", "Path": "/var/log/e.log", "TextFormat": "%PROTOCOL%"}}),
        json!({"Kind": "proxy-defaults", "Name": "global", "AccessLogs": {"Enabled": false, "Type": "stderr",
            "JSONFormat": "{ \"code\": \"%RESPONSE_CODE%\" }"}}),
        json!({"Kind": "terminating-gateway", "Name": "out"}),
        json!({"kind": "terminating-gateway", "name": "out", "namespace": "team", "meta": {"a": "b"}, "services": [
            {"name": "*", "disable_auto_host_rewrite": true},
            {"name": "db", "namespace": "team", "ca_file": "/ca", "cert_file": "/c", "key_file": "/k", "sni": "db.example"}]}),
        json!({"Kind": "service-defaults", "Name": "web", "Protocol": "http"}),
        json!({"Kind": "service-defaults", "Name": "web", "Protocol": "grpc"}),
        json!({"Kind": "service-defaults", "Name": "web", "Namespace": "team", "Protocol": "tcp",
            "MeshGateway": {"Mode": "remote"}}),
    ] {
        let entry = config(value).unwrap();
        let indexes = ConfigIndexes { create: 3, modify: 7 };
        let written = config_entry_to_json(&entry, Some(indexes));
        assert_eq!(written["ModifyIndex"], 7);
        assert_eq!(config(written).map_err(|error| error.to_string()), Ok(entry));
    }
}

#[test]
fn sources_are_shown_strongest_first_with_their_precedence() {
    let entry = config(json!({"Kind": "service-intentions", "Name": "api", "Sources": [
        {"Name": "*", "Action": "deny"},
        {"Name": "web", "Action": "deny", "SamenessGroup": "all"},
        {"Name": "web", "Action": "allow", "Peer": "east"}]}))
    .unwrap();
    let expected = json!({"Kind": "service-intentions", "Name": "api", "Sources": [
        {"Name": "web", "Action": "deny", "SamenessGroup": "all", "Precedence": 9, "Type": "consul"},
        {"Name": "web", "Action": "allow", "Peer": "east", "Precedence": 9, "Type": "consul"},
        {"Name": "*", "Action": "deny", "Precedence": 8, "Type": "consul"}]});
    assert_eq!(config_entry_to_json(&entry, None), expected);
}

#[test]
fn refusals_name_the_field_and_the_problem() {
    let intentions =
        |source: Value| json!({"Kind": "service-intentions", "Name": "api", "Sources": [source]});
    let exports = |consumer: Value| {
        json!({"Kind": "exported-services", "Name": "default",
            "Services": [{"Name": "web"}, {"Name": "api", "Consumers": [consumer]}]})
    };
    let cases = [
        (
            json!({"Kind": "control-plane-request-limit", "Name": "web"}),
            "Kind: unknown config entry kind",
        ),
        (json!({"Name": "web"}), "Kind: is required"),
        (
            json!({"Kind": "mesh", "Name": "other"}),
            "Name: is \"other\", must be \"mesh\"",
        ),
        (
            json!({"Kind": "mesh", "Colour": 1}),
            "Colour: is not a known field, known are Kind",
        ),
        (
            json!({"Kind": "mesh", "Peering": {"PeerThroughMeshGateways": 1}}),
            "Peering.PeerThroughMeshGateways: is a number, expected true or false",
        ),
        (
            json!({"Kind": "mesh", "Peering": {"Through": true}}),
            "Peering.Through: is not a known field, known are PeerThroughMeshGateways",
        ),
        (
            json!({"Kind": "mesh", "Namespace": "team"}),
            "Namespace: must not be given",
        ),
        (
            json!({"Kind": "mesh", "Meta": {"a": [1]}}),
            "Meta.a: is a list, expected a text",
        ),
        (
            json!({"Kind": "mesh", "Meta": {"consul-a": "b"}}),
            "Meta: key \"consul-a\"",
        ),
        (
            json!({"Kind": "mesh", "kind": "mesh"}),
            "kind: is the same field as \"Kind\"",
        ),
        (
            json!({"Kind": "exported-services", "Name": "web"}),
            "Name: is \"web\", must be \"default\"",
        ),
        (
            exports(json!({"Peer": "East"})),
            "Services[1].Consumers[0].Peer: \"East\" is not a valid peer name",
        ),
        (
            exports(json!({"Peer": "*"})),
            "Services[1].Consumers[0].Peer: \"*\" is not a valid peer name",
        ),
        (
            exports(json!({"SamenessGroup": "*"})),
            "Services[1].Consumers[0].SamenessGroup: \"*\" is not a valid",
        ),
        (
            exports(json!({"SamenessGroup": "g", "Peer": "a"})),
            "Services[1].Consumers[0]: has more than one of",
        ),
        (
            exports(json!({})),
            "Services[1].Consumers[0]: needs a Peer, a Partition or a SamenessGroup",
        ),
        (
            exports(json!({"Peer": "a", "Partition": "b"})),
            "Services[1].Consumers[0]: has more than one of",
        ),
        (
            exports(json!({"Peer": "a", "Oops": 1})),
            "Services[1].Consumers[0].Oops: is not a known field",
        ),
        (
            exports(json!({"Peer": "a"})),
            "Services[0].Consumers: needs at least one consumer",
        ),
        (
            exports(json!("east")),
            "Services[1].Consumers[0]: is a text, expected an object",
        ),
        (
            intentions(json!({"Action": "allow"})),
            "Sources[0].Name: is required",
        ),
        (
            intentions(json!({"Name": "web"})),
            "Sources[0].Action: is required",
        ),
        (
            intentions(json!({"Name": "web", "Action": "permit"})),
            "Sources[0].Action: is \"permit\"",
        ),
        (
            intentions(json!({"Name": "we*", "Action": "deny"})),
            "Sources[0].Name: \"we*\" is not a valid name",
        ),
        (
            intentions(json!({"Name": "web", "Action": "deny", "Peer": "a", "Partition": "b"})),
            "Sources[0].Partition: does not go together with Peer",
        ),
        (
            intentions(json!({"Name": "web", "Action": "deny", "Peer": "a", "SamenessGroup": "b"})),
            "Sources[0].SamenessGroup: does not go together with Peer or Partition",
        ),
        (
            intentions(json!({"Name": "web", "Action": "deny", "Partition": "a", "SamenessGroup": "b"})),
            "Sources[0].SamenessGroup: does not go together with Peer or Partition",
        ),
        (
            json!({"Kind": "service-intentions", "Name": "api", "Sources": []}),
            "Sources: needs at least one source",
        ),
        (
            json!({"Kind": "service-intentions", "Name": "api", "JWT": {"Providers": [{"Named": "x"}]}}),
            "JWT.Providers[0].Name: is required",
        ),
        (
            json!({"Kind": "proxy-defaults", "Name": "global", "Config": {"protocol": "thrift"}}),
            "Config.protocol: protocol \"thrift\" is not offered, use one of tcp, http, http2, grpc",
        ),
        (
            json!({"Kind": "proxy-defaults", "Name": "global", "Config": {"envoy_public_listener_json": "{}"}}),
            "Config.envoy_public_listener_json: is not offered yet",
        ),
        (
            json!({"Kind": "proxy-defaults", "Name": "global", "Tracing": {"SamplingPercent": 1}}),
            "Tracing.Collector",
        ),
        (
            json!({"Kind": "proxy-defaults", "Name": "global", "Tracing": {"Collector": "fd00::1:4317"}}),
            "Tracing.Collector: is \"fd00::1:4317\", write host:port",
        ),
        (
            json!({"Kind": "proxy-defaults", "Name": "global", "Tracing": {"Collector": "a/b:1"}}),
            "Tracing.Collector: has \"a/b\"",
        ),
        (
            json!({"Kind": "proxy-defaults", "Name": "global", "Tracing": {"Collector": "a:1", "SamplingPercent": 100.5}}),
            "Tracing.SamplingPercent: expected a number from 0 to 100",
        ),
        (
            json!({"Kind": "proxy-defaults", "Name": "global", "AccessLogs": {"Enable": true}}),
            "AccessLogs.Enable: is not a known field",
        ),
        (
            json!({"Kind": "proxy-defaults", "Name": "global", "AccessLogs": {"Type": "syslog"}}),
            "AccessLogs.Type: is \"syslog\"",
        ),
        (
            json!({"Kind": "proxy-defaults", "Name": "global", "AccessLogs": {"Type": "file"}}),
            "AccessLogs.Path",
        ),
        (
            json!({"Kind": "proxy-defaults", "Name": "global", "AccessLogs": {"Path": "/a"}}),
            "AccessLogs.Path: is for the Type",
        ),
        (
            json!({"Kind": "proxy-defaults", "Name": "global", "AccessLogs": {"Type": "file", "Path": "a"}}),
            "AccessLogs.Path: is \"a\", give an absolute path",
        ),
        (
            json!({"Kind": "proxy-defaults", "Name": "global", "AccessLogs": {"JSONFormat": "[1]"}}),
            "AccessLogs.JSONFormat: is not the text of a JSON object",
        ),
        (
            json!({"Kind": "proxy-defaults", "Name": "global", "AccessLogs": {"JSONFormat": "{}", "TextFormat": "a"}}),
            "AccessLogs.TextFormat: does not go together",
        ),
        (
            json!({"Kind": "proxy-defaults", "Name": "global", "AccessLogs": {"TextFormat": "50% off"}}),
            "AccessLogs.TextFormat: has no operator",
        ),
        (
            json!({"Kind": "proxy-defaults", "Name": "global", "MeshGateway": {"Mode": "none"}}),
            "MeshGateway.Mode: mode \"none\" is not offered yet",
        ),
        (
            json!({"Kind": "proxy-defaults", "Name": "global", "Mode": "opaque"}),
            "Mode: \"opaque\" is not a mode, use \"direct\" or \"transparent\"",
        ),
        (
            json!({"Kind": "service-defaults", "Name": "web", "TransparentProxy": {"OutboundListenerPort": 70000}}),
            "TransparentProxy.OutboundListenerPort: is 70000, expected a whole number from 0 to 65535",
        ),
        (
            json!({"Kind": "proxy-defaults", "Name": "global", "Expose": {"Checks": true}}),
            "Expose.Checks: would expose the paths of checks that the agent runs, which are not offered: name each path in Paths",
        ),
        (
            json!({"Kind": "proxy-defaults", "Name": "global", "Expose": {"Paths": [
                {"Path": "/a/../b", "LocalPathPort": 1, "ListenerPort": 2}]}}),
            "Expose.Paths[0].Path: has a part '.' or '..'",
        ),
        (
            json!({"Kind": "service-defaults", "Name": "web", "Expose": {"Paths": [
                {"Path": "/a", "LocalPathPort": 1, "ListenerPort": 2},
                {"Path": "/b", "LocalPathPort": 1, "ListenerPort": 2}]}}),
            "Expose.Paths[1].ListenerPort: port 2 is that of another path",
        ),
        (
            json!({"Kind": "service-defaults", "Name": "web", "Expose": {"Paths": [
                {"Path": "/a", "LocalPathPort": 1, "ListenerPort": 2, "Protocol": "grpc"}]}}),
            "Expose.Paths[0].Protocol: \"grpc\" is not one in which a path is asked for",
        ),
        (
            json!({"Kind": "service-defaults", "Name": "web", "Expose": {"Paths": [{"Path": "/a", "ListenerPort": 2}]}}),
            "Expose.Paths[0].LocalPathPort: is required, give the port that the application listens on",
        ),
        (
            json!({"Kind": "service-defaults", "Name": "web", "Destination": {"Addresses": ["a.example"], "Port": 1}}),
            "Destination: is not offered: register the servers as a service with /v1/catalog/register",
        ),
        (
            json!({"Kind": "service-defaults", "Name": "web", "Protocol": "HTTP"}),
            "Protocol: protocol \"HTTP\" is not offered, use one of tcp, http, http2, grpc",
        ),
        (
            json!({"Kind": "service-defaults", "Name": "web", "UpstreamConfig": {"Defaults": {"Protocol": "http"}}}),
            "UpstreamConfig.Defaults.Protocol: is said by the service that is called",
        ),
        (
            json!({"Kind": "service-defaults", "Name": "web", "UpstreamConfig": {"Defaults": {"Name": "api"}}}),
            "UpstreamConfig.Defaults.Name: is for Overrides",
        ),
        (
            json!({"Kind": "service-defaults", "Name": "web",
                "UpstreamConfig": {"Overrides": [{"Name": "api", "Peer": "east", "Partition": "default"}]}}),
            "UpstreamConfig.Overrides[0].Partition: does not go together with Peer",
        ),
        (
            json!({"Kind": "service-defaults", "Name": "web",
                "UpstreamConfig": {"Defaults": {"PassiveHealthCheck": {"MaxEjectionPercent": 101}}}}),
            "UpstreamConfig.Defaults.PassiveHealthCheck.MaxEjectionPercent: must be from 0 to 100",
        ),
        (
            json!({"Kind": "service-defaults", "Name": "web", "BalanceInboundConnections": "even"}),
            "BalanceInboundConnections: is \"even\", \"exact_balance\" is the only one",
        ),
        (
            json!({"Kind": "service-defaults", "Name": "web", "LocalConnectTimeoutMs": 600_001}),
            "LocalConnectTimeoutMs: must be from 1 to 600000 milliseconds",
        ),
        (
            json!({"Kind": "service-defaults", "Name": "web", "ExternalSNI": "db.example.com"}),
            "ExternalSNI: is for servers outside the mesh",
        ),
        (
            json!({"Kind": "service-defaults", "Name": "web", "MutualTLSMode": "permissive"}),
            "MutualTLSMode: would let callers in without a certificate",
        ),
        (
            json!({"Kind": "mesh", "AllowEnablingPermissiveMutualTLS": true}),
            "AllowEnablingPermissiveMutualTLS: would let callers in without a certificate",
        ),
        (
            json!({"Kind": "mesh", "HTTP": {"SanitizeXForwardedClientCert": false}}),
            "HTTP.SanitizeXForwardedClientCert: cannot be false",
        ),
        (
            json!({"Kind": "mesh", "TLS": {"Incoming": {"TLSMinVersion": "TLSv1_1"}}}),
            "TLS.Incoming.TLSMinVersion: is \"TLSv1_1\", which is not safe any more",
        ),
        (
            json!({"Kind": "mesh", "TLS": {"Outgoing": {"CipherSuites": ["TLS_RSA_WITH_AES_128_CBC_SHA"]}}}),
            "TLS.Outgoing.CipherSuites[0]: is \"TLS_RSA_WITH_AES_128_CBC_SHA\", offered are",
        ),
        (
            json!({"Kind": "mesh", "TLS": {"Outgoing": {"TLSMinVersion": "TLSv1_3"}, "Incoming": {"TLSMaxVersion": "TLSv1_2"}}}),
            "TLS.Outgoing: has no version in common",
        ),
        (
            json!({"Kind": "service-defaults", "Name": "a.b"}),
            "Name: \"a.b\" is not a valid name",
        ),
        (json!([]), "is a list, expected an object"),
    ];
    for (value, expected) in cases {
        let error = config(value.clone()).map(|_| ()).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{value}\n{error}\n{expected}");
    }
}

#[test]
fn zero_values_of_what_is_not_offered_are_no_settings() {
    config(json!({"Kind": "service-defaults", "Name": "web", "Protocol": "", "Mode": "", "TransparentProxy": {},
        "MeshGateway": {}, "Expose": {"Checks": false, "Paths": null}, "ExternalSNI": "", "UpstreamConfig": null,
        "MaxInboundConnections": 0}))
    .unwrap();
}

#[test]
fn a_reader_tells_which_fields_it_asks_for() {
    let entry = json!({
        "Kind": "service-resolver",
        "Name": "api",
        "Subsets": {"v1": {"Filter": "Service.Port == 1"}},
        "Failover": {"*": {"Targets": [{"Service": "b"}]}},
    });
    let fields = crate::config::config_entry_fields(&entry, &Tenancy::default()).unwrap();
    for asked in [
        "Subsets.OnlyPassing",
        "Failover.Targets.Peer",
        "LoadBalancer",
        "ConnectTimeout",
        "PrioritizeByLocality",
    ] {
        assert!(fields.contains(asked), "{asked}: {fields:?}");
    }
    for not in [
        "Redirect.Datacenter",
        "ModifyIndex",
        "LoadBalancer.Policy",
        "Subsets.v1",
    ] {
        assert!(!fields.contains(not), "{not}: {fields:?}");
    }
    let defaults = json!({"Kind": "proxy-defaults", "Name": "global"});
    let fields = crate::config::config_entry_fields(&defaults, &Tenancy::default()).unwrap();
    assert!(fields.contains("Config.protocol"), "{fields:?}");
}

#[test]
fn settings_of_calls_are_read_and_written() {
    let entry = json!({
        "Kind": "service-defaults", "Name": "web", "Namespace": "shop", "Protocol": "http",
        "MutualTLSMode": "strict", "MaxInboundConnections": 10, "LocalConnectTimeoutMs": "250",
        "LocalRequestTimeoutMs": 3000, "BalanceInboundConnections": "exact_balance",
        "UpstreamConfig": {
            "Defaults": {"ConnectTimeoutMs": 1000, "MeshGateway": {"Mode": "local"}, "Protocol": ""},
            "Overrides": [
                {"Name": "api", "Peer": "east", "Limits": {"MaxConnections": 0, "MaxPendingRequests": 2}},
                {"Name": "api", "BalanceOutboundConnections": "exact_balance"},
                {"Name": "api", "Namespace": "default", "Partition": "billing",
                    "PassiveHealthCheck": {"Interval": 2_000_000_000, "MaxFailures": 3, "EnforcingConsecutive5xx": 0,
                        "MaxEjectionPercent": 20, "BaseEjectionTime": "5s"}},
            ],
        },
    });
    let read = config(entry).unwrap();
    let ConfigEntry::ServiceDefaults(defaults) = &read else {
        panic!("{read:?}");
    };
    let [theirs, own, elsewhere] = defaults.upstreams.overrides.as_slice() else {
        panic!("{defaults:?}");
    };
    // An upstream is with whoever calls it, and at a peer in its default namespace.
    assert_eq!(
        (theirs.namespace.as_str(), own.namespace.as_str()),
        ("default", "shop")
    );
    assert_eq!(
        theirs.settings.limits.map(|limits| limits.max_connections),
        Some(Some(0))
    );
    let check = elsewhere.settings.passive_health_check.unwrap();
    assert_eq!(
        (check.interval_ms, check.enforcing_consecutive_5xx),
        (Some(2_000), Some(0))
    );
    let written = config_entry_to_json(&read, None);
    assert_eq!(config(written.clone()).unwrap(), read, "{written}");
    assert_eq!(
        written["UpstreamConfig"]["Overrides"][2],
        json!({"Name": "api", "Namespace": "default", "Partition": "billing",
            "PassiveHealthCheck": {"Interval": "2s", "MaxFailures": 3, "EnforcingConsecutive5xx": 0,
                "MaxEjectionPercent": 20, "BaseEjectionTime": "5s"}})
    );
}

#[test]
fn what_entries_say_about_sidecars_is_written_as_it_was_said() {
    let all = json!({"Kind": "proxy-defaults", "Name": "global", "Mode": "direct",
        "TransparentProxy": {"DialedDirectly": true}});
    let written = config_entry_to_json(&config(all).unwrap(), None);
    assert_eq!(
        (&written["Mode"], &written["TransparentProxy"]),
        (&json!("direct"), &json!({"DialedDirectly": true}))
    );
    let nothing = json!({"Kind": "service-defaults", "Name": "web", "Mode": "", "TransparentProxy": {}});
    let written = config_entry_to_json(&config(nothing).unwrap(), None);
    assert!(
        written.get("Mode").is_none() && written.get("TransparentProxy").is_none(),
        "{written}"
    );
}

#[test]
fn the_tls_of_a_mesh_is_read_and_written() {
    let tls = json!({
        "Incoming": {"TLSMinVersion": "TLSv1_2", "CipherSuites": ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"]},
        "Outgoing": {"TLSMaxVersion": "TLSv1_3"},
    });
    let entry = json!({"Kind": "mesh", "TLS": tls, "HTTP": {"SanitizeXForwardedClientCert": true},
        "AllowEnablingPermissiveMutualTLS": false});
    let read = config(entry).unwrap();
    let written = config_entry_to_json(&read, None);
    assert_eq!(written["TLS"], tls);
    assert_eq!(config(written).unwrap(), read);
    let auto = json!({"Kind": "mesh", "TLS": {"Incoming": {"TLSMinVersion": "TLS_AUTO"}}});
    assert_eq!(
        config(auto).unwrap(),
        config(json!({"Kind": "mesh"})).unwrap(),
        "which is what holds anyway"
    );
}

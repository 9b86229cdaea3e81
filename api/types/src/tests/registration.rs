//! Registrations and the instances that they amount to.

use super::*;

#[test]
fn a_small_registration_gets_its_defaults() {
    let service = register(json!({"Name": "web", "Port": "8080"})).unwrap();
    let instances = service.instances(&node(), &BTreeSet::new(), None).unwrap();
    assert_eq!(instances.len(), 1);
    let web = &instances[0];
    assert_eq!(
        (web.key.id.as_str(), web.port, web.kind),
        ("web", 8080, ServiceKind::Typical)
    );
    assert_eq!((web.weights.passing, web.weights.warning), (1, 1));
    assert!(web.proxy.is_none() && web.peer_meta.is_none());
}

#[test]
fn every_field_is_kept_in_either_spelling() {
    let pascal = register(json!({
        "Name": "web-proxy", "ID": "p1", "Kind": "connect-proxy", "Tags": ["a"], "Address": "10.0.0.1", "Port": 20000,
        "TaggedAddresses": {"wan": {"Address": "host.example", "Port": 9}}, "Meta": {"k": "v"},
        "Weights": {"Passing": 10, "Warning": 2}, "EnableTagOverride": true, "Token": "t",
        "Locality": {"Region": "eu-1", "Zone": "a"},
        "Proxy": {
            "DestinationServiceName": "web", "DestinationServiceID": "web1", "LocalServiceAddress": "127.0.0.1",
            "LocalServicePort": 8080, "MeshGateway": {"Mode": "local"}, "Config": {"bind_port": 1, "Mixed_Case": null},
            "Mode": "transparent", "TransparentProxy": {"OutboundListenerPort": 15002, "DialedDirectly": true},
            "Upstreams": [{"DestinationType": "service", "DestinationName": "api", "DestinationPeer": "east",
                "DestinationNamespace": "team", "LocalBindPort": 9191, "MeshGateway": {"Mode": "remote"},
                "Config": {"connect_timeout_ms": 1}}],
        },
    }))
    .unwrap();
    let snake = register(json!({
        "name": "web-proxy", "id": "p1", "kind": "connect-proxy", "tags": ["a"], "address": "10.0.0.1", "port": 20000,
        "tagged_addresses": {"wan": {"address": "host.example", "port": 9}}, "meta": {"k": "v"},
        "weights": {"passing": 10, "warning": 2}, "enable_tag_override": true,
        "locality": {"region": "eu-1", "zone": "a"},
        "proxy": {
            "destination_service_name": "web", "destination_service_id": "web1",
            "local_service_address": "127.0.0.1",
            "local_service_port": 8080, "mesh_gateway": {"mode": "local"}, "config": {"bind_port": 1, "Mixed_Case": null},
            "mode": "transparent",
            "transparent_proxy": {"outbound_listener_port": 15002, "dialed_directly": true},
            "upstreams": [{"destination_name": "api", "destination_peer": "east",
                "destination_namespace": "team", "local_bind_port": 9191, "mesh_gateway": {"mode": "remote"},
                "config": {"connect_timeout_ms": 1}}],
        },
    }))
    .unwrap();
    assert_eq!(pascal, snake);
    let instance = pascal
        .instances(&node(), &BTreeSet::new(), None)
        .unwrap()
        .remove(0);
    assert_eq!(instance.locality, Locality::of("eu-1", "a").unwrap());
    let proxy = instance.proxy.unwrap();
    assert_eq!(proxy.mesh_gateway, Some(GatewayMode::Local));
    let transparent = proxy.sidecar.transparent().unwrap();
    assert_eq!(
        (transparent.outbound_port, transparent.dialed_directly),
        (15_002, true)
    );
    assert_eq!(
        proxy.config.get("bind_port"),
        Some(&Opaque::Number("1".to_owned()))
    );
    assert_eq!(proxy.config.get("Mixed_Case"), Some(&Opaque::Null));
    let upstream = &proxy.upstreams[0];
    assert_eq!(upstream.peer, Some(PeerName::new("east").unwrap()));
    assert_eq!(upstream.bind_address, "127.0.0.1");
    assert_eq!(upstream.namespace.as_str(), "team");
    assert_eq!(instance.tagged_addresses["wan"].port, 9);
}

#[test]
fn a_mode_that_is_said_is_told_from_one_that_is_left_open() {
    let read = |proxy: Value| {
        let service =
            register(json!({"Name": "web", "Port": 1, "Connect": {"SidecarService": {"Proxy": proxy}}}));
        service.unwrap().sidecar.unwrap().proxy.sidecar
    };
    for open in [
        json!({}),
        json!({"Mode": "", "TransparentProxy": {}, "Expose": {}, "MutualTLSMode": "strict"}),
    ] {
        assert_eq!(read(open), SidecarSettings::default());
    }
    assert_eq!(
        read(json!({"Mode": "direct", "TransparentProxy": {}})).mode,
        Some(ProxyMode::Direct)
    );
    // What only counts in the one mode may be said where somebody else says the mode.
    let port = read(json!({"TransparentProxy": {"OutboundListenerPort": 15002}}));
    assert_eq!((port.mode, port.outbound_port), (None, Some(15_002)));
}

fn health_at(port: u16) -> Value {
    json!({"Paths": [{"Path": "/up", "LocalPathPort": 80, "ListenerPort": 9000},
        {"Path": "/health", "LocalPathPort": 80, "ListenerPort": port}]})
}

#[test]
fn a_path_is_not_exposed_on_a_port_that_is_used_for_something_else() {
    let refused = |proxy: Value, port: u16| {
        let mut proxy = proxy;
        proxy["Expose"] = health_at(port);
        let service = json!({"Name": "web", "Port": 80, "Connect": {"SidecarService": {"Port": 20000, "Proxy": proxy}}});
        let read = register(service)
            .unwrap()
            .instances(&node(), &BTreeSet::new(), None);
        read.map(|_| ()).map_err(|error| error.to_string())
    };
    let at = "Connect.SidecarService.Proxy.Expose.Paths[1].ListenerPort";
    for (proxy, port, what) in [
        (json!({}), 20_000, "the public listener"),
        (
            json!({"Config": {"bind_port": 9001}}),
            9_001,
            "the public listener",
        ),
        (
            json!({"Upstreams": [{"DestinationName": "api", "LocalBindPort": 9191}]}),
            9_191,
            "an upstream",
        ),
        (json!({"Mode": "transparent"}), 15_001, "the outbound listener"),
        (
            json!({"Config": {"envoy_prometheus_bind_addr": "0.0.0.0:9102"}}),
            9_102,
            "the listener for its statistics",
        ),
    ] {
        assert_eq!(
            refused(proxy.clone(), port),
            Err(format!("{at}: port {port} is that of {what}, choose another one"))
        );
        assert_eq!(refused(proxy, 9_100), Ok(()));
    }
    assert_eq!(refused(json!({"Config": {"bind_port": 9001}}), 20_000), Ok(()));
    // One of its own is written as a service of its own, in other words.
    let alone = json!({"Name": "p", "Kind": "connect-proxy", "Port": 20000,
        "Proxy": {"DestinationServiceName": "web", "Expose": health_at(20_000)}});
    let read = register(alone)
        .unwrap()
        .instances(&node(), &BTreeSet::new(), None);
    assert!(
        read.unwrap_err()
            .to_string()
            .starts_with("Proxy.Expose.Paths[1].ListenerPort: port 20000")
    );
}

#[test]
fn a_sidecar_gets_no_port_on_which_it_exposes_a_path_or_dials() {
    let proxy = json!({"Expose": health_at(21_000), "Upstreams": [{"DestinationName": "api", "LocalBindPort": 21001}]});
    let service = json!({"Name": "web", "Port": 80, "Connect": {"SidecarService": {"Proxy": proxy}}});
    let instances = register(service)
        .unwrap()
        .instances(&node(), &BTreeSet::new(), None);
    assert_eq!(instances.unwrap()[1].port, 21_002);
}

#[test]
fn a_sidecar_is_filled_from_its_service() {
    let service = register(
        json!({"Name": "web", "ID": "web1", "Port": 8080, "Tags": ["a"], "Meta": {"k": "v"},
        "Connect": {"SidecarService": {}}}),
    )
    .unwrap();
    let taken = BTreeSet::from([21000, 21001]);
    let instances = service.instances(&node(), &taken, None).unwrap();
    let sidecar = &instances[1];
    assert_eq!(sidecar.key.id.as_str(), "web1-sidecar-proxy");
    assert_eq!(sidecar.service.as_str(), "web-sidecar-proxy");
    assert_eq!((sidecar.kind, sidecar.port), (ServiceKind::ConnectProxy, 21002));
    assert_eq!(
        (&sidecar.tags, &sidecar.meta),
        (&instances[0].tags, &instances[0].meta)
    );
    let proxy = sidecar.proxy.as_ref().unwrap();
    assert_eq!(proxy.destination, ServiceName::new("web").unwrap());
    assert_eq!(proxy.destination_id, Some(InstanceId::new("web1").unwrap()));
    assert_eq!(proxy.local_address.as_deref(), Some("127.0.0.1"));
    assert_eq!(proxy.local_port, Some(8080));
    let again = service.instances(&node(), &taken, Some(21200)).unwrap();
    assert_eq!(again[1].port, 21200);
    let all: BTreeSet<u16> = crate::registration::SIDECAR_PORTS.collect();
    let error = service.instances(&node(), &all, None).unwrap_err().to_string();
    assert!(
        error.starts_with("Connect.SidecarService.Port: no port from 21000 to 21255"),
        "{error}"
    );
}

#[test]
fn a_sidecar_is_where_its_service_is_unless_it_says_otherwise() {
    let places = |sidecar: Value| {
        let service = register(
            json!({"Name": "web", "Port": 8080, "Locality": {"Region": "eu-1", "Zone": "a"},
            "Connect": {"SidecarService": sidecar}}),
        )
        .unwrap();
        let instances = service.instances(&node(), &BTreeSet::new(), None).unwrap();
        let text = |instance: &Instance| instance.locality.as_ref().map(ToString::to_string);
        instances.iter().map(text).collect::<Vec<_>>()
    };
    let both = |sidecar: &str| vec![Some("eu-1/a".to_owned()), Some(sidecar.to_owned())];
    assert_eq!(places(json!({})), both("eu-1/a"));
    assert_eq!(places(json!({"Locality": {}})), both("eu-1/a"));
    assert_eq!(places(json!({"Locality": {"Region": "eu-2"}})), both("eu-2"));
}

#[test]
fn the_services_own_port_is_not_given_to_its_sidecar() {
    let service = register(json!({"Name": "web", "Port": 21000, "Connect": {"SidecarService": {}}})).unwrap();
    let instances = service.instances(&node(), &BTreeSet::new(), None).unwrap();
    assert_eq!(instances[1].port, 21001);
}

#[test]
fn what_a_sidecar_says_itself_wins() {
    let service = register(
        json!({"Name": "web", "Port": 8080, "Tags": ["a"], "Connect": {"SidecarService": {
        "Port": 20000, "Tags": ["b"], "Proxy": {"LocalServicePort": 9, "Upstreams": [
            {"DestinationName": "api", "LocalBindPort": 9191}]}}}}),
    )
    .unwrap();
    let sidecar = service
        .instances(&node(), &BTreeSet::new(), None)
        .unwrap()
        .remove(1);
    assert_eq!(
        (sidecar.port, sidecar.tags.as_slice()),
        (20000, &["b".to_owned()][..])
    );
    let proxy = sidecar.proxy.unwrap();
    assert_eq!((proxy.local_port, proxy.upstreams.len()), (Some(9), 1));
}

#[test]
fn a_mesh_gateway_keeps_its_configuration_apart() {
    let gateway = register(json!({"Name": "gw", "Kind": "mesh-gateway", "Port": 8443,
        "Proxy": {"Config": {"envoy_gateway_no_default_bind": true}}}))
    .unwrap();
    let instance = gateway
        .instances(&node(), &BTreeSet::new(), None)
        .unwrap()
        .remove(0);
    assert!(instance.proxy.is_none());
    let other = register(json!({"Name": "out", "Kind": "terminating-gateway", "Port": 8443,
        "Proxy": {"Config": {"server_first": true}}}))
    .unwrap();
    let other = other
        .instances(&node(), &BTreeSet::new(), None)
        .unwrap()
        .remove(0);
    assert_eq!(other.kind, ServiceKind::TerminatingGateway);
    assert_eq!(
        other.gateway_config.get("server_first"),
        Some(&Opaque::Bool(true))
    );
    assert_eq!(
        instance.gateway_config.get("envoy_gateway_no_default_bind"),
        Some(&Opaque::Bool(true))
    );
}

#[test]
fn refusals_name_the_field_and_the_problem() {
    let sidecar = |sidecar: Value| json!({"Name": "web", "Connect": {"SidecarService": sidecar}});
    let upstream = |upstream: Value| {
        json!({"Name": "p", "Kind": "connect-proxy", "Port": 1,
            "Proxy": {"DestinationServiceName": "web", "Upstreams": [upstream]}})
    };
    let cases = [
        (json!({}), "Name: is required"),
        (
            json!({ "Naem": "web" }),
            "Name: is required; Naem is not a known field, Name is",
        ),
        (json!({ "Port": 1, "Tags": [] }), "Name: is required"),
        (json!({"Name": "a.b"}), "Name: \"a.b\" is not a valid name"),
        (json!({"Name": "web", "Prot": 1}), "Prot: is not a known field"),
        (
            json!({"Name": "web", "Port": 65536}),
            "Port: is 65536, expected a whole number from 0 to 65535",
        ),
        (json!({"Name": "web", "Port": -1}), "Port: is -1"),
        (json!({"Name": "web", "Port": 1.5}), "Port: is 1.5"),
        (json!({"Name": "web", "Port": "http"}), "Port: is \"http\""),
        (
            json!({"Name": "web", "Tags": "a"}),
            "Tags: is a text, expected a list",
        ),
        (
            json!({"Name": "web", "Tags": [{}]}),
            "Tags[0]: is an object, expected a text",
        ),
        (
            json!({"Name": "web", "Locality": {"Zone": "a"}}),
            "Locality.Region: is required with Zone",
        ),
        (
            json!({"Name": "web", "Locality": {"Region": "eu 1"}}),
            "Locality.Region: \"eu 1\" is not the name of a region or zone",
        ),
        (
            sidecar(json!({"Locality": {"Region": "eu-1", "Zone": "z".repeat(129)}})),
            "Connect.SidecarService.Locality.Zone: is 129 bytes long, at most 128",
        ),
        (
            json!({"Name": "web", "Locality": {"Region": "eu-1", "SubZone": "b"}}),
            "Locality.SubZone: is not a known field",
        ),
        (
            json!({"Name": "web", "Address": "0.0.0.0"}),
            "Address: 0.0.0.0 means any address",
        ),
        (
            json!({"Name": "web", "Address": "a b"}),
            "Address: \"a b\" is not an IP address or host name",
        ),
        (
            json!({"Name": "web", "Kind": "sidecar"}),
            "Kind: kind \"sidecar\" is not offered yet",
        ),
        (
            json!({"Name": "web", "PeerName": "east"}),
            "PeerName: is set on imported services only",
        ),
        (
            json!({"Name": "web", "Check": {"HTTP": "http://x", "Interval": "1s"}}),
            "Check: a check that",
        ),
        (
            json!({"Name": "web", "Checks": [{"TTL": "1s"}]}),
            "Checks[0]: a check that the agent runs is not offered yet",
        ),
        (
            json!({"Name": "web", "Connect": {"Native": true}}),
            "Connect.Native: is not offered yet",
        ),
        (
            json!({"Name": "web", "Proxy": {"Config": {"a": 1}}}),
            "Proxy: is for sidecars and gateways",
        ),
        (
            json!({"Name": "web", "Weights": {"Warning": 1}}),
            "Weights.Passing: must be at least 1",
        ),
        (
            json!({"Name": "web", "EnableTagOverride": 1}),
            "EnableTagOverride: is a number, expected true or false",
        ),
        (
            json!({"Name": "web", "TaggedAddresses": {"wan": {"Port": 1}}}),
            "TaggedAddresses.wan.Address: is required",
        ),
        (
            json!({"Name": "p", "Kind": "connect-proxy", "Port": 1}),
            "Proxy.DestinationServiceName: is required for a connect-proxy",
        ),
        (
            json!({"Name": "p", "Kind": "connect-proxy", "Proxy": {"DestinationServiceName": "web"}}),
            "Port: is required for a connect-proxy",
        ),
        (
            json!({"Name": "p", "Kind": "connect-proxy", "Port": 1,
                "Proxy": {"DestinationServiceName": "web", "MutualTLSMode": "permissive"}}),
            "Proxy.MutualTLSMode: would let callers in without a certificate",
        ),
        (
            json!({"Name": "p", "Kind": "connect-proxy", "Port": 1,
                "Proxy": {"DestinationServiceName": "web", "AccessLogs": {"Enabled": true}}}),
            "Proxy.AccessLogs: is said for all sidecars of a partition: write it into proxy-defaults",
        ),
        (
            json!({"Name": "p", "Kind": "connect-proxy", "Port": 1,
                "Proxy": {"DestinationServiceName": "web", "Mode": "opaque"}}),
            "Proxy.Mode: \"opaque\" is not a mode",
        ),
        (
            json!({"Name": "p", "Kind": "connect-proxy", "Port": 1,
                "Proxy": {"DestinationServiceName": "web", "Mode": "direct",
                    "TransparentProxy": {"DialedDirectly": true}}}),
            "Proxy.TransparentProxy: says something that does not count in mode \"direct\"",
        ),
        (
            json!({"Name": "web", "Proxy": {"TransparentProxy": {"OutboundListenerPort": 15002}}}),
            "Proxy: is for sidecars",
        ),
        (
            json!({"Name": "p", "Kind": "connect-proxy", "Port": 1,
                "Proxy": {"DestinationServiceName": "web"}, "Connect": {"SidecarService": {}}}),
            "Connect.SidecarService: is for services",
        ),
        (
            json!({"Name": "gw", "Kind": "mesh-gateway", "Port": 1, "Proxy": {"Expose": {"Paths": [
                {"Path": "/a", "LocalPathPort": 1, "ListenerPort": 2}]}}}),
            "Proxy.Expose: is for sidecars, a mesh-gateway has no application",
        ),
        (
            sidecar(
                json!({"Proxy": {"Expose": {"Paths": [{"Path": "a", "LocalPathPort": 1, "ListenerPort": 2}]}}}),
            ),
            "Connect.SidecarService.Proxy.Expose.Paths[0].Path: is \"a\", must begin with '/'",
        ),
        (
            json!({"Name": "gw", "Kind": "mesh-gateway"}),
            "Port: is required for a mesh-gateway",
        ),
        (
            json!({"Name": "out", "Kind": "terminating-gateway"}),
            "Port: is required for a terminating-gateway",
        ),
        (
            json!({"Name": "out", "Kind": "terminating-gateway", "Port": 1, "Proxy": {"Mode": "transparent"}}),
            "Proxy.Mode: is for sidecars",
        ),
        (
            json!({"Name": "gw", "Kind": "mesh-gateway", "Port": 1, "Proxy": {"DestinationServiceName": "web"}}),
            "Proxy.DestinationServiceName: is for sidecars",
        ),
        (
            sidecar(json!({"ID": "x"})),
            "Connect.SidecarService.ID: cannot be chosen, it is web-sidecar-proxy",
        ),
        (
            sidecar(json!({"Oops": 1})),
            "Connect.SidecarService.Oops: is not a known field",
        ),
        (
            sidecar(json!({"Namespace": "team"})),
            "Connect.SidecarService: lives in the partition and namespace",
        ),
        (
            sidecar(json!({"Kind": "mesh-gateway"})),
            "Connect.SidecarService.Kind: must be \"connect-proxy\"",
        ),
        (
            sidecar(json!({"Connect": {"SidecarService": {"Port": 1}}})),
            "Connect.SidecarService.Connect: must not be given",
        ),
        (
            sidecar(json!({"Proxy": {"Upstreams": [{"LocalBindPort": 1}]}})),
            "Connect.SidecarService.Proxy.Upstreams[0].DestinationName: is required",
        ),
        (
            json!({"Name": "w".repeat(60), "Connect": {"SidecarService": {}}}),
            "Connect.SidecarService.Name: is 74 bytes long",
        ),
        (
            upstream(json!({"DestinationName": "api"})),
            "Proxy.Upstreams[0].LocalBindPort: is required",
        ),
        (
            upstream(
                json!({"DestinationName": "api", "LocalBindPort": 1, "DestinationType": "prepared_query"}),
            ),
            "Proxy.Upstreams[0].DestinationType: type \"prepared_query\" is not offered yet",
        ),
        (
            upstream(json!({"DestinationName": "api", "LocalBindPort": 1, "Datacenter": "dc2"})),
            "Proxy.Upstreams[0].Datacenter: is not offered yet",
        ),
        (
            upstream(json!({"DestinationName": "api", "LocalBindPort": 1, "LocalBindAddress": "localhost"})),
            "Proxy.Upstreams[0].LocalBindAddress: \"localhost\" is not an IP address",
        ),
        (
            upstream(
                json!({"DestinationName": "api", "LocalBindPort": 1, "DestinationPeer": "e", "DestinationPartition": "x"}),
            ),
            "Proxy.Upstreams[0].DestinationPartition: does not go together",
        ),
        (
            upstream(json!({"DestinationName": "api", "LocalBindPort": 1, "Config": {"protocol": "http"}})),
            "Proxy.Upstreams[0].Config.protocol: protocol \"http\" is not offered here",
        ),
    ];
    for (value, expected) in cases {
        let error = register(value.clone()).map(|_| ()).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{value}\n{error}\n{expected}");
    }
}

#[test]
fn upstreams_do_not_share_a_port_or_a_destination() {
    let proxy = |second: Value| {
        register(
            json!({"Name": "p", "Kind": "connect-proxy", "Port": 1, "Proxy": {"DestinationServiceName": "web",
            "Upstreams": [{"DestinationName": "api", "LocalBindPort": 1}, second]}}),
        )
    };
    let error = proxy(json!({"DestinationName": "db", "LocalBindPort": 1})).unwrap_err();
    assert_eq!(error.path, "Proxy.Upstreams[1].LocalBindPort");
    let error = proxy(json!({"DestinationName": "api", "LocalBindPort": 2})).unwrap_err();
    assert_eq!(error.path, "Proxy.Upstreams[1].DestinationName");
    // The same name at a peer is another destination.
    proxy(json!({"DestinationName": "api", "DestinationPeer": "east", "LocalBindPort": 2})).unwrap();
}

#[test]
fn what_go_clients_send_for_unset_fields_is_no_setting() {
    register(
        json!({"Kind": "", "ID": "", "Name": "web", "Tags": null, "Port": 0, "Address": "", "Meta": null,
        "Weights": null, "Check": null, "Checks": [], "Proxy": null, "Connect": null, "SocketPath": "",
        "Namespace": "", "Partition": "", "TaggedAddresses": {}, "Locality": {"Region": "", "Zone": ""}}),
    )
    .unwrap();
}

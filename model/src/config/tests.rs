//! Validation of config entries: the error names the field.

use super::*;
use crate::instance::Opaque;
use crate::name::{GroupName, Namespace, Partition, PeerName, ServiceName};

fn source(name: &str, peer: Option<&str>) -> Source {
    Source {
        name: if name == "*" {
            Pattern::Any
        } else {
            Pattern::Exact(ServiceName::new(name).unwrap())
        },
        namespace: Pattern::Exact(Namespace::default()),
        partition: Partition::default(),
        peer: peer.map(|peer| PeerName::new(peer).unwrap()),
        group: None,
        verdict: Verdict::Always(Action::Allow),
        description: String::new(),
    }
}

fn intentions(sources: Vec<Source>) -> ServiceIntentions {
    ServiceIntentions {
        name: Pattern::Exact(ServiceName::new("api").unwrap()),
        namespace: Pattern::Exact(Namespace::default()),
        partition: Partition::default(),
        sources,
        jwt: None,
        meta: Meta::new(),
    }
}

fn refusal(entry: ConfigEntry) -> String {
    entry.validate().unwrap_err().to_string()
}

#[test]
fn exports_go_to_the_peers_of_groups() {
    let group = |text: &str| GroupName::new(text).unwrap();
    let peer = |text: &str| PeerName::new(text).unwrap();
    let service = |name: Pattern<ServiceName>, consumers| ExportedService {
        name,
        namespace: Pattern::Exact(Namespace::default()),
        consumers,
    };
    let web = ServiceName::new("web").unwrap();
    let entry = ExportedServices {
        partition: Partition::default(),
        services: vec![
            service(Pattern::Exact(web.clone()), vec![Consumer::Group(group("all"))]),
            service(
                Pattern::Any,
                vec![Consumer::Peer(peer("north")), Consumer::Group(group("gone"))],
            ),
        ],
        meta: Meta::new(),
    };
    let all = [
        Member::Partition(Partition::default()),
        Member::Peer(peer("east")),
        Member::Peer(peer("west")),
    ];
    let members = |name: &GroupName| match name.as_str() {
        "all" => all.to_vec(),
        _ => Vec::new(),
    };
    assert_eq!(entry.groups(), [group("all"), group("gone")].iter().collect());
    let exports = entry.exports(members);
    let to = |service: &str, peer: &str| {
        let (service, peer) = (ServiceName::new(service).unwrap(), PeerName::new(peer).unwrap());
        exports.to(&Namespace::default(), &service, &peer)
    };
    assert_eq!(
        exports.peers(),
        [peer("east"), peer("north"), peer("west")].iter().collect()
    );
    assert!(to("web", "east") && to("web", "west") && to("web", "north"));
    assert!(to("db", "north") && !to("db", "east") && !to("consul", "north"));
}

#[test]
fn precedence_follows_the_table() {
    let exact = intentions(vec![]);
    let any = ServiceIntentions {
        name: Pattern::Any,
        ..exact.clone()
    };
    let any_namespace = ServiceIntentions {
        namespace: Pattern::Any,
        ..any.clone()
    };
    let wild = Source {
        namespace: Pattern::Any,
        ..source("*", None)
    };
    let sources = [source("web", None), source("*", None), wild];
    let table: Vec<Vec<u8>> = [exact, any, any_namespace]
        .iter()
        .map(|entry| sources.iter().map(|source| entry.precedence(source)).collect())
        .collect();
    assert_eq!(table, [[9, 8, 7], [6, 5, 4], [3, 2, 1]]);
}

#[test]
fn the_same_name_in_two_peers_is_two_sources() {
    let entry = intentions(vec![
        source("web", Some("east")),
        source("web", Some("north")),
        source("web", None),
    ]);
    ConfigEntry::ServiceIntentions(entry).validate().unwrap();
}

#[test]
fn refusals_carry_the_path() {
    let twice = intentions(vec![source("web", Some("east")), source("web", Some("east"))]);
    assert!(refusal(ConfigEntry::ServiceIntentions(twice)).starts_with("Sources[1].Name: "));
    assert!(refusal(ConfigEntry::ServiceIntentions(intentions(vec![]))).starts_with("Sources: "));
    let no_consumer = ExportedServices {
        partition: Partition::default(),
        services: vec![ExportedService {
            name: Pattern::Any,
            namespace: Pattern::Exact(Namespace::default()),
            consumers: vec![],
        }],
        meta: Meta::new(),
    };
    assert!(refusal(ConfigEntry::ExportedServices(no_consumer)).starts_with("Services[0].Consumers: "));
    let meta = Meta::from([("consul-x".to_owned(), String::new())]);
    assert!(
        refusal(ConfigEntry::Mesh(Mesh {
            meta,
            ..Mesh::default()
        }))
        .starts_with("Meta: ")
    );
    let elsewhere = Mesh {
        partition: Partition::new("billing").unwrap(),
        peer_through_mesh_gateways: Some(true),
        ..Mesh::default()
    };
    assert!(
        refusal(ConfigEntry::Mesh(elsewhere)).starts_with("Peering.PeerThroughMeshGateways: counts for all")
    );
}

#[test]
fn an_unknown_kind_lists_the_offered_ones() {
    let error = ConfigKind::parse("exported-service").unwrap_err().to_string();
    assert!(
        error.contains("exported-services") && error.contains("\"exported-service\""),
        "{error}"
    );
}

#[test]
fn a_service_speaks_its_own_protocol_else_that_of_all_else_tcp() {
    let own = |protocol| ServiceDefaults {
        partition: Partition::default(),
        namespace: Namespace::default(),
        name: ServiceName::new("web").unwrap(),
        protocol,
        mesh_gateway: None,
        inbound: Default::default(),
        upstreams: Default::default(),
        sidecar: Default::default(),
        meta: Meta::new(),
    };
    let all = |text: &str| ProxyDefaults {
        config: [("protocol".to_owned(), Opaque::Text(text.to_owned()))].into(),
        ..ProxyDefaults::default()
    };
    let cases = [
        (None, None, Protocol::Tcp),
        (Some(own(None)), None, Protocol::Tcp),
        (Some(own(None)), Some(all("grpc")), Protocol::Grpc),
        (Some(own(Some(Protocol::Http))), Some(all("grpc")), Protocol::Http),
        (None, Some(all("")), Protocol::Tcp),
    ];
    for (own, all, expected) in cases {
        assert_eq!(Protocol::of_service(own.as_ref(), all.as_ref()), expected);
    }
    for protocol in Protocol::ALL {
        assert_eq!(Protocol::parse(protocol.as_str()), Some(protocol));
    }
    ConfigEntry::ProxyDefaults(all("")).validate().unwrap();
    let error = refusal(ConfigEntry::ProxyDefaults(all("thrift")));
    assert!(
        error.starts_with("Config.protocol: ") && error.contains("http2"),
        "{error}"
    );
}

#[test]
fn a_wanted_token_is_refused_by_field() {
    use crate::config::{JwtRequirement, WantedClaim, WantedToken};
    use crate::name::ProviderName;
    let claim = |path: &[&str], value: &str| WantedClaim {
        path: path.iter().map(|name| (*name).to_owned()).collect(),
        value: value.to_owned(),
    };
    let token = |claims| WantedToken {
        provider: ProviderName::new("idp").unwrap(),
        claims,
    };
    let path = |tokens| {
        let mut entry = intentions(vec![source("web", None)]);
        entry.jwt = Some(JwtRequirement { tokens });
        entry.validate().err().map(|error| error.path).unwrap_or_default()
    };
    assert_eq!(path(vec![token(vec![claim(&["role"], "admin")])]), "");
    assert_eq!(path(vec![]), "JWT.Providers");
    assert_eq!(path(vec![token(vec![]), token(vec![])]), "JWT.Providers[1].Name");
    let at = |field: &str| format!("JWT.Providers[0].VerifyClaims[0].{field}");
    assert_eq!(path(vec![token(vec![claim(&[], "admin")])]), at("Path"));
    assert_eq!(path(vec![token(vec![claim(&["a", ""], "admin")])]), at("Path[1]"));
    assert_eq!(path(vec![token(vec![claim(&["a"], "")])]), at("Value"));
    assert_eq!(path(vec![token(vec![claim(&["a"; 9], "a")])]), at("Path"));
}

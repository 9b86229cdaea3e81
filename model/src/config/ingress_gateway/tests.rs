//! What a gateway at the edge may let in.

use super::*;
use crate::config::{CipherSuite, TlsVersion};

fn service(name: &str, hosts: &[&str]) -> IngressService {
    IngressService {
        name: match name {
            "*" => Pattern::Any,
            name => Pattern::Exact(ServiceName::new(name).unwrap()),
        },
        namespace: Namespace::default(),
        partition: Partition::default(),
        peer: None,
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        request_headers: HeaderEdits::default(),
        response_headers: HeaderEdits::default(),
        terms: EdgeTerms::default(),
    }
}

fn of_peer(name: &str, peer: &str) -> IngressService {
    IngressService {
        peer: Some(PeerName::new(peer).unwrap()),
        ..service(name, &[])
    }
}

fn listener(port: u16, protocol: Protocol, services: Vec<IngressService>) -> IngressListener {
    IngressListener {
        port,
        protocol,
        tls: None,
        services,
    }
}

fn gateway(listeners: Vec<IngressListener>) -> IngressGateway {
    IngressGateway {
        partition: Partition::default(),
        namespace: Namespace::default(),
        name: ServiceName::new("edge").unwrap(),
        tls: EdgeTls::default(),
        listeners,
        defaults: EdgeTerms::default(),
        meta: Meta::new(),
    }
}

fn secure(listener: IngressListener) -> IngressListener {
    let tls = Some(EdgeTls {
        enabled: true,
        ..EdgeTls::default()
    });
    IngressListener { tls, ..listener }
}

fn refusal(listeners: Vec<IngressListener>) -> String {
    let refused = gateway(listeners).validate().err();
    refused.map(|error| error.to_string()).unwrap_or_default()
}

#[test]
fn what_no_envoy_could_tell_apart_is_refused() {
    use Protocol::{Http, Tcp};
    let with_header = IngressService {
        request_headers: HeaderEdits {
            remove: ["x-a".to_owned()].into(),
            ..HeaderEdits::default()
        },
        ..service("db", &[])
    };
    let all_of_peer = of_peer("*", "west");
    let elsewhere = IngressService {
        partition: Partition::new("other").unwrap(),
        ..of_peer("api", "west")
    };
    for (listeners, field) in [
        (
            vec![listener(0, Tcp, vec![service("db", &[])])],
            "Listeners[0].Port: is required",
        ),
        (
            vec![
                listener(80, Tcp, vec![service("db", &[])]),
                listener(80, Http, vec![service("api", &[])]),
            ],
            "Listeners[1].Port: 80 is that of another",
        ),
        (
            vec![listener(80, Http, vec![])],
            "Listeners[0].Services: needs at least one",
        ),
        (
            vec![listener(80, Tcp, vec![service("a", &[]), service("b", &[])])],
            "Listeners[0].Services: has more than one",
        ),
        (
            vec![listener(80, Tcp, vec![service("*", &[])])],
            "Listeners[0].Services[0].Name: is \"*\"",
        ),
        (
            vec![listener(80, Tcp, vec![service("db", &["a.com"])])],
            "Listeners[0].Services[0].Hosts: needs requests",
        ),
        (
            vec![listener(80, Tcp, vec![with_header])],
            "Listeners[0].Services[0].RequestHeaders: needs requests",
        ),
        (
            vec![listener(80, Http, vec![service("*", &["a.com"])])],
            "Listeners[0].Services[0].Hosts: does not go together",
        ),
        (
            vec![listener(80, Http, vec![all_of_peer])],
            "Listeners[0].Services[0].Peer: does not go together",
        ),
        (
            vec![listener(80, Http, vec![elsewhere])],
            "Listeners[0].Services[0].Partition: does not go together",
        ),
        (
            vec![listener(
                80,
                Http,
                vec![service("api", &[]), service("api", &["a.com"])],
            )],
            "Listeners[0].Services[1]: is a service that this listener has",
        ),
        (
            vec![listener(
                80,
                Http,
                vec![service("api", &["a.com"]), service("web", &["b.com", "A.com"])],
            )],
            "Listeners[0].Services[1].Hosts: the host \"a.com\"",
        ),
        (
            vec![listener(80, Http, vec![service("api", &["a.com:80"])])],
            "Listeners[0].Services[0].Hosts[0]: \"a.com:80\" has a port",
        ),
        (
            vec![secure(listener(80, Http, vec![service("api", &["*"])]))],
            "Listeners[0].Services[0].Hosts[0]: is \"*\"",
        ),
    ] {
        let error = refusal(listeners);
        assert!(error.starts_with(field), "{field}: {error}");
    }
    let good = gateway(vec![
        listener(
            80,
            Http,
            vec![service("*", &[]), service("api", &["*"]), of_peer("api", "west")],
        ),
        secure(listener(443, Http, vec![service("api", &["a.com", "*.a.com"])])),
        listener(90, Tcp, vec![of_peer("db", "west")]),
    ]);
    good.validate().unwrap();
}

#[test]
fn a_listener_says_its_own_tls() {
    let bounds = |min, ciphers: &[CipherSuite]| TlsBounds {
        min,
        max: None,
        ciphers: ciphers.to_vec(),
    };
    let mut all = gateway(vec![listener(80, Protocol::Http, vec![service("api", &[])])]);
    assert_eq!(all.listeners[0].tls_in(&all), None);
    all.tls = EdgeTls {
        enabled: true,
        bounds: bounds(None, &[CipherSuite::EcdsaAes128]),
    };
    assert_eq!(all.listeners[0].tls_in(&all), Some(all.tls.bounds.clone()));
    all.listeners[0].tls = Some(EdgeTls {
        enabled: true,
        bounds: bounds(Some(TlsVersion::V1_3), &[]),
    });
    // Each is right alone, but what they come to is not.
    let error = all.validate().unwrap_err().to_string();
    assert!(error.starts_with("Listeners[0].TLS.CipherSuites"), "{error}");
    all.tls.bounds.ciphers.clear();
    all.validate().unwrap();
    assert_eq!(
        all.listeners[0].tls_in(&all),
        Some(bounds(Some(TlsVersion::V1_3), &[]))
    );
    all.listeners[0].tls = Some(EdgeTls::default());
    assert_eq!(all.listeners[0].tls_in(&all), None);
}

#[test]
fn hosts_tell_services_of_one_name_apart() {
    let partition = Partition::default();
    let domains = |service: &IngressService| {
        let key = service.key().unwrap();
        service.domains(&key, &partition, 80)
    };
    let team = || Namespace::new("team").unwrap();
    assert_eq!(domains(&service("Api", &[])), ["api.ingress.*"]);
    assert_eq!(domains(&of_peer("api", "west")), ["api.ingress.west.peer.*"]);
    let there = IngressService {
        namespace: team(),
        ..service("api", &[])
    };
    assert_eq!(domains(&there), ["api.ingress.team.*"]);
    let there = IngressService {
        namespace: team(),
        ..of_peer("api", "west")
    };
    assert_eq!(domains(&there), ["api.ingress.team.ns.west.peer.*"]);
    let there = IngressService {
        partition: Partition::new("other").unwrap(),
        ..service("api", &[])
    };
    assert_eq!(domains(&there), ["api.ingress.default.ns.other.ap.*"]);
    assert_eq!(domains(&service("api", &["A.com"])), ["a.com", "a.com:80"]);
}

#[test]
fn certificates_have_a_bounded_number_of_names() {
    let hosts: Vec<String> = (0..MAX_HOSTS).map(|nth| format!("h{nth}.example.com")).collect();
    let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
    let listeners = |protocol: fn(IngressListener) -> IngressListener| {
        (0..5_u16)
            .map(|nth| {
                let hosts: Vec<String> = hosts.iter().map(|host| format!("{nth}{host}")).collect();
                let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
                protocol(listener(80 + nth, Protocol::Http, vec![service("api", &hosts)]))
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(refusal(listeners(|plain| plain)), "");
    let error = refusal(listeners(secure));
    assert!(error.starts_with("Listeners: has 322 names"), "{error}");
}

//! Generated entries, as an operator might write them: numbers, names and texts at the edges of what is allowed and
//! beyond.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

/// A whole number around the bounds of something.
fn number() -> impl Strategy<Value = Value> {
    let edges: Vec<u64> = vec![
        0,
        1,
        2,
        50,
        100,
        101,
        599,
        600,
        600_000,
        600_001,
        86_400_000,
        86_400_001,
        8_388_608,
        8_388_609,
        4_294_967_295,
        4_294_967_296,
    ];
    prop_oneof![4 => select(edges).prop_map(Value::from), 1 => (0_u64..200).prop_map(Value::from)]
}

fn duration() -> impl Strategy<Value = Value> {
    let texts = [
        "", "0s", "1ns", "1ms", "1.5s", "2s", "1h", "24h", "25h", "9999999h", "-1s",
    ];
    select(texts.to_vec()).prop_map(|text| json!(text))
}

/// A text that stands for a path, a name or a value.
fn text() -> impl Strategy<Value = Value> {
    let long: [(&str, usize); 4] = [("a", 1024), ("a", 1025), ("/a", 1500), ("x", 20_000)];
    let long = select(long.to_vec()).prop_map(|(part, times)| json!(part.repeat(times)));
    let short = [
        "",
        "a",
        "/",
        "/a",
        "/a/",
        "x-a",
        ":path",
        ":",
        "host",
        "Host",
        "x-envoy-max-retries",
        "a b",
        "a\nb",
        "a\u{0}b",
        "100%",
        "%REQ(a)%",
        "é",
        "a*",
        "[",
        "(a|b)+",
        "/v[0-9]+",
        "GET",
        "5xx",
        "reset",
    ];
    prop_oneof![8 => select(short.to_vec()).prop_map(|text| json!(text)), 1 => long]
}

fn flag() -> impl Strategy<Value = Value> {
    any::<bool>().prop_map(Value::from)
}

/// An object that has each of some fields or not.
fn object(fields: Vec<(&'static str, BoxedStrategy<Value>)>) -> BoxedStrategy<Value> {
    let members: Vec<_> = fields
        .into_iter()
        .map(|(name, value)| proptest::option::weighted(0.3, value).prop_map(move |value| (name, value)))
        .collect();
    members
        .prop_map(|members| {
            let given = members
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value?)));
            Value::Object(given.collect())
        })
        .boxed()
}

fn list(element: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    vec(element, 0..3).prop_map(Value::Array).boxed()
}

fn one_of(values: &[Value]) -> BoxedStrategy<Value> {
    select(values.to_vec()).boxed()
}

fn edits() -> BoxedStrategy<Value> {
    let pairs = || {
        vec((text(), text()), 0..3)
            .prop_map(|pairs| {
                let pairs = pairs
                    .into_iter()
                    .map(|(name, value)| (name.as_str().unwrap_or_default().to_owned(), value));
                Value::Object(pairs.collect())
            })
            .boxed()
    };
    object(vec![
        ("Add", pairs()),
        ("Set", pairs()),
        ("Remove", list(text().boxed())),
    ])
}

fn destination(mut more: Vec<(&'static str, BoxedStrategy<Value>)>) -> BoxedStrategy<Value> {
    more.push(("Service", one_of(&[json!("api"), json!("pay")])));
    more.push(("Peer", one_of(&[json!("west"), json!("nobody")])));
    more.push(("RequestHeaders", edits()));
    more.push(("ResponseHeaders", edits()));
    object(more)
}

fn tests(offered: &[&'static str]) -> BoxedStrategy<Value> {
    let mut fields = vec![("Name", text().boxed())];
    fields.extend(offered.iter().map(|name| (*name, text().boxed())));
    fields.push(("Present", flag().boxed()));
    list(object(fields))
}

fn routes() -> BoxedStrategy<Value> {
    let http = object(vec![
        ("PathExact", text().boxed()),
        ("PathPrefix", text().boxed()),
        ("PathRegex", text().boxed()),
        ("CaseInsensitive", flag().boxed()),
        ("Header", tests(&["Exact", "Prefix", "Suffix", "Regex"])),
        ("QueryParam", tests(&["Exact", "Regex"])),
        ("Methods", list(text().boxed())),
    ]);
    let to = destination(vec![
        ("PrefixRewrite", text().boxed()),
        ("RequestTimeout", duration().boxed()),
        ("IdleTimeout", duration().boxed()),
        ("NumRetries", number().boxed()),
        ("RetryOn", list(text().boxed())),
        ("RetryOnStatusCodes", list(number().boxed())),
    ]);
    list(
        (http, to)
            .prop_map(|(http, to)| json!({"Match": {"HTTP": http}, "Destination": to}))
            .boxed(),
    )
}

fn resolver() -> BoxedStrategy<Value> {
    let policies = ["random", "round_robin", "least_request", "ring_hash", "maglev"].map(|name| json!(name));
    let ring = object(vec![
        ("MinimumRingSize", number().boxed()),
        ("MaximumRingSize", number().boxed()),
    ]);
    let cookie = object(vec![
        ("Session", flag().boxed()),
        ("TTL", duration().boxed()),
        ("Path", text().boxed()),
    ]);
    let hash = object(vec![
        (
            "Field",
            one_of(&[json!("header"), json!("cookie"), json!("query_parameter")]),
        ),
        ("FieldValue", text().boxed()),
        ("SourceIP", flag().boxed()),
        ("CookieConfig", cookie),
    ]);
    let balancer = object(vec![
        ("Policy", one_of(&policies)),
        ("RingHashConfig", ring),
        (
            "LeastRequestConfig",
            object(vec![("ChoiceCount", number().boxed())]),
        ),
        ("HashPolicies", list(hash)),
    ]);
    object(vec![
        ("ConnectTimeout", duration().boxed()),
        ("RequestTimeout", duration().boxed()),
        ("LoadBalancer", balancer),
    ])
}

fn settings() -> BoxedStrategy<Value> {
    let limits = object(vec![
        ("MaxConnections", number().boxed()),
        ("MaxPendingRequests", number().boxed()),
        ("MaxConcurrentRequests", number().boxed()),
    ]);
    let check = object(vec![
        ("Interval", duration().boxed()),
        ("MaxFailures", number().boxed()),
        ("EnforcingConsecutive5xx", number().boxed()),
        ("MaxEjectionPercent", number().boxed()),
        ("BaseEjectionTime", duration().boxed()),
    ]);
    object(vec![
        ("ConnectTimeoutMs", number().boxed()),
        ("Limits", limits),
        ("PassiveHealthCheck", check),
    ])
}

/// What is said about sidecars.
fn sidecars() -> BoxedStrategy<Value> {
    let mode = one_of(&["", "direct", "transparent"].map(|mode| json!(mode)));
    let transparent = object(vec![
        ("OutboundListenerPort", one_of(&[json!(0), json!(15_002)])),
        ("DialedDirectly", flag().boxed()),
    ]);
    let path = (
        text(),
        one_of(&["http", "http2", "HTTP2"].map(|text| json!(text))),
        21_500..21_503,
    );
    let path = path.prop_map(|(path, protocol, port)| {
        json!({"Path": path, "Protocol": protocol, "LocalPathPort": 8_080, "ListenerPort": port})
    });
    object(vec![
        ("Mode", mode),
        ("TransparentProxy", transparent),
        ("Expose", object(vec![("Paths", list(path.boxed()))])),
    ])
}

fn bounds() -> BoxedStrategy<Value> {
    let version = || one_of(&["TLSv1_1", "TLSv1_2", "TLSv1_3", "TLS_AUTO"].map(|text| json!(text)));
    let suites = [
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        "TLS_RSA_WITH_AES_128_CBC_SHA",
    ];
    object(vec![
        ("TLSMinVersion", version()),
        ("TLSMaxVersion", version()),
        ("CipherSuites", list(one_of(&suites.map(|text| json!(text))))),
    ])
}

/// What a terminating gateway stands for.
fn outside() -> BoxedStrategy<Value> {
    let file = || one_of(&["", "/etc/outside/a.pem", "a.pem"].map(|text| json!(text)));
    let names = ["db.example", "10.0.0.1", "a..b", "*.example"].map(|text| json!(text));
    let how = object(vec![
        ("CAFile", file()),
        ("CertFile", file()),
        ("KeyFile", file()),
        ("SNI", one_of(&names)),
        ("DisableAutoHostRewrite", flag().boxed()),
        ("Namespace", one_of(&[json!("team"), json!("default")])),
    ]);
    let services = ["ledger", "shop", "api", "*", "consul"].map(|name| json!(name));
    let service = (how, one_of(&services)).prop_map(|(mut service, name)| {
        service["Name"] = name;
        service
    });
    vec(service, 1..4)
        .prop_map(|services| json!({"Services": services}))
        .boxed()
}

/// What is let in from outside.
fn listeners() -> BoxedStrategy<Value> {
    let hosts = [
        "a.example.com",
        "*.example.com",
        "*",
        "A.example.com",
        "a.*",
        "a:80",
        "10.0.0.1",
        "x y",
    ];
    let terms = || {
        vec![
            ("MaxConnections", number().boxed()),
            ("MaxPendingRequests", number().boxed()),
            ("MaxConcurrentRequests", number().boxed()),
        ]
    };
    let mut service = terms();
    service.push(("Peer", one_of(&[json!("west"), json!("nobody")])));
    service.push(("Namespace", one_of(&[json!("team"), json!("default")])));
    service.push(("Hosts", list(one_of(&hosts.map(|host| json!(host))))));
    service.push(("RequestHeaders", edits()));
    service.push(("ResponseHeaders", edits()));
    let names = ["api", "pay", "db", "*"].map(|name| json!(name));
    let service = (object(service), one_of(&names)).prop_map(|(mut service, name)| {
        service["Name"] = name;
        service
    });
    let tls = || {
        (bounds(), flag())
            .prop_map(|(mut bounds, enabled)| {
                bounds["Enabled"] = enabled;
                bounds
            })
            .boxed()
    };
    let protocol = one_of(&["tcp", "http", "http", "http"].map(|text| json!(text)));
    let services = vec(service, 1..3).prop_map(Value::Array);
    let listener = (object(vec![("TLS", tls())]), protocol, services, 0_u16..4).prop_map(
        |(mut listener, protocol, services, port)| {
            listener["Port"] = json!(if port == 0 { 0 } else { 18_080 + port });
            listener["Protocol"] = protocol;
            listener["Services"] = services;
            listener
        },
    );
    (
        vec(listener, 0..3),
        object(vec![("TLS", tls()), ("Defaults", object(terms()))]),
    )
        .prop_map(|(listeners, mut entry)| {
            entry["Listeners"] = json!(listeners);
            entry
        })
        .boxed()
}

/// A key set, as it is written.
pub(crate) const KEYS: &str = "eyJrZXlzIjpbeyJrdHkiOiJFQyIsImNydiI6IlAtMjU2IiwiYWxnIjoiRVMyNTYiLCJraWQiOiJvbmUiLCJ4IjoiYVZMbnVwUk5aaUdUWlV0eDh2WUtYelQ3Q2JLQk1NRndFbWtRU1ZfMGJqNCIsInkiOiI5dmhVeHFMTVNBeFB4ZTRfcW52X1lLbzd2ZkNQalJ5SktRSGRyeWYtSFlZIn1dfQ==";

fn provider() -> BoxedStrategy<Value> {
    let keys = json!({"Local": {"JWKS": KEYS}});
    let uris = [
        "https://idp.example.com/keys",
        "http://127.0.0.1/",
        "https://[fd00::1]:8443/k?a=b",
        "http://idp:0/",
        "idp",
        "https://idp",
    ];
    let backoff = object(vec![
        ("BaseInterval", duration().boxed()),
        ("MaxInterval", duration().boxed()),
    ]);
    let kinds = ["STRICT_DNS", "LOGICAL_DNS", "STATIC", "EDS"].map(|text| json!(text));
    let ca = wrapped(
        object(vec![
            ("Filename", text().boxed()),
            ("InlineString", text().boxed()),
        ]),
        "TrustedCA",
    );
    let remote = object(vec![
        ("RequestTimeoutMs", number().boxed()),
        ("CacheDuration", duration().boxed()),
        ("FetchAsynchronously", flag().boxed()),
        (
            "RetryPolicy",
            object(vec![
                ("NumRetries", number().boxed()),
                ("RetryPolicyBackOff", backoff),
            ]),
        ),
        (
            "JWKSCluster",
            object(vec![
                ("DiscoveryType", one_of(&kinds)),
                ("ConnectTimeout", duration().boxed()),
                ("TLSCertificates", ca),
            ]),
        ),
    ]);
    let remote = (one_of(&uris.map(|text| json!(text))), remote).prop_map(|(uri, mut remote)| {
        remote["URI"] = uri;
        json!({"Remote": remote})
    });
    let header = object(vec![
        ("Name", text().boxed()),
        ("ValuePrefix", text().boxed()),
        ("Forward", flag().boxed()),
    ]);
    let location = prop_oneof![
        header.prop_map(|header| json!({"Header": header})),
        text().prop_map(|name| json!({"QueryParam": {"Name": name}})),
        text().prop_map(|name| json!({"Cookie": {"Name": name}})),
    ];
    let forwarding = object(vec![
        ("HeaderName", text().boxed()),
        ("PadForwardPayloadHeader", flag().boxed()),
    ]);
    let issuer = prop_oneof![3 => Just(json!("https://idp.example.com")), 1 => text()];
    let body = object(vec![
        ("Audiences", list(text().boxed())),
        ("Locations", list(location.boxed())),
        ("Forwarding", forwarding),
        ("ClockSkewSeconds", number().boxed()),
        ("CacheConfig", object(vec![("Size", number().boxed())])),
    ]);
    (issuer, prop_oneof![Just(keys), remote], body)
        .prop_map(|(issuer, keys, mut body)| {
            body["Issuer"] = issuer;
            body["JSONWebKeySet"] = keys;
            body
        })
        .boxed()
}

/// The object in a field of another one.
fn wrapped(inner: BoxedStrategy<Value>, field: &'static str) -> BoxedStrategy<Value> {
    inner.prop_map(move |inner| json!({ field: inner })).boxed()
}

/// An entry of some kind, valid or not.
pub(crate) fn entry() -> BoxedStrategy<Value> {
    let of = |kind: &'static str, name: &'static str, body: BoxedStrategy<Value>| {
        body.prop_map(move |body| {
            let mut entry = json!({"Kind": kind, "Name": name});
            if let (Value::Object(entry), Value::Object(body)) = (&mut entry, body) {
                entry.extend(body);
            }
            entry
        })
        .boxed()
    };
    let shares = [0.0, 0.01, 50.0, 99.99, 100.0].map(|share| json!(share));
    let splits = list(destination(vec![("Weight", one_of(&shares))]));
    let inbound = object(vec![
        (
            "Protocol",
            one_of(&["http", "http2", "grpc"].map(|text| json!(text))),
        ),
        ("MaxInboundConnections", number().boxed()),
        ("LocalConnectTimeoutMs", number().boxed()),
        ("LocalRequestTimeoutMs", number().boxed()),
    ]);
    let outbound = settings().prop_map(|settings| json!({"UpstreamConfig": {"Defaults": settings}}));
    let tls = (bounds(), bounds())
        .prop_map(|(incoming, outgoing)| json!({"TLS": {"Incoming": incoming, "Outgoing": outgoing}}));
    let sampling = [0.0, 0.01, 12.5, 100.0, 100.01].map(|share| json!(share));
    let tracing = one_of(&sampling)
        .prop_map(|share| json!({"Tracing": {"Collector": "127.0.0.1:4317", "SamplingPercent": share}}));
    prop_oneof![
        2 => of("service-defaults", "db", sidecars()),
        1 => of("proxy-defaults", "global", sidecars()),
        3 => of("terminating-gateway", "out", outside()),
        4 => of("ingress-gateway", "edge", listeners()),
        4 => of("service-router", "pay", routes().prop_map(|routes| json!({"Routes": routes})).boxed()),
        2 => of("service-splitter", "pay", splits.prop_map(|splits| json!({"Splits": splits})).boxed()),
        2 => of("service-resolver", "pay", resolver()),
        2 => of("service-resolver", "api", resolver()),
        4 => of("jwt-provider", "idp", provider()),
        1 => of("service-defaults", "api", inbound),
        2 => of("service-defaults", "web", outbound.boxed()),
        1 => of("mesh", "mesh", tls.boxed()),
        1 => of("proxy-defaults", "global", tracing.boxed()),
    ]
    .boxed()
}

//! How gateways and routes stand, as reads of their entries say it.

use super::blocking::waiting;
use super::peers::import_speaking;
use super::*;
use futures::poll;
use std::pin::pin;

async fn written(bench: &Bench, entries: impl IntoIterator<Item = Value>) {
    for entry in entries {
        let said = entry.to_string();
        let answer = bench.put("/v1/config", entry).await;
        assert_eq!(answer.text, "true", "{said}");
    }
}

/// A line for each condition: what, whether, why, of which resource, in words.
async fn conditions(bench: &Bench, path: &str) -> Vec<String> {
    let entry = bench.get(&format!("/v1/config/{path}")).await.json();
    let line = |one: &Value| {
        let text = |field: &str| one[field].as_str().unwrap().to_owned();
        let about = &one["Resource"];
        let about = match about["Kind"].as_str() {
            Some(kind) => format!(
                " {kind} {}/{}",
                about["Name"].as_str().unwrap(),
                about["SectionName"].as_str().unwrap()
            ),
            None => String::new(),
        };
        format!(
            "{} {} {}{about}: {}",
            text("Type"),
            text("Status"),
            text("Reason"),
            text("Message")
        )
    };
    let all = &entry["Status"]["Conditions"];
    all.as_array().unwrap().iter().map(line).collect()
}

fn gateway(listeners: Value) -> Value {
    json!({"Kind": "api-gateway", "Name": "front", "Listeners": listeners})
}

/// A listener for requests, a secure one, and one for connections.
fn all_listeners() -> Value {
    json!([
        {"Name": "plain", "Port": 8080, "Protocol": "http", "Hostname": "*.example.com"},
        {"Name": "secure", "Port": 8443, "Protocol": "http", "TLS": {"Certificates": [
            {"Kind": "inline-certificate", "Name": "shop"}, {"Kind": "inline-certificate", "Name": "other"}]}},
        {"Name": "bytes", "Port": 9000, "Protocol": "tcp"},
    ])
}

fn certificate(name: &str) -> Value {
    let pem = |label: &str| format!("-----BEGIN {label}-----\nAA==\n-----END {label}-----\n");
    json!({"Kind": "inline-certificate", "Name": name,
        "Certificate": pem("CERTIFICATE"), "PrivateKey": pem("PRIVATE KEY")})
}

fn http_route(name: &str, parents: Value, hosts: Value, services: Value) -> Value {
    json!({"Kind": "http-route", "Name": name, "Parents": parents, "Hostnames": hosts,
        "Rules": [{"Services": services}]})
}

fn tcp_route(name: &str, service: Value) -> Value {
    json!({"Kind": "tcp-route", "Name": name, "Services": [service],
        "Parents": [{"Kind": "api-gateway", "Name": "front"}]})
}

fn speaks(service: &str, protocol: &str) -> Value {
    json!({"Kind": "service-defaults", "Name": service, "Protocol": protocol})
}

async fn in_the_mesh(bench: &Bench, service: &str) {
    bench
        .register(json!({"Name": service, "Connect": {"SidecarService": {}}}))
        .await;
}

const WELL: [&str; 2] = [
    "Accepted True Accepted: route is valid",
    "ResolvedRefs True ResolvedRefs: all services are there",
];

#[tokio::test]
async fn a_gateway_says_which_ports_are_closed_and_what_is_disputed() {
    let bench = Bench::new();
    written(&bench, [gateway(all_listeners())]).await;
    let resolved = |listener: &str| {
        format!("ResolvedRefs True ResolvedRefs api-gateway front/{listener}: all that it names is there")
    };
    let agreed = |listener: &str| {
        format!("Conflicted False NoConflict api-gateway front/{listener}: no two routes ask for the same")
    };
    let absent = |said: &str| {
        format!(
            "ResolvedRefs False InvalidCertificateRef api-gateway front/secure: inline-certificate {said}"
        )
    };
    let closed = "Accepted False InvalidCertificates: closed while none of their certificates is there: listeners secure (port 8443)";
    let valid = "Accepted True Accepted: gateway is valid";
    let expected = |first: &str, secure: &str, bytes: String| {
        [
            first.to_owned(),
            resolved("plain"),
            agreed("plain"),
            absent(secure),
            agreed("secure"),
            resolved("bytes"),
            bytes,
        ]
    };
    let path = "api-gateway/front";
    let neither = "shop, other is not there, port 8443 is closed until one is";
    assert_eq!(
        conditions(&bench, path).await,
        expected(closed, neither, agreed("bytes"))
    );
    written(&bench, [certificate("other")]).await;
    let one = "shop is not there, clients get the others";
    assert_eq!(
        conditions(&bench, path).await,
        expected(valid, one, agreed("bytes"))
    );
    written(
        &bench,
        [
            tcp_route("b", json!({"Name": "db"})),
            tcp_route("a", json!({"Name": "db"})),
        ],
    )
    .await;
    let disputed = "Conflicted True RouteConflict api-gateway front/bytes: the tcp-routes a, b ask for it, of which a, the first by name, has it";
    assert_eq!(
        conditions(&bench, path).await,
        expected(valid, one, disputed.to_owned())
    );
    // What is read can be sent back as it is.
    let mut read = bench.get("/v1/config/api-gateway/front").await.json();
    let listed = bench.get("/v1/config/api-gateway").await.json();
    assert_eq!(listed, json!([read]));
    assert!(read["Status"]["Conditions"][0]["LastTransitionTime"].is_null());
    read["Status"] = json!({"Conditions": [{"Type": "Accepted", "Status": "False"}]});
    written(&bench, [read]).await;
    assert_eq!(
        conditions(&bench, path).await,
        expected(valid, one, disputed.to_owned())
    );
    // Kinds that stand alone say nothing.
    let plain = bench.get("/v1/config/inline-certificate/other").await.json();
    assert!(plain.get("Status").is_none(), "{plain}");
}

#[tokio::test]
async fn a_route_says_what_keeps_it_off_a_parent() {
    let bench = Bench::new();
    in_the_mesh(&bench, "api").await;
    in_the_mesh(&bench, "db").await;
    written(&bench, [speaks("api", "http")]).await;
    let parents = json!([
        {"Kind": "api-gateway", "Name": "front"},
        {"Kind": "api-gateway", "Name": "front", "SectionName": "bytes"},
        {"Kind": "api-gateway", "Name": "front", "SectionName": "secure"},
        {"Kind": "api-gateway", "Name": "front", "SectionName": "nobody"},
        {"Kind": "api-gateway", "Name": "back"},
    ]);
    let route = |hosts: Value| http_route("shop", parents.clone(), hosts, json!([{"Name": "api"}]));
    written(&bench, [route(json!(["shop.example.org"]))]).await;
    let missing = |parent: &str, name: &str| {
        format!("Bound False GatewayNotFound api-gateway {parent}: there is no api-gateway {name}")
    };
    let path = "http-route/shop";
    let before = WELL.map(str::to_owned).to_vec();
    let all =
        ["front/", "front/bytes", "front/secure", "front/nobody"].map(|parent| missing(parent, "front"));
    let expected = [before.clone(), all.to_vec(), vec![missing("back/", "back")]].concat();
    assert_eq!(conditions(&bench, path).await, expected);

    written(&bench, [gateway(all_listeners())]).await;
    let bound = |parent: &str, said: &str| format!("Bound True Bound api-gateway {parent}: {said}");
    let unbound = |parent: &str, said: &str| format!("Bound False FailedToBind api-gateway {parent}: {said}");
    let closed = "secure: port 8443 is closed, none of its certificates is there";
    let elsewhere = "plain: none of its hosts is *.example.com, which is what the listener takes";
    let rest = |secure: String| {
        [
            unbound("front/bytes", "not on bytes: the listener speaks tcp"),
            secure,
            unbound("front/nobody", "api-gateway front has no listener nobody"),
            missing("back/", "back"),
        ]
    };
    let expected =
        |first: String, secure: String| [before.clone(), vec![first], rest(secure).to_vec()].concat();
    assert_eq!(
        conditions(&bench, path).await,
        expected(
            unbound("front/", &format!("not on {elsewhere}; {closed}")),
            unbound("front/secure", &format!("not on {closed}")),
        )
    );
    written(&bench, [certificate("shop")]).await;
    assert_eq!(
        conditions(&bench, path).await,
        expected(
            bound("front/", &format!("on secure; not on {elsewhere}")),
            bound("front/secure", "on secure"),
        )
    );
    written(&bench, [route(json!(["shop.example.org", "shop.example.com"]))]).await;
    assert_eq!(
        conditions(&bench, path).await,
        expected(
            bound("front/", "on plain, secure"),
            bound("front/secure", "on secure")
        )
    );

    written(
        &bench,
        [
            tcp_route("a", json!({"Name": "db"})),
            tcp_route("b", json!({"Name": "db"})),
        ],
    )
    .await;
    let of = |name: &str| format!("tcp-route/{name}");
    let last = |all: Vec<String>| all.last().unwrap().clone();
    assert_eq!(
        last(conditions(&bench, &of("a")).await),
        bound("front/", "on bytes")
    );
    assert_eq!(
        last(conditions(&bench, &of("b")).await),
        unbound(
            "front/",
            "not on bytes: it has the tcp-route a, which is the first by name"
        )
    );
    written(
        &bench,
        [gateway(
            json!([{"Name": "plain", "Port": 8080, "Protocol": "http"}]),
        )],
    )
    .await;
    assert_eq!(
        last(conditions(&bench, &of("a")).await),
        unbound("front/", "api-gateway front has no listener that speaks tcp")
    );
}

#[tokio::test]
async fn a_route_says_which_services_are_not_there() {
    let bench = Bench::new();
    let front = json!([{"Kind": "api-gateway", "Name": "front"}]);
    let services = json!([{"Name": "api"}, {"Name": "web"}, {"Name": "api", "Peer": "east"}]);
    written(
        &bench,
        [
            gateway(all_listeners()),
            speaks("api", "http"),
            speaks("web", "grpc"),
            http_route("shop", front.clone(), json!([]), services),
            tcp_route("bytes", json!({"Name": "api", "Peer": "east"})),
        ],
    )
    .await;
    bench.register(json!({"Name": "web"})).await;
    let refs = |reason: &str, said: &str| format!("ResolvedRefs False {reason}: {said}");
    let of = async |path: &str| conditions(&bench, path).await[1].clone();
    let (shop, bytes) = ("http-route/shop", "tcp-route/bytes");
    let unknown = "api: peer east is not known or not yet";
    assert_eq!(
        of(shop).await,
        refs(
            "BackendNotFound",
            &format!(
                "default/default/api: nobody in the mesh answers for it; default/default/web: nobody in the mesh answers for it; {unknown}"
            )
        )
    );
    // A redirect leads to somebody.
    in_the_mesh(&bench, "api2").await;
    written(
        &bench,
        [
            speaks("api2", "http"),
            json!({"Kind": "service-resolver", "Name": "api", "Redirect": {"Service": "api2"}}),
        ],
    )
    .await;
    in_the_mesh(&bench, "web").await;
    assert_eq!(of(shop).await, refs("BackendNotFound", unknown));
    bench.commit(vec![peering("east"), bundle("east")]).await;
    assert_eq!(
        of(shop).await,
        refs("BackendNotFound", "api: peer east does not export it")
    );
    import_speaking(&bench, "tcp").await;
    let unfit = "api of peer east speaks tcp, and this needs http, http2 or grpc";
    assert_eq!(of(shop).await, refs("UnsupportedProtocol", unfit));
    assert_eq!(of(bytes).await, WELL[1]);
    import_speaking(&bench, "http").await;
    assert_eq!(of(shop).await, WELL[1]);
    let unfit = "api of peer east speaks http, and this needs tcp";
    assert_eq!(of(bytes).await, refs("UnsupportedProtocol", unfit));
    // A route without rules is on its listeners, and answers with 404.
    written(
        &bench,
        [json!({"Kind": "http-route", "Name": "empty", "Parents": front})],
    )
    .await;
    assert_eq!(
        conditions(&bench, "http-route/empty").await[0],
        "Accepted False NoUpstreamServicesTargeted: no rule leads to a service: requests are answered with 404"
    );
}

/// What changes how a route or a gateway stands, one after the other.
#[tokio::test]
async fn a_query_waits_for_another_standing() {
    let bench = Bench::new();
    in_the_mesh(&bench, "api").await;
    written(
        &bench,
        [
            speaks("api", "http"),
            http_route(
                "shop",
                json!([{"Kind": "api-gateway", "Name": "front", "SectionName": "secure"}]),
                json!([]),
                json!([{"Name": "api"}]),
            ),
            tcp_route("b", json!({"Name": "db"})),
        ],
    )
    .await;
    let paths = [
        "http-route/shop",
        "http-route",
        "api-gateway/front",
        "api-gateway",
    ];
    let steps = [
        ("the gateway appears", gateway(all_listeners()), &paths[..]),
        ("a certificate appears", certificate("shop"), &paths[..]),
        (
            "a second route appears",
            tcp_route("a", json!({"Name": "db"})),
            &paths[2..],
        ),
        (
            "a service leads elsewhere",
            json!({"Kind": "service-resolver", "Name": "api", "Redirect": {"Service": "other"}}),
            &paths[..2],
        ),
    ];
    // Nobody is waited for who speaks something else.
    written(&bench, [speaks("other", "http")]).await;
    for (what, entry, woken) in steps {
        for path in woken {
            let index = bench.get("/v1/config/mesh").await.index();
            let uri = format!("/v1/config/{path}?index={index}");
            let before = bench.get(&format!("/v1/config/{path}")).await.text;
            waiting!(query, bench, &uri);
            // Nothing of this has to do with it.
            written(
                &bench,
                [json!({"Kind": "service-defaults", "Name": "elsewhere", "Protocol": "tcp", "Meta": {"at": what}})],
            )
            .await;
            assert!(poll!(&mut query).is_pending(), "{path} when {what}");
            written(&bench, [entry.clone()]).await;
            let answer = query.await;
            assert_ne!(answer.text, before, "{path} when {what}");
            let name = entry["Name"].as_str().unwrap();
            let kind = entry["Kind"].as_str().unwrap();
            bench.delete(&format!("/v1/config/{kind}/{name}")).await;
        }
        written(&bench, [entry]).await;
    }
}

#[tokio::test]
async fn a_gateway_is_listed_for_what_leads_through_it() {
    let bench = Bench::new();
    let front = json!([{"Kind": "api-gateway", "Name": "front"}]);
    let services = json!([{"Name": "api"}, {"Name": "api", "Peer": "east"}]);
    let hosts = json!(["shop.example.com", "shop.example.org"]);
    written(
        &bench,
        [
            gateway(all_listeners()),
            speaks("api", "http"),
            http_route("shop", front.clone(), hosts, services),
            http_route("all", front, json!([]), json!([{"Name": "api"}])),
            tcp_route("b", json!({"Name": "mail"})),
            tcp_route("a", json!({"Name": "db"})),
        ],
    )
    .await;
    let uri = "/v1/catalog/gateway-services/front";
    let first = bench.get(uri).await;
    let mut shown = first.json();
    for row in shown.as_array_mut().unwrap() {
        let row = row.as_object_mut().unwrap();
        assert!(row.remove("CreateIndex").is_some() && row.remove("ModifyIndex").is_some());
    }
    let row = |service: Value, port: u16, protocol: &str, hosts: &[&str]| {
        let mut row = json!({"Gateway": {"Name": "front"}, "Service": service, "GatewayKind": "api-gateway",
            "Port": port, "Protocol": protocol});
        if !hosts.is_empty() {
            row["Hosts"] = json!(hosts);
        }
        row
    };
    let (ours, theirs) = (json!({"Name": "api"}), json!({"Name": "api", "Peer": "east"}));
    // The secure listener is closed, and of the routes of connections the first one counts.
    let open = [
        row(ours.clone(), 8080, "http", &["*.example.com", "shop.example.com"]),
        row(theirs.clone(), 8080, "http", &["shop.example.com"]),
        row(json!({"Name": "db"}), 9000, "tcp", &[]),
    ];
    assert_eq!(shown, json!(open));
    let waiting_uri = format!("{uri}?index={}", first.index());
    waiting!(query, bench, &waiting_uri);
    written(&bench, [certificate("shop")]).await;
    let after = query.await.json();
    let secure = |nth: usize| (after[nth]["Service"].clone(), after[nth]["Port"].clone());
    assert_eq!(after.as_array().unwrap().len(), 5, "{after}");
    assert_eq!(secure(2), (ours, json!(8443)));
    assert_eq!(secure(3), (theirs, json!(8443)));
    assert_eq!(
        after[2]["Hosts"],
        json!(["*", "shop.example.com", "shop.example.org"])
    );
}

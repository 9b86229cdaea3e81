//! Registering, deregistering and reading back.

use super::*;

fn web_with_sidecar() -> Value {
    json!({"Name": "web", "ID": "web1", "Port": 8080, "Tags": ["v1"], "Connect": {"SidecarService": {}}})
}

#[tokio::test]
async fn a_service_with_a_sidecar_is_two_services() {
    let bench = Bench::new();
    bench.register(web_with_sidecar()).await;
    let services = bench.get("/v1/agent/services").await.json();
    assert_eq!(
        services,
        json!({
            "web1": {
                "ID": "web1", "Service": "web", "Tags": ["v1"], "Meta": {}, "Port": 8080, "Address": "",
                "Weights": {"Passing": 1, "Warning": 1}, "EnableTagOverride": false, "Datacenter": "dc1",
            },
            "web1-sidecar-proxy": {
                "Kind": "connect-proxy", "ID": "web1-sidecar-proxy", "Service": "web-sidecar-proxy",
                "Tags": ["v1"], "Meta": {}, "Port": 21000, "Address": "",
                "Weights": {"Passing": 1, "Warning": 1}, "EnableTagOverride": false, "Datacenter": "dc1",
                "Proxy": {
                    "DestinationServiceName": "web", "DestinationServiceID": "web1",
                    "LocalServiceAddress": "127.0.0.1", "LocalServicePort": 8080, "Mode": "direct",
                    "MeshGateway": {}, "Expose": {},
                },
            },
        })
    );
    let one = bench.get("/v1/agent/service/web1").await;
    let hash = one.header("x-consul-contenthash").to_owned();
    let mut expected = services["web1"].clone();
    expected["ContentHash"] = json!(hash);
    assert_eq!(one.json(), expected);
}

#[tokio::test]
async fn what_counts_for_a_sidecar_is_shown_and_who_waits_is_told_of_it() {
    let bench = Bench::new();
    bench.register(web_with_sidecar()).await;
    let uri = "/v1/agent/service/web1-sidecar-proxy";
    let before = bench.get(uri).await;
    assert_eq!(before.json()["Proxy"]["Mode"], "direct");
    assert!(before.json()["Proxy"].get("TransparentProxy").is_none());
    let hash = before.header("x-consul-contenthash").to_owned();
    let waiting = format!("{uri}?hash={hash}&wait=60s");
    let written = async {
        let all = json!({"Kind": "proxy-defaults", "Name": "global", "Mode": "transparent",
            "MeshGateway": {"Mode": "local"}, "TransparentProxy": {"DialedDirectly": true}});
        bench.put("/v1/config", all).await
    };
    let (told, _) = tokio::join!(bench.get(&waiting), written);
    let proxy = told.json()["Proxy"].clone();
    assert_eq!(
        (&proxy["Mode"], &proxy["TransparentProxy"], &proxy["MeshGateway"]),
        (
            &json!("transparent"),
            &json!({"OutboundListenerPort": 15_001, "DialedDirectly": true}),
            &json!({"Mode": "local"})
        )
    );
    let own = json!({"Kind": "service-defaults", "Name": "web", "TransparentProxy": {"OutboundListenerPort": 15_002}});
    bench.put("/v1/config", own).await;
    assert_eq!(
        bench.get(uri).await.json()["Proxy"]["TransparentProxy"]["OutboundListenerPort"],
        15_002
    );
    let own = json!({"Kind": "service-defaults", "Name": "web", "Expose": {"Paths": [
        {"Path": "/health", "LocalPathPort": 8080, "ListenerPort": 9100},
        {"Path": "/metrics", "LocalPathPort": 8080, "ListenerPort": 21000}]}});
    bench.put("/v1/config", own).await;
    assert_eq!(
        bench.get(uri).await.json()["Proxy"]["Expose"],
        json!({
            "Paths": [{"Path": "/health", "LocalPathPort": 8080, "ListenerPort": 9100, "Protocol": "http"}],
            "LeftOut": [{"Path": "/metrics", "ListenerPort": 21_000,
                "Why": "port 21000 is that of the public listener"}],
        })
    );
    // The catalog shows what was registered, which is nothing.
    let catalog = bench.get("/v1/catalog/service/web-sidecar-proxy").await.json();
    assert!(catalog[0]["ServiceProxy"].get("Mode").is_none(), "{catalog}");
    let direct = json!({"Name": "web", "ID": "web1", "Port": 8080,
        "Connect": {"SidecarService": {"Proxy": {"Mode": "direct"}}}});
    bench.register(direct).await;
    let proxy = bench.get(uri).await.json()["Proxy"].clone();
    assert_eq!(proxy["Mode"], "direct");
    assert!(proxy.get("TransparentProxy").is_none(), "{proxy}");
    let catalog = bench.get("/v1/catalog/service/web-sidecar-proxy").await.json();
    assert_eq!(catalog[0]["ServiceProxy"]["Mode"], "direct");
}

#[tokio::test]
async fn filters_of_the_command_line_are_understood_and_others_refused() {
    let bench = Bench::new();
    bench.register(web_with_sidecar()).await;
    let keys =
        |answer: Answer| -> Vec<String> { answer.json().as_object().unwrap().keys().cloned().collect() };
    let uri = "/v1/agent/services?filter=Kind+%3D%3D+%22connect-proxy%22";
    assert_eq!(keys(bench.get(uri).await), ["web1-sidecar-proxy"]);
    let uri = "/v1/agent/services?filter=ID+%3D%3D+%60web1%60";
    assert_eq!(keys(bench.get(uri).await), ["web1"]);
    let answer = bench.get("/v1/agent/services?filter=Port+%3E+1").await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.text.starts_with("filter: "), "{}", answer.text);
}

#[tokio::test]
async fn what_a_server_says_about_itself_is_in_the_catalog_and_not_the_agents_to_change() {
    let bench = Bench::new();
    bench.register(json!({"Name": "web"})).await;
    let server = server_instance(&local_node().key, Some(8503)).unwrap();
    bench.commit(vec![Row::Instance(Arc::new(server))]).await;
    let catalog = bench.get("/v1/health/service/consul").await.json();
    assert_eq!(catalog[0]["Service"]["Meta"], json!({"grpc_tls_port": "8503"}));
    let services = bench.get("/v1/agent/services").await.json();
    assert_eq!(services.as_object().unwrap().keys().collect::<Vec<_>>(), ["web"]);
    let gone = bench.put("/v1/agent/service/deregister/consul", json!({})).await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
    for service in [json!({"Name": "consul"}), json!({"Name": "web", "ID": "consul"})] {
        let taken = bench.put("/v1/agent/service/register", service).await;
        assert_eq!(taken.status, StatusCode::BAD_REQUEST);
        assert!(taken.text.contains("choose another one"), "{}", taken.text);
    }
}

#[tokio::test]
async fn sidecars_get_ports_of_their_own_and_keep_them() {
    let bench = Bench::new();
    bench.register(json!({"Name": "taken", "Port": 21001})).await;
    let register =
        |id: &str| json!({"Name": "web", "ID": id, "Port": 8080, "Connect": {"SidecarService": {}}});
    let ids: Vec<String> = (0..5).map(|number| format!("web{number}")).collect();
    futures::future::join_all(ids.iter().map(|id| bench.register(register(id)))).await;
    let ports = async || -> Vec<u64> {
        let services = bench.get("/v1/agent/services").await.json();
        ids.iter()
            .map(|id| services[format!("{id}-sidecar-proxy")]["Port"].as_u64().unwrap())
            .collect()
    };
    let before = ports().await;
    let mut sorted = before.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, [21000, 21002, 21003, 21004, 21005]);
    bench.register(register("web2")).await;
    assert_eq!(ports().await, before);
}

#[tokio::test]
async fn deregistering_takes_the_sidecar_that_came_along_and_no_other() {
    let bench = Bench::new();
    bench.register(web_with_sidecar()).await;
    // It has the id that a sidecar of "other" would have, but stands for somebody else.
    bench.register(json!({"Name": "other"})).await;
    bench
        .register(
            json!({"Name": "p", "ID": "other-sidecar-proxy", "Kind": "connect-proxy", "Port": 1,
            "Proxy": {"DestinationServiceName": "web", "DestinationServiceID": "web1"}}),
        )
        .await;
    for id in ["web1", "other"] {
        let answer = bench
            .put(&format!("/v1/agent/service/deregister/{id}"), json!({}))
            .await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    }
    let left = bench.get("/v1/agent/services").await.json();
    let left: Vec<&String> = left.as_object().unwrap().keys().collect();
    assert_eq!(left, ["other-sidecar-proxy"]);
    let again = bench.put("/v1/agent/service/deregister/web1", json!({})).await;
    assert_eq!(again.status, StatusCode::NOT_FOUND);
    assert!(
        again.text.contains("\"web1\" is not registered"),
        "{}",
        again.text
    );
    assert_eq!(
        bench.get("/v1/agent/service/web1").await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn catalog_and_health_show_what_was_registered() {
    let bench = Bench::new();
    bench.register(web_with_sidecar()).await;
    let services = bench.get("/v1/catalog/services").await;
    assert_eq!(
        services.json(),
        json!({"web": ["v1"], "web-sidecar-proxy": ["v1"]})
    );
    assert_eq!(services.header("x-consul-lastcontact"), "0");
    assert_eq!(services.header("x-consul-knownleader"), "true");
    assert_eq!(services.header("x-consul-effective-consistency"), "leader");
    assert_eq!(services.header("vary"), "Accept-Encoding");
    assert_eq!(services.header("content-type"), "application/json");

    let node = json!({
        "ID": "11111111-2222-3333-4444-555555555555", "Node": "n1", "Address": "127.0.0.1", "Datacenter": "dc1",
        "TaggedAddresses": {}, "Meta": {"rack": "r1"}, "CreateIndex": 1, "ModifyIndex": 1,
    });
    let web = json!({
        "ID": "web1", "Service": "web", "Tags": ["v1"], "Address": "", "Meta": {}, "Port": 8080,
        "Weights": {"Passing": 1, "Warning": 1}, "EnableTagOverride": false, "Connect": {},
        "CreateIndex": 1, "ModifyIndex": 1,
    });
    assert_eq!(
        bench.get("/v1/health/service/web").await.json(),
        json!([{"Node": node, "Service": web, "Checks": []}])
    );
    assert_eq!(
        bench.get("/v1/catalog/service/web").await.json(),
        json!([{
            "ID": "11111111-2222-3333-4444-555555555555", "Node": "n1", "Address": "127.0.0.1",
            "Datacenter": "dc1", "TaggedAddresses": {}, "NodeMeta": {"rack": "r1"}, "ServiceKind": "",
            "ServiceID": "web1", "ServiceName": "web", "ServiceTags": ["v1"], "ServiceAddress": "",
            "ServiceWeights": {"Passing": 1, "Warning": 1}, "ServiceMeta": {}, "ServicePort": 8080,
            "ServiceEnableTagOverride": false, "ServiceConnect": {}, "CreateIndex": 1, "ModifyIndex": 1,
        }])
    );
    let connect = bench.get("/v1/health/connect/web").await.json();
    assert_eq!(connect.as_array().unwrap().len(), 1);
    assert_eq!(connect[0]["Service"]["ID"], "web1-sidecar-proxy");
    assert_eq!(bench.get("/v1/health/service/nobody").await.json(), json!([]));
}

#[tokio::test]
async fn health_is_narrowed_by_status_tag_and_node() {
    let bench = Bench::new();
    bench
        .register(json!({"Name": "web", "ID": "a", "Tags": ["v1", "x"]}))
        .await;
    bench
        .register(json!({"Name": "web", "ID": "b", "Tags": ["v1"]}))
        .await;
    let snapshot = bench.store.reader.snapshot();
    let node = local_node().key;
    let of = |id: &str| {
        let key = InstanceKey {
            node: node.clone(),
            id: InstanceId::new(id).unwrap(),
        };
        snapshot.instance(&key).unwrap().row.clone()
    };
    bench
        .commit(vec![
            check(&node, "ca", CheckStatus::Passing, Some(&of("a"))),
            check(&node, "cb", CheckStatus::Warning, Some(&of("b"))),
        ])
        .await;
    for (query, expected) in [
        ("", vec!["a", "b"]),
        ("?passing", vec!["a"]),
        ("?passing=1&tag=v1", vec!["a"]),
        ("?passing=false", vec!["a", "b"]),
        ("?tag=v1&tag=X", vec!["a"]),
        ("?tag=v2", vec![]),
        ("?node-meta=rack:r1", vec!["a", "b"]),
        ("?node-meta=rack:r2", vec![]),
        ("?ns=team", vec![]),
        ("?partition=billing", vec![]),
        ("?stale=&cached&near=_agent", vec!["a", "b"]),
    ] {
        let entries = bench.get(&format!("/v1/health/service/web{query}")).await.json();
        let ids: Vec<&str> = entries
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["Service"]["ID"].as_str().unwrap())
            .collect();
        assert_eq!(ids, expected, "{query}");
    }
    let entries = bench.get("/v1/health/service/web?tag=x").await.json();
    assert_eq!(
        entries[0]["Checks"],
        json!([{
            "Node": "n1", "CheckID": "ca", "Name": "a check", "Status": "passing", "Notes": "", "Output": "out",
            "ServiceID": "a", "ServiceName": "web", "ServiceTags": ["v1", "x"], "Type": "", "Definition": {},
            "CreateIndex": 3, "ModifyIndex": 3,
        }])
    );
}

#[tokio::test]
async fn other_partitions_and_namespaces_are_kept_apart() {
    let bench = Bench::new();
    bench.register(json!({"Name": "web"})).await;
    bench
        .register(json!({"Name": "web", "Partition": "billing", "Namespace": "team"}))
        .await;
    let entries = bench
        .get("/v1/health/service/web?partition=billing&ns=team")
        .await
        .json();
    assert_eq!(entries.as_array().unwrap().len(), 1);
    assert_eq!(entries[0]["Service"]["Partition"], "billing");
    assert_eq!(entries[0]["Service"]["Namespace"], "team");
    assert_eq!(entries[0]["Node"]["Partition"], "billing");
    let local = bench.get("/v1/health/service/web").await.json();
    assert_eq!(local.as_array().unwrap().len(), 1);
    let header = Request::get("/v1/agent/services")
        .header("x-consul-partition", "billing")
        .header("x-consul-token", "ignored")
        .body(Body::empty())
        .unwrap();
    assert_eq!(bench.send(header).await.json()["web"]["Namespace"], "team");
}

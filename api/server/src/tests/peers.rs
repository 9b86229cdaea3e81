//! Peerings, and what was imported over them.

use super::*;

/// An imported mesh service `api` with one proxy, over the peering `east`.
async fn import(bench: &Bench) {
    let node = Node {
        key: NodeKey {
            origin: Origin::Peer(PeerName::new("east").unwrap()),
            ..local_node().key
        },
        datacenter: Datacenter::new("dc2").unwrap(),
        address: "10.0.0.9".to_owned(),
        meta: BTreeMap::new(),
        id: None,
        ..local_node()
    };
    let instance = |id: &str, service: &str, kind| Instance {
        key: InstanceKey {
            node: node.key.clone(),
            id: InstanceId::new(id).unwrap(),
        },
        namespace: peerway_model::Namespace::default(),
        service: ServiceName::new(service).unwrap(),
        kind,
        tags: Vec::new(),
        address: "10.0.0.10".to_owned(),
        port: 443,
        tagged_addresses: BTreeMap::new(),
        meta: BTreeMap::new(),
        weights: Weights::default(),
        enable_tag_override: false,
        proxy: (kind == ServiceKind::ConnectProxy).then(|| Proxy {
            destination: ServiceName::new("api").unwrap(),
            destination_id: None,
            local_address: None,
            local_port: None,
            upstreams: Vec::new(),
            mesh_gateway: None,
            transparent: None,
            config: BTreeMap::new(),
        }),
        gateway_config: BTreeMap::new(),
        peer_meta: (kind == ServiceKind::ConnectProxy).then(|| PeerMeta {
            sni: vec!["api.default.default.west.external.td2.consul".to_owned()],
            spiffe_ids: vec!["spiffe://td2.consul/ns/default/dc/dc2/svc/api".to_owned()],
            protocol: "tcp".to_owned(),
        }),
    };
    let proxy = instance("p1", "api-sidecar-proxy", ServiceKind::ConnectProxy);
    let status = check(&node.key, "flat", CheckStatus::Critical, Some(&proxy));
    bench
        .commit(vec![
            peering("east"),
            Row::Node(Arc::new(node.clone())),
            Row::Instance(Arc::new(instance("a1", "api", ServiceKind::Typical))),
            Row::Instance(Arc::new(proxy)),
            status,
        ])
        .await;
}

#[tokio::test]
async fn imported_services_show_only_when_their_peer_is_asked_for() {
    let bench = Bench::new();
    import(&bench).await;
    bench.register(json!({"Name": "api", "ID": "local"})).await;
    let ids = async |uri: &str, at: &str| -> Vec<String> {
        let entries = bench.get(uri).await.json();
        let id = |entry: &Value| entry.pointer(at).and_then(Value::as_str).unwrap().to_owned();
        entries.as_array().unwrap().iter().map(id).collect()
    };
    assert_eq!(ids("/v1/health/service/api", "/Service/ID").await, ["local"]);
    assert_eq!(
        ids("/v1/health/service/api?peer=east", "/Service/ID").await,
        ["a1"]
    );
    assert_eq!(
        ids("/v1/health/service/api?peer=nobody", "/Service/ID").await,
        Vec::<String>::new()
    );
    assert_eq!(
        ids("/v1/health/connect/api?peer=east&passing", "/Service/ID").await,
        Vec::<String>::new()
    );
    assert_eq!(
        ids("/v1/catalog/service/api?peer=east", "/ServiceID").await,
        ["a1"]
    );
    assert_eq!(bench.get("/v1/catalog/services").await.json(), json!({"api": []}));
    assert_eq!(
        bench.get("/v1/catalog/services?peer=east").await.json(),
        json!({"api": [], "api-sidecar-proxy": []})
    );
    let entry = bench.get("/v1/health/connect/api?peer=east").await.json()[0].clone();
    assert_eq!(entry["Node"]["PeerName"], "east");
    assert_eq!(entry["Node"]["Datacenter"], "dc2");
    assert_eq!(entry["Checks"][0]["PeerName"], "east");
    assert_eq!(entry["Service"]["PeerName"], "east");
    assert_eq!(
        entry["Service"]["Connect"]["PeerMeta"],
        json!({"SNI": ["api.default.default.west.external.td2.consul"],
            "SpiffeID": ["spiffe://td2.consul/ns/default/dc/dc2/svc/api"], "Protocol": "tcp"})
    );
}

#[tokio::test]
async fn the_agent_neither_shows_nor_touches_imported_rows() {
    let bench = Bench::new();
    import(&bench).await;
    assert_eq!(bench.get("/v1/agent/services").await.json(), json!({}));
    let answer = bench.put("/v1/agent/service/deregister/a1", json!({})).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    let answer = bench
        .put(
            "/v1/agent/service/register",
            json!({"Name": "api", "PeerName": "east"}),
        )
        .await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let left = bench.get("/v1/health/service/api?peer=east").await.json();
    assert_eq!(left.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_peering_is_introduced_shown_and_deleted() {
    let bench = Bench::new();
    let body = json!({"PeerName": "east", "Meta": {"a": "b"}, "ServerExternalAddresses": ["h:1"]});
    let token = bench.post("/v1/peering/token", body).await;
    assert_eq!(token.json(), json!({"PeeringToken": "dG9rZW4="}));
    let body = json!({"PeerName": "north", "PeeringToken": "abc", "Partition": "billing"});
    assert_eq!(bench.post("/v1/peering/establish", body).await.json(), json!({}));
    assert_eq!(
        bench.hatches.asked(),
        [
            "TokenRequest { peer: \"east\", partition: \"default\", meta: {\"a\": \"b\"}, external_addresses: [\"h:1\"] }",
            "north billing {} abc",
        ]
    );

    assert_eq!(bench.get("/v1/peerings").await.json(), json!([]));
    bench.commit(vec![peering("east"), peering("north")]).await;
    let east = bench.get("/v1/peering/EAST").await.json();
    assert_eq!(
        east,
        json!({
            "ID": "id-of-east", "Name": "east", "State": "ACTIVE",
            "StreamStatus": {"ImportedServices": ["api"], "ExportedServices": ["web"],
                "LastHeartbeat": "1970-01-01T00:00:00Z", "LastReceive": null, "LastSend": null,
                "LastApplied": null, "LastError": null},
            "CreateIndex": 1, "ModifyIndex": 1, "Remote": {"Partition": "", "Datacenter": ""},
        })
    );
    let all = bench.get("/v1/peerings").await.json();
    assert_eq!(all[0], east);
    assert_eq!(
        (&all[1]["Name"], &all[1]["State"]),
        (&json!("north"), &json!("PENDING"))
    );
    let absent = bench.get("/v1/peering/south").await;
    assert_eq!(absent.status, StatusCode::NOT_FOUND);
    assert_eq!(absent.text, "peering \"south\" does not exist");

    let deleted = bench.delete("/v1/peering/East").await;
    assert_eq!((deleted.status, deleted.text.as_str()), (StatusCode::OK, ""));
    assert_eq!(bench.hatches.asked(), ["delete default/east"]);
    *bench.hatches.failure.lock() = Some(Failure::new(FailureKind::NotFound, "no such peering"));
    assert_eq!(bench.delete("/v1/peering/east").await.status, StatusCode::OK);
}

#[tokio::test]
async fn failures_of_introductions_have_their_status() {
    let bench = Bench::new();
    for (kind, status) in [
        (FailureKind::Invalid, 400),
        (FailureKind::Denied, 403),
        (FailureKind::NotFound, 404),
        (FailureKind::Conflict, 409),
        (FailureKind::Internal, 500),
        (FailureKind::Unavailable, 503),
    ] {
        *bench.hatches.failure.lock() = Some(Failure::new(kind, "the token was used already"));
        let body = json!({"PeerName": "east", "PeeringToken": "abc"});
        let answer = bench.post("/v1/peering/establish", body).await;
        assert_eq!(answer.status.as_u16(), status);
        assert_eq!(answer.text, "the token was used already");
    }
}

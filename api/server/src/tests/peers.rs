//! Peerings, and what was imported over them.

use super::*;
use peerway_model::grant::{EndedToken, TokenEnd};
use peerway_model::{AuditAction, AuditEvent, AuditRecord, PeeringGrants, TokenBounds, TokenGrant};

/// An imported mesh service `api` with one proxy, over the peering `east`.
async fn import(bench: &Bench) {
    import_speaking(bench, "tcp").await;
}

/// The same, which speaks this.
pub(super) async fn import_speaking(bench: &Bench, protocol: &str) {
    let node = Node {
        key: NodeKey {
            origin: Origin::Peer(PeerName::new("east").unwrap()),
            ..local_node().key
        },
        datacenter: Datacenter::new("dc2").unwrap(),
        address: "10.0.0.9".to_owned(),
        meta: BTreeMap::new(),
        locality: None,
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
            sidecar: Default::default(),
            config: BTreeMap::new(),
        }),
        gateway_config: BTreeMap::new(),
        peer_meta: (kind == ServiceKind::ConnectProxy).then(|| PeerMeta {
            sni: vec!["api.default.default.west.external.td2.consul".to_owned()],
            spiffe_ids: vec!["spiffe://td2.consul/ns/default/dc/dc2/svc/api".to_owned()],
            protocol: protocol.to_owned(),
            health: None,
        }),
        locality: None,
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
    assert_eq!(
        token.json(),
        json!({"PeeringToken": "dG9rZW4=", "AccessorID": "accessor"})
    );
    let body = json!({"PeerName": "north", "PeeringToken": "abc", "Partition": "billing"});
    assert_eq!(bench.post("/v1/peering/establish", body).await.json(), json!({}));
    assert_eq!(
        bench.hatches.asked(),
        [
            "TokenRequest { peer: \"east\", partition: \"default\", meta: {\"a\": \"b\"}, external_addresses: [\"h:1\"], ttl: None, request_id: None, bounds: TokenBounds { datacenter: None, trust_domain: None, services: None }, by: Requester { address: \"\", program: \"\" } }",
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
            "WithheldServices": ["db"],
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

fn grants(peer: &str, expires_at: Option<u64>) -> Row {
    let key = PeeringKey {
        partition: Partition::default(),
        name: PeerName::new(peer).unwrap(),
    };
    let grant = |accessor: &str| TokenGrant {
        accessor: accessor.to_owned(),
        made_at: 0,
        expires_at,
        request_id: Some("r".to_owned()),
        bounds: TokenBounds::default(),
        proven: false,
    };
    Row::Grants(Arc::new(PeeringGrants {
        establishment: Some(grant("a1")),
        active_stream: Some(grant("a2")),
        ended: vec![EndedToken {
            grant: grant("a3"),
            at: 1_000,
            end: TokenEnd::Revoked,
        }],
        ..PeeringGrants::new(key)
    }))
}

#[tokio::test]
async fn a_token_is_asked_for_with_terms_that_are_checked_by_name() {
    let bench = Bench::new();
    let body = json!({"PeerName": "east", "TTL": "1h30m", "RequestID": "r", "RemoteDatacenter": "dc2",
        "RemoteTrustDomain": "td2.consul", "AllowedServices": ["web", "team/api"]});
    let answer = bench.post("/v1/peering/token", body).await.json();
    assert_eq!(answer["ExpirationTime"], "1970-01-01T00:00:01Z");
    let asked = bench.hatches.asked().remove(0);
    for part in [
        "ttl: Some(5400s)",
        "request_id: Some(\"r\")",
        "datacenter: Some(\"dc2\")",
        "name: \"api\"",
    ] {
        assert!(asked.contains(part), "{asked}");
    }
    for (field, value, says) in [
        ("TTL", json!("soon"), "TTL: is \"soon\""),
        ("RemoteTrustDomain", json!("a/b"), "RemoteTrustDomain"),
        ("AllowedServices", json!(["web", "a/b/c"]), "AllowedServices[1]"),
        ("AllowedService", json!(["web"]), "AllowedService"),
    ] {
        let answer = bench
            .post("/v1/peering/token", json!({"PeerName": "east", field: value}))
            .await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert!(answer.text.contains(says), "{}", answer.text);
    }
}

#[tokio::test]
async fn tokens_are_listed_without_secrets_and_revoked() {
    let bench = Bench::new();
    assert_eq!(bench.get("/v1/peerway/peering-tokens").await.json(), json!([]));
    bench
        .commit(vec![
            peering("east"),
            peering("north"),
            grants("east", Some(1_000)),
            grants("north", None),
        ])
        .await;
    let all = bench.get("/v1/peerway/peering-tokens").await.json();
    let shown: Vec<(&str, &str, &str)> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|token| {
            let text = |field: &str| token[field].as_str().unwrap();
            (text("PeerName"), text("AccessorID"), text("State"))
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("east", "a1", "expired"),
            ("east", "a2", "in-use"),
            ("east", "a3", "revoked"),
            ("north", "a1", "unused"),
            ("north", "a2", "in-use"),
            ("north", "a3", "revoked"),
        ]
    );
    let one = bench.get("/v1/peerway/peering-tokens/north").await.json();
    assert_eq!(one, json!(all.as_array().unwrap()[3..]));
    assert_eq!(bench.get("/v1/peering/north").await.json()["Tokens"], one);
    let absent = bench.get("/v1/peerway/peering-tokens/south").await;
    assert_eq!(absent.status, StatusCode::NOT_FOUND);

    for (query, which) in [
        ("", "Only"),
        ("?all", "All"),
        ("?accessor=a1", "Accessor(\"a1\")"),
    ] {
        let answer = bench
            .delete(&format!("/v1/peerway/peering-tokens/north{query}"))
            .await;
        assert_eq!(answer.json(), json!({"Revoked": ["accessor"]}));
        assert_eq!(
            bench.hatches.asked(),
            [format!("revoke default/north {which} by ")]
        );
    }
    let both = bench
        .delete("/v1/peerway/peering-tokens/north?all&accessor=a1")
        .await;
    assert_eq!(both.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn the_audit_is_read_newest_first_and_by_peering() {
    let bench = Bench::new();
    let event = |peer: &str, action| AuditEvent {
        at: 0,
        action,
        peering: PeeringKey {
            partition: Partition::default(),
            name: PeerName::new(peer).unwrap(),
        },
        accessor: "a1".to_owned(),
        by: Requester {
            address: "10.0.0.1:5".to_owned(),
            program: String::new(),
        },
        detail: String::new(),
    };
    let record = |number, event| Row::Audit(Arc::new(AuditRecord { number, event }));
    bench
        .commit(vec![
            record(1, event("east", AuditAction::Made)),
            record(2, event("north", AuditAction::Revoked)),
        ])
        .await;
    let all = bench.get("/v1/peerway/peering-audit").await.json();
    assert_eq!(
        all[0],
        json!({"Number": 2, "Time": "1970-01-01T00:00:00Z", "Action": "revoked", "PeerName": "north",
            "AccessorID": "a1", "Address": "10.0.0.1:5"})
    );
    let one = bench.get("/v1/peerway/peering-audit?name=east").await.json();
    assert_eq!(one, json!([all[1]]));
}

#[tokio::test]
async fn peerings_may_have_the_names_of_requests() {
    let bench = Bench::new();
    bench.commit(vec![peering("token"), peering("establish")]).await;
    for name in ["token", "establish"] {
        let path = format!("/v1/peering/{name}");
        assert_eq!(bench.get(&path).await.json()["Name"], name);
        assert_eq!(bench.delete(&path).await.status, StatusCode::OK);
        assert_eq!(bench.hatches.asked(), [format!("delete default/{name}")]);
    }
}

#[tokio::test]
async fn answers_about_a_peer_say_how_fresh_they_are() {
    let bench = Bench::new();
    for (path, state, age) in [
        ("/v1/health/service/api?peer=east", "STALE", Some("192000")),
        ("/v1/health/connect/api?peer=east", "DIVERGED", Some("192000")),
        ("/v1/catalog/service/api?peer=east", "STALE", Some("192000")),
        ("/v1/catalog/services?peer=east", "STALE", Some("192000")),
        ("/v1/catalog/services?peer=north", "STALE", None),
    ] {
        let answer = bench.get(path).await;
        let header = |name| answer.headers.get(name).and_then(|value| value.to_str().ok());
        assert_eq!(header("x-peerway-peer-state"), Some(state), "{path}");
        assert_eq!(header("x-peerway-age-ms"), age, "{path}");
    }
    let local = bench.get("/v1/catalog/services").await;
    assert!(!local.headers.contains_key("x-peerway-peer-state"));
}

#[tokio::test]
async fn a_chain_says_where_calls_go_and_why_not_elsewhere() {
    let bench = Bench::new();
    import(&bench).await;
    let entry = json!({"Kind": "service-resolver", "Name": "api", "Failover": {"*": {"Targets": [
        {"Peer": "east"}, {"Peer": "nobody"}]}}});
    bench.put("/v1/config", entry).await;
    let chain = bench.get("/v1/discovery-chain/api").await.json()["Chain"].clone();
    let health = |target: &str| chain["Targets"][target]["Health"].clone();
    assert_eq!(
        health("api.default.default.dc1"),
        json!({"State": "ABSENT", "Reason": "it has no instance in the mesh",
            "Healthy": 0, "Total": 0, "Weight": 0, "Draining": 0})
    );
    assert_eq!(
        health("api.default.default.external.east"),
        json!({"State": "ABSENT", "Reason": "the peer does not export it into the mesh, it is skipped",
            "Healthy": 1, "Total": 1, "Weight": 1, "Draining": 0, "AgeMs": 192_000})
    );
    assert_eq!(
        health("api.default.default.external.nobody"),
        json!({"State": "ABSENT", "Reason": "there is no such peering, it is skipped"})
    );
    let now = |chain: &Value| {
        chain["Nodes"]["resolver:api.default.default.dc1"]["Resolver"]["Failover"]["Now"].clone()
    };
    assert_eq!(now(&chain), Value::Null);
    let bundle = peerway_model::TrustBundle {
        peering: PeeringKey {
            partition: peerway_model::Partition::default(),
            name: PeerName::new("east").unwrap(),
        },
        trust_domain: peerway_model::TrustDomain::new("td2.consul").unwrap(),
        exported_partition: peerway_model::Partition::default(),
        root_pems: vec!["pem".to_owned()],
    };
    bench.commit(vec![Row::Bundle(Arc::new(bundle))]).await;
    let chain = bench.get("/v1/discovery-chain/api").await.json()["Chain"].clone();
    let east = chain["Targets"]["api.default.default.external.east"]["Health"].clone();
    assert_eq!(east["State"], "DOWN");
    assert_eq!(east["Reason"], "none of the peer's mesh gateways serves");
    assert_eq!(now(&chain), Value::Null);
}

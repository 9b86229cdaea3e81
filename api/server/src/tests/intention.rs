//! Who may call whom, and why.

use super::*;

async fn written(bench: &Bench, entries: impl IntoIterator<Item = Value>) {
    for entry in entries {
        assert_eq!(bench.put("/v1/config", entry).await.json(), json!(true));
    }
}

/// `api` speaks http and `db` tcp; both have intentions.
async fn bench() -> Bench {
    let bench = Bench::new();
    written(
        &bench,
        [
            json!({"Kind": "service-defaults", "Name": "api", "Protocol": "http"}),
            json!({"Kind": "service-intentions", "Name": "api", "Sources": [
                {"Name": "web", "Permissions": [
                    {"Action": "deny", "HTTP": {"PathPrefix": "/admin"}},
                    {"Action": "allow", "HTTP": {"Header": [{"Name": "x-team", "Exact": "blue"}]}}]},
                {"Name": "*", "Action": "deny"},
                {"Name": "web", "Peer": "east", "Action": "allow"}]}),
            json!({"Kind": "service-intentions", "Name": "db", "Sources": [
                {"Name": "api", "Action": "allow"},
                {"Name": "web", "Permissions": [{"Action": "allow", "HTTP": {"PathPrefix": "/"}}]}]}),
        ],
    )
    .await;
    bench
}

async fn decided(bench: &Bench, query: &str) -> (bool, String) {
    let answer = bench
        .get(&format!("/v1/connect/intentions/check?{query}"))
        .await
        .json();
    assert!(!answer["Explanation"].as_str().unwrap().is_empty());
    (
        answer["Allowed"].as_bool().unwrap(),
        answer["Reason"].as_str().unwrap().to_owned(),
    )
}

#[tokio::test]
async fn a_check_says_why() {
    let bench = bench().await;
    for (query, allowed, reason) in [
        ("source=api&destination=db", true, "rule"),
        ("source=other&destination=db", false, "no-rule"),
        ("source=team/api&destination=db", false, "no-rule"),
        // Its permissions mean nothing on a service without requests.
        ("source=web&destination=db", false, "no-requests"),
        ("source=api&destination=db&path=/", false, "no-requests"),
        ("source=other&destination=api", false, "rule"),
        ("source=web&destination=api", false, "depends-on-request"),
        ("source=web&destination=api&path=/admin/x", false, "permission"),
        ("source=web&destination=api&path=/", false, "no-permission"),
        (
            "source=web&destination=api&path=/&header=X-Team:%20blue",
            true,
            "permission",
        ),
        (
            "source=web&destination=api&path=/&header=x-team:blue&header=x-team:red",
            false,
            "several-lines",
        ),
        ("source=web&destination=api&source-peer=east", false, "no-peering"),
    ] {
        assert_eq!(
            decided(&bench, query).await,
            (allowed, reason.to_owned()),
            "{query}"
        );
    }
    let answer = bench
        .get("/v1/connect/intentions/check?source=x&destination=api")
        .await
        .json();
    assert_eq!(
        answer["DecidedBy"],
        json!({"SourceName": "*", "SourceNS": "default", "SourcePartition": "default", "DestinationName": "api",
            "DestinationNS": "default", "DestinationPartition": "default", "Precedence": 8, "Action": "deny"})
    );
}

#[tokio::test]
async fn a_caller_of_a_peer_has_to_be_vouched_for() {
    let bench = bench().await;
    let query = "source=web&destination=api&source-peer=east";
    bench.commit(vec![peering("east")]).await;
    assert_eq!(decided(&bench, query).await, (false, "not-exported".to_owned()));
    let exports = json!({"Kind": "exported-services", "Name": "default",
        "Services": [{"Name": "front", "Consumers": [{"Peer": "east"}]}]});
    written(&bench, [exports]).await;
    assert_eq!(decided(&bench, query).await, (false, "not-exported".to_owned()));
    // Who may dial `front` is led to `api`.
    let protocol = json!({"Kind": "service-defaults", "Name": "front", "Protocol": "http"});
    let redirect = json!({"Kind": "service-resolver", "Name": "front", "Redirect": {"Service": "api"}});
    written(&bench, [protocol, redirect]).await;
    assert_eq!(decided(&bench, query).await, (false, "no-trust".to_owned()));
    bench.commit(vec![bundle("east")]).await;
    assert_eq!(decided(&bench, query).await, (true, "rule".to_owned()));
}

#[tokio::test]
async fn intentions_are_listed_by_either_side() {
    let bench = bench().await;
    let by = |side: &str, name: &str| format!("/v1/connect/intentions/match?by={side}&name={name}");
    let found = bench.get(&by("destination", "api")).await.json();
    let shown: Vec<(&Value, &Value)> = found["api"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (&one["SourceName"], &one["Precedence"]))
        .collect();
    assert_eq!(
        shown,
        [
            (&json!("web"), &json!(9)),
            (&json!("web"), &json!(9)),
            (&json!("*"), &json!(8)),
        ]
    );
    let found = bench.get(&by("source", "web")).await.json();
    let shown: Vec<(&Value, &Value)> = found["web"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (&one["SourceName"], &one["DestinationName"]))
        .collect();
    assert_eq!(
        shown,
        [
            (&json!("web"), &json!("api")),
            (&json!("web"), &json!("db")),
            (&json!("*"), &json!("api")),
        ]
    );
    assert_eq!(
        bench.get(&by("source", "nobody")).await.json()["nobody"][0]["SourceName"],
        "*"
    );
}

#[tokio::test]
async fn what_a_token_says_decides() {
    let bench = bench().await;
    let keys = "eyJrZXlzIjpbeyJrdHkiOiJSU0EiLCJuIjoiQVFBQiIsImUiOiJBUUFCIn1dfQ==";
    let provider = json!({"Kind": "jwt-provider", "Name": "idp", "Issuer": "i", "JSONWebKeySet": {"Local": {"JWKS": keys}}});
    let intentions = json!({"Kind": "service-intentions", "Name": "api",
        "JWT": {"Providers": [{"Name": "idp", "VerifyClaims": [{"Path": ["role"], "Value": "admin"}]}]},
        "Sources": [{"Name": "web", "Action": "allow"}]});
    let early = bench.put("/v1/config", intentions.clone()).await;
    assert_eq!(early.status, StatusCode::BAD_REQUEST);
    assert!(
        early.text.contains("JWT.Providers[0].Name: is idp"),
        "{}",
        early.text
    );
    written(&bench, [provider, intentions]).await;
    let query = "source=web&destination=api";
    for (more, allowed, reason) in [
        ("", false, "depends-on-request"),
        ("&path=/", false, "no-token"),
        ("&path=/&jwt=idp%3D%7B%22role%22:%22user%22%7D", false, "no-token"),
        ("&path=/&jwt=idp%3D%7B%22role%22:%22admin%22%7D", true, "rule"),
        ("&path=/&jwt=other%3D%7B%7D", false, "no-provider"),
    ] {
        let query = format!("{query}{more}");
        assert_eq!(
            decided(&bench, &query).await,
            (allowed, reason.to_owned()),
            "{query}"
        );
    }
    let unknown = bench
        .get("/v1/connect/intentions/check?source=web&destination=api&path=/&jwt=idp")
        .await;
    assert!(
        unknown.text.contains("jwt: \"idp\" is not provider="),
        "{}",
        unknown.text
    );
    // What is named stays.
    let deleted = bench.delete("/v1/config/jwt-provider/idp").await;
    assert_eq!(deleted.status, StatusCode::BAD_REQUEST);
    assert!(
        deleted.text.contains("named by service-intentions api"),
        "{}",
        deleted.text
    );
    assert_eq!(
        bench.delete("/v1/config/service-intentions/api").await.status,
        StatusCode::OK
    );
    assert_eq!(
        bench.delete("/v1/config/jwt-provider/idp").await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn what_cannot_be_decided_is_refused_by_parameter() {
    let bench = bench().await;
    for (path, expected) in [
        ("check?destination=api", "source: is required"),
        ("check?source=web", "destination: is required"),
        ("check?source=*&destination=api", "source"),
        (
            "check?source=a/b/c/d&destination=api",
            "source: \"a/b/c/d\" has too many parts",
        ),
        ("check?source=web&destination=api&source-type=k8s", "source-type"),
        ("check?source=web&destination=api&method=GET", "path: is required"),
        (
            "check?source=web&destination=api&path=admin",
            "path: \"admin\" does not begin",
        ),
        (
            "check?source=web&destination=api&path=/&header=x",
            "header: \"x\" is not name: value",
        ),
        ("match?name=api", "by: use"),
        ("match?by=source", "name: is required"),
    ] {
        let refused = bench.get(&format!("/v1/connect/intentions/{path}")).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{path}");
        assert!(refused.text.contains(expected), "{path}: {}", refused.text);
    }
}

//! Discovery chains.

use super::*;

async fn written(bench: &Bench, entries: impl IntoIterator<Item = Value>) {
    for entry in entries {
        assert_eq!(bench.put("/v1/config", entry).await.json(), json!(true));
    }
}

#[tokio::test]
async fn whether_those_that_are_near_are_preferred_is_shown() {
    let bench = Bench::new();
    let (failover, none) = (json!({"Mode": "failover"}), json!({"Mode": "none"}));
    let defaults = json!({"Kind": "proxy-defaults", "Name": "global", "PrioritizeByLocality": failover});
    let db = json!({"Kind": "service-resolver", "Name": "db", "PrioritizeByLocality": none});
    for (entry, expected) in [
        (None, [None, None]),
        (Some(defaults), [Some(&failover); 2]),
        (Some(db), [Some(&failover), Some(&none)]),
    ] {
        written(&bench, entry).await;
        for (service, expected) in ["web", "db"].into_iter().zip(expected) {
            let answer = bench.get(&format!("/v1/discovery-chain/{service}")).await.json();
            let chain = &answer["Chain"];
            let resolver = &chain["Nodes"][format!("resolver:{service}.default.default.dc1")]["Resolver"];
            let target = &chain["Targets"][format!("{service}.default.default.dc1")];
            for place in [resolver, target] {
                assert_eq!(place.get("PrioritizeByLocality"), expected, "{answer}");
            }
        }
    }
}

#[tokio::test]
async fn the_chain_of_a_service_is_shown() {
    let bench = Bench::new();
    written(
        &bench,
        [
            json!({"Kind": "proxy-defaults", "Name": "global", "Config": {"protocol": "http"}}),
            json!({"Kind": "service-resolver", "Name": "web", "DefaultSubset": "v1", "ConnectTimeout": "2s",
                "Subsets": {"v1": {"Filter": "Service.Meta.v == 1", "OnlyPassing": true}},
                "Failover": {"*": {"Targets": [{"Peer": "west"}]}}}),
            json!({"Kind": "service-splitter", "Name": "web",
                "Splits": [{"Weight": 99.5}, {"Weight": 0.5, "Service": "api", "Peer": "west"}]}),
            json!({"Kind": "service-router", "Name": "web", "Routes": [
                {"Match": {"HTTP": {"PathPrefix": "/api"}}, "Destination": {"Service": "api"}}]}),
        ],
    )
    .await;
    let answer = bench.get("/v1/discovery-chain/web").await.json();
    let chain = &answer["Chain"];
    assert_eq!(chain["StartNode"], "router:web.default.default");
    assert_eq!(chain["Protocol"], "http");
    assert_eq!(
        chain["Nodes"]["router:web.default.default"]["Routes"],
        json!([
            {"Definition": {"Match": {"HTTP": {"PathPrefix": "/api"}}, "Destination": {"Service": "api"}},
                "NextNode": "resolver:api.default.default.dc1"},
            {"Definition": {}, "NextNode": "splitter:web.default.default"}])
    );
    assert_eq!(
        chain["Nodes"]["splitter:web.default.default"]["Splits"],
        json!([
            {"Definition": {"Weight": 99.5}, "Weight": 99.5, "NextNode": "resolver:v1.web.default.default.dc1"},
            {"Definition": {"Weight": 0.5, "Service": "api", "Peer": "west"}, "Weight": 0.5,
                "NextNode": "resolver:api.default.default.external.west"}])
    );
    assert_eq!(
        chain["Nodes"]["resolver:v1.web.default.default.dc1"],
        json!({"Type": "resolver", "Name": "v1.web.default.default.dc1", "Resolver": {
            "Target": "v1.web.default.default.dc1", "ConnectTimeout": "2s",
            "Failover": {"Targets": ["web.default.default.external.west"], "Now": null}}})
    );
    let target = &chain["Targets"]["v1.web.default.default.dc1"];
    assert_eq!(
        target["Subset"],
        json!({"Filter": "Service.Meta.v == 1", "OnlyPassing": true})
    );
    assert_eq!(
        chain["Targets"]["web.default.default.external.west"]["Peer"],
        "west"
    );
    let posted = bench
        .post(
            "/v1/discovery-chain/web",
            json!({"OverrideProtocol": "", "OverrideMeshGateway": {"Mode": ""}}),
        )
        .await;
    assert_eq!(posted.json(), answer);
    let refused = bench
        .post("/v1/discovery-chain/web", json!({"OverrideProtocol": "grpc"}))
        .await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(
        refused.text.contains("OverrideProtocol: is not offered yet"),
        "{}",
        refused.text
    );
}

#[tokio::test]
async fn a_service_without_entries_is_its_own_chain() {
    let bench = Bench::new();
    let chain = bench.get("/v1/discovery-chain/any").await.json();
    assert_eq!(chain["Chain"]["Default"], true);
    assert_eq!(chain["Chain"]["StartNode"], "resolver:any.default.default.dc1");
    assert_eq!(
        chain["Chain"]["Nodes"]["resolver:any.default.default.dc1"]["Resolver"],
        json!({"Default": true, "Target": "any.default.default.dc1", "ConnectTimeout": "5s"})
    );
}

#[tokio::test]
async fn a_circle_is_a_bad_request() {
    let bench = Bench::new();
    written(
        &bench,
        [json!({"Kind": "service-resolver", "Name": "a", "Redirect": {"Service": "b"}})],
    )
    .await;
    let circle = json!({"Kind": "service-resolver", "Name": "b", "Redirect": {"Service": "a"}});
    let refused = bench.put("/v1/config", circle).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(refused.text.contains("lead in a circle"), "{}", refused.text);
    assert_eq!(
        bench.get("/v1/config/service-resolver/b").await.status,
        StatusCode::NOT_FOUND
    );
}

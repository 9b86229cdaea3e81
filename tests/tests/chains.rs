//! Discovery chains across peers on real Envoys: requests are routed by path and header, split by weight, and fail over.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "chains/three.rs"]
#[allow(dead_code, reason = "not every test looks at every proxy")]
mod three;

use peerway_tests::{ENVOY_ENV, OLDEST_ENVOY_ENV};
use serde_json::json;
use std::collections::BTreeMap;
use three::Three;

/// Calls of one split.
const CALLS: u32 = 10_000;

fn requests_are_routed_across_peers(envoy: &str) {
    let three = Three::start(envoy);
    three.says(
        &json!({"Kind": "service-resolver", "Name": "api", "Redirect": {"Service": "api", "Peer": "west"}}),
    );
    three.wait_answer("west", "/");
    three.says(&json!({"Kind": "service-router", "Name": "api", "Routes": [
        {"Match": {"HTTP": {"PathPrefix": "/east/"}},
            "Destination": {"Service": "api", "Peer": "east", "PrefixRewrite": "/",
                "RequestHeaders": {"Set": {"x-route": "east"}, "Remove": ["x-gone"]},
                "ResponseHeaders": {"Add": {"x-answer": "yes"}}}},
        {"Match": {"HTTP": {"Header": [{"Name": "x-to", "Exact": "east"}], "Methods": ["GET", "PUT"]}},
            "Destination": {"Service": "api", "Peer": "east"}},
        {"Match": {"HTTP": {"QueryParam": [{"Name": "to", "Regex": "ea.t"}]}},
            "Destination": {"Service": "api", "Peer": "east", "RequestTimeout": "5s", "IdleTimeout": "5s",
                "NumRetries": 2, "RetryOn": ["5xx"], "RetryOnStatusCodes": [418]}}]}));
    let answer = three.wait_answer("east", "/east/a\nx-gone: 1\nx-route: mine");
    assert_eq!(answer.path(), "/a");
    assert_eq!(answer.arrived("x-route"), Some("east"));
    assert_eq!(answer.arrived("x-gone"), None);
    assert_eq!(answer.headers.get("x-answer").map(String::as_str), Some("yes"));
    for (request, whom) in [
        ("/", "west"),
        ("/east", "west"),
        ("/\nx-to: east", "east"),
        ("/\nx-to: west", "west"),
        ("/?to=east", "east"),
        ("/?to=eastern", "west"),
    ] {
        let answer = three.dial().call(request).unwrap();
        assert_eq!(answer.service(), Some(whom), "{request}: {answer:?}");
    }
    // What east says about its own api holds for east's peers, at east's gateway.
    let router = json!({"Kind": "service-router", "Name": "api", "Routes": [
        {"Match": {"HTTP": {"PathExact": "/inner"}},
            "Destination": {"PrefixRewrite": "/rewritten", "RequestHeaders": {"Set": {"x-by": "east's gateway"}}}},
        {"Match": {"HTTP": {"PathPrefix": "/nowhere"}}, "Destination": {"Service": "nobody"}}]});
    let east = &three.east.cluster;
    east.write_config("router.json", &router.to_string()).unwrap();
    peerway_cli::demo::stage::wait_for(
        "east's routes to reach its gateway",
        three::SETTLE,
        || match three.dial().call("/inner\nx-to: east")? {
            answer if answer.path() == "/rewritten" => Ok(answer),
            answer => anyhow::bail!("{answer:?}"),
        },
    )
    .map(|answer| assert_eq!(answer.arrived("x-by"), Some("east's gateway")))
    .unwrap();
    let nowhere = three.dial().call("/nowhere\nx-to: east").unwrap();
    assert_eq!((nowhere.status, nowhere.service()), (503, None), "{nowhere:?}");
    three.finish();
}

#[test]
fn routes_cross_peers() {
    requests_are_routed_across_peers(ENVOY_ENV);
}

#[test]
fn routes_cross_peers_with_the_oldest_envoy() {
    requests_are_routed_across_peers(OLDEST_ENVOY_ENV);
}

#[test]
fn a_split_across_two_peers_is_as_written() {
    let three = Three::start(ENVOY_ENV);
    three.says(&json!({"Kind": "service-splitter", "Name": "api", "Splits": [
        {"Weight": 90, "Service": "api", "Peer": "west"},
        {"Weight": 10, "Service": "api", "Peer": "east"}]}));
    three.wait_answer("east", "/");
    three.wait_answer("west", "/");
    let mut caller = three.dial();
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for _ in 0..CALLS {
        let answer = caller.call("/").unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        *counts.entry(answer.service().unwrap().to_owned()).or_default() += 1;
    }
    let west = counts.get("west").copied().unwrap_or_default();
    assert!(
        (CALLS * 88 / 100..=CALLS * 92 / 100).contains(&west),
        "{counts:?}"
    );
    assert_eq!(counts.values().sum::<u32>(), CALLS, "{counts:?}");
    three.finish();
}

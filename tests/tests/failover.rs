//! Failover across peers on real Envoys: by what the exporter says of its instances, by a gateway that is gone, and by
//! the age of what is held.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "failover/relay.rs"]
mod relay;
#[path = "chains/three.rs"]
#[allow(dead_code, reason = "these calls look at less of an answer")]
mod three;

use anyhow::{Result, bail};
use peerway_cli::demo::stage::{now, wait_for};
use peerway_tests::{ENVOY_ENV, OLDEST_ENVOY_ENV};
use relay::Relay;
use serde_json::json;
use std::sync::mpsc;
use three::{SETTLE, Setup, Speaks, Three};

/// How old what is held of a peer may be in these tests.
const STALE_AFTER: &str = "3s";
/// The places of west and east in the order.
const WEST: usize = 2;
const EAST: usize = 3;
/// Envoy's words for an endpoint that the exporter says is of no use.
const UNHEALTHY: &str = "/failed_eds_health";
/// And for one of which nobody knows any more.
const DEGRADED: &str = "/degraded_eds_health";

/// Home, east and west, of which others see the gateway and the servers through relays.
struct Scene {
    three: Three,
    gateway: Relay,
    servers: Relay,
}

/// West stands before east; before both a peer that does not exist, and home, which has no instance. No entry is about
/// `api`.
fn start(envoy: &str, speaks: Speaks) -> Scene {
    let (tell, relays) = mpsc::channel();
    let west = move |gateway, servers| {
        let (gateway, servers) = (Relay::to(gateway), Relay::to(servers));
        let seen = (gateway.port, servers.port);
        tell.send((gateway, servers)).unwrap();
        seen
    };
    let setup = Setup {
        home: format!("peering {{ stale_after = \"{STALE_AFTER}\" }}\n"),
        west: Some(Box::new(west)),
        speaks,
    };
    let three = Three::start_with(envoy, setup);
    let (gateway, servers) = relays.recv().unwrap();
    three.says(
        &json!({"Kind": "sameness-group", "Name": "all", "DefaultForFailover": true, "IncludeLocal": true,
            "Members": [{"Peer": "nobody"}, {"Peer": "west"}, {"Peer": "east"}]}),
    );
    three.wait_answer("west", "/");
    Scene {
        three,
        gateway,
        servers,
    }
}

impl Three {
    /// Where calls go as the discovery chain says it, and how the targets are.
    fn told(&self) -> (Option<String>, Vec<String>) {
        let chain = self.home.get("/v1/discovery-chain/api").unwrap()["Chain"].clone();
        let resolver = &chain["Nodes"]["resolver:api.default.default.home"]["Resolver"];
        let now = resolver["Failover"]["Now"].as_str().map(str::to_owned);
        let targets = ["nobody", "west", "east"].map(|peer| {
            let health = &chain["Targets"][format!("api.default.default.external.{peer}")]["Health"];
            health["State"].as_str().unwrap_or_default().to_owned()
        });
        (now, targets.to_vec())
    }

    fn assert_told(&self, whom: &str, states: [&str; 2]) {
        let (now, targets) = self.told();
        assert_eq!(now, Some(format!("api.default.default.external.{whom}")));
        assert_eq!(targets, [&["ABSENT"], &states[..]].concat());
    }

    /// Waits until the gateway of the nth target is to web's sidecar as `flag` says, and how long that took.
    fn wait_flag(&self, nth: usize, flag: &str) {
        let begun = now();
        let cluster = format!("failover-target~{nth}~api.");
        let wanted = |flags: &str| match flag {
            "" => flags == "healthy",
            flag => flags.contains(flag),
        };
        wait_for(&format!("target {nth} to be {flag:?}"), SETTLE, || {
            let all = self.web.ask("/clusters")?;
            let mut flags = all
                .lines()
                .filter(|line| line.starts_with(&cluster))
                .filter_map(|line| line.split_once("::health_flags::").map(|(_, flags)| flags));
            match flags.next() {
                Some(flags) if wanted(flags) => Ok(()),
                flags => bail!("it is {flags:?}"),
            }
        })
        .unwrap();
        println!(
            "target {nth} became {flag:?} to the caller after {:?}",
            begun.elapsed()
        );
    }

    fn ejections(&self) -> u64 {
        let stats = self
            .web
            .stats("outlier_detection.ejections_enforced_total")
            .unwrap();
        stats.values().sum()
    }

    /// Once one is, every call is answered by the `api` of `whom`. What Envoy's admin interface tells its workers may
    /// hear a moment later, as may a peer's gateway.
    fn all_go_to(&self, whom: &str) {
        self.moves_to(whom);
        let mut caller = self.dial();
        for _ in 0..50 {
            let answer = caller.call("/").unwrap();
            assert_eq!((answer.status, answer.service()), (200, Some(whom)), "{answer:?}");
        }
    }

    /// The same of connections, each with one call.
    fn all_connect_to(&self, whom: &str) {
        self.moves_to(whom);
        for _ in 0..50 {
            let answer = self.dial().call("/").unwrap();
            assert_eq!((answer.status, answer.service()), (200, Some(whom)), "{answer:?}");
        }
    }

    /// Waits until a call is answered by the `api` of `whom`, without a pause between calls; what else there was.
    fn moves_to(&self, whom: &str) {
        let begun = now();
        let mut other = Vec::new();
        let call = || -> Result<()> {
            let answer = self.dial().call("/")?;
            match answer.service() {
                Some(service) if service == whom => Ok(()),
                service => bail!("{} by {service:?}", answer.status),
            }
        };
        while let Err(error) = call() {
            assert!(begun.elapsed() < SETTLE, "{error:?} after {other:?}");
            other.push(error.to_string());
        }
        println!(
            "moved to {whom} after {:?} and {} calls that it did not answer: {:?}",
            begun.elapsed(),
            other.len(),
            other.last()
        );
    }
}

fn traffic_goes_where_somebody_is(envoy: &str) {
    let Scene {
        three,
        gateway,
        servers,
    } = start(envoy, Speaks::Http);
    let (west, east) = (&three.west, &three.east);

    // West says itself that its instances are of no use; nobody has to find out by failing.
    west.cluster.cli(&["maint", "-enable", "-service=api"]).unwrap();
    three.wait_flag(WEST, UNHEALTHY);
    three.all_go_to("east");
    three.assert_told("east", ["DOWN", "UP"]);
    assert_eq!(three.ejections(), 0);
    west.cluster.cli(&["maint", "-disable", "-service=api"]).unwrap();
    three.wait_flag(WEST, "");
    three.all_go_to("west");
    three.assert_told("west", ["UP", "UP"]);
    assert_eq!(three.ejections(), 0);

    // The same under calls.
    west.cluster.cli(&["maint", "-enable", "-service=api"]).unwrap();
    three.moves_to("east");
    west.cluster.cli(&["maint", "-disable", "-service=api"]).unwrap();
    three.wait_answer("west", "/");

    // Its gateway is gone, which its servers do not know: callers find out.
    gateway.cut();
    three.moves_to("east");
    three.all_go_to("east");
    gateway.open();
    three.wait_answer("west", "/");

    // Nothing is heard of it any more, and its gateway takes calls and never answers them.
    three.wait_flag(WEST, "");
    let ejected = three.ejections();
    gateway.silence();
    servers.cut();
    three.wait_flag(WEST, DEGRADED);
    three.all_go_to("east");
    three.assert_told("east", ["STALE", "UP"]);
    assert_eq!(three.ejections(), ejected);

    // Nor of the other one: the order is again the one that was written.
    gateway.open();
    east.cluster.process.kill();
    three.wait_flag(EAST, DEGRADED);
    three.all_go_to("west");
    three.assert_told("west", ["STALE", "STALE"]);

    servers.open();
    three.wait_flag(WEST, "");
    three.all_go_to("west");
    three.finish();
}

/// Bytes are passed on as they are, so nobody can ask the next target after the fact: what counts is where a connection
/// is opened.
fn connections_go_where_somebody_is(envoy: &str) {
    let Scene {
        three,
        gateway,
        servers,
    } = start(envoy, Speaks::Tcp);
    let west = &three.west;
    // One that is open stays where it is, whatever is said of the target later.
    let mut early = three.dial();
    assert_eq!(early.call("/").unwrap().service(), Some("west"));

    west.cluster.cli(&["maint", "-enable", "-service=api"]).unwrap();
    three.wait_flag(WEST, UNHEALTHY);
    three.all_connect_to("east");
    three.assert_told("east", ["DOWN", "UP"]);
    assert_eq!(three.ejections(), 0);
    assert_eq!(early.call("/").unwrap().service(), Some("west"));
    west.cluster.cli(&["maint", "-disable", "-service=api"]).unwrap();
    three.wait_flag(WEST, "");
    three.all_connect_to("west");
    three.assert_told("west", ["UP", "UP"]);
    assert_eq!(three.ejections(), 0);

    // The gateway is gone, which its servers do not know: failed connections are what tells.
    gateway.cut();
    early.call("/").unwrap_err();
    three.moves_to("east");
    assert!(three.ejections() > 0);
    gateway.open();
    three.wait_answer("west", "/");

    // Nothing is heard of it any more, and its gateway takes connections and says nothing.
    three.wait_flag(WEST, "");
    gateway.silence();
    servers.cut();
    three.wait_flag(WEST, DEGRADED);
    three.all_connect_to("east");
    three.assert_told("east", ["STALE", "UP"]);

    gateway.open();
    servers.open();
    three.wait_flag(WEST, "");
    three.all_connect_to("west");
    three.finish();
}

#[test]
fn a_peer_that_is_down_or_gone_or_silent_is_stood_in_for() {
    traffic_goes_where_somebody_is(ENVOY_ENV);
}

#[test]
fn a_peer_is_stood_in_for_with_the_oldest_envoy() {
    traffic_goes_where_somebody_is(OLDEST_ENVOY_ENV);
}

#[test]
fn connections_of_bytes_go_where_somebody_is() {
    connections_go_where_somebody_is(ENVOY_ENV);
}

#[test]
fn connections_of_bytes_go_where_somebody_is_with_the_oldest_envoy() {
    connections_go_where_somebody_is(OLDEST_ENVOY_ENV);
}

//! A sample of what the model is asked about, asked of real Envoys: one that carries the sidecars of many services, one
//! that is the terminating gateway of others, their mesh gateway, and two gateways at the edge.

use crate::fixed::Fixed;
use crate::generate;
use crate::real::{Authorities, Client, Running, application, plain_status};
use crate::tokens;
use crate::world::{self, LOCAL, PEERS, World};
use crate::{GATEWAY, XFCC};
use peerway_mesh::View;
use peerway_model::config::{Action, Protocol, ServiceIntentions};
use peerway_model::intention::{Request, decide, rules_for};
use peerway_xds_translate::Dialect;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Services, each with intentions of its own.
const SERVICES: u16 = 20;
/// Every which of them is outside the mesh.
const OUTSIDE: u16 = 4;
/// Calls of each.
const CALLS: usize = 16;
/// What the World says about ports; the real ones are found out.
const FIRST_PORT: u16 = 20_000;

/// The Envoy that a variable names. These tests fail without it, they are never skipped.
fn binary(variable: &str) -> PathBuf {
    match std::env::var_os(variable) {
        Some(path) => PathBuf::from(path),
        None => panic!(
            "{variable} is not set: run `cargo xtask test`, or set it to what `cargo xtask envoy` prints"
        ),
    }
}

/// Who carries no good token carries a bad one instead, so that it shows if that counts.
fn text(request: &Request, host: &str) -> String {
    let mut text = format!("{} {} HTTP/1.1\r\nhost: {host}\r\n", request.method, request.path);
    for (name, value) in &request.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    for (name, value) in tokens::headers(&request.tokens) {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("content-length: 0\r\nconnection: close\r\n\r\n");
    text
}

/// Envoys and the services behind them.
struct Stage {
    authorities: Authorities,
    intentions: Vec<ServiceIntentions>,
    sidecars: Running,
    out: Running,
    gateway: Running,
    edges: BTreeMap<&'static str, Running>,
    _dir: tempfile::TempDir,
}

impl Stage {
    fn new(variable: &str, dialect: Dialect, default: Action, intentions: Vec<ServiceIntentions>) -> Self {
        let authorities = Authorities::new();
        let (outside, inside): (Vec<u16>, Vec<u16>) = (0..SERVICES).partition(|n| is_outside(*n));
        let services: Vec<(String, u16)> = inside.iter().map(|n| (service(*n), FIRST_PORT + n)).collect();
        let outside: Vec<String> = outside.iter().map(|n| service(*n)).collect();
        let app = application();
        let mut world = World::new(
            &services,
            &outside,
            app,
            8443,
            Protocol::Http,
            &intentions,
            default,
            &authorities.roots(),
        );
        let dir = tempfile::tempdir().unwrap();
        let mut sidecars = Fixed::default();
        let leaf = |identity: &str| authorities.leaf(identity);
        for (name, _) in &services {
            sidecars.add(name, &world.sidecar(name), leaf, dialect, &BTreeMap::new());
        }
        let start = |name: &str, proxy| Running::start(&binary(variable), dir.path(), name, proxy);
        let sidecars = start("sidecars", sidecars);
        let gateway = |name: &str, view: &View, ports: &BTreeMap<u16, u16>| {
            let mut fixed = Fixed::default();
            fixed.add(name, view, leaf, dialect, ports);
            start(name, fixed)
        };
        let out = gateway("out", &world.named(world::OUT.0), &[(app, app)].into());
        let mut ports: BTreeMap<u16, u16> = services
            .iter()
            .map(|(name, port)| (*port, sidecars.ports[name]))
            .collect();
        ports.insert(world::OUT.1, out.ports["out"]);
        let edges = world::EDGES.map(|name| (name, gateway(name, &world.named(name), &ports)));
        Stage {
            gateway: gateway("gateway", &world.gateway(), &ports),
            edges: edges.into(),
            authorities,
            intentions,
            sidecars,
            out,
            _dir: dir,
        }
    }

    /// A call to a service by somebody with this certificate: a local caller dials the sidecar or the terminating gateway,
    /// a peer's the mesh gateway.
    fn status(&self, service: &str, trust_domain: &str, client: &Client, request: &Request) -> Option<u16> {
        let peer = PEERS.into_iter().find(|(_, domain, _)| *domain == trust_domain);
        let (port, sni) = match peer {
            None => (
                self.sidecars
                    .ports
                    .get(service)
                    .copied()
                    .unwrap_or(self.out.ports["out"]),
                format!("{service}.default.dc1.internal.{LOCAL}"),
            ),
            Some((peer, _, _)) => (
                self.gateway.ports["gateway"],
                format!("{service}.default.default.{peer}.external.{LOCAL}"),
            ),
        };
        client.status(port, &sni, &text(request, "api"))
    }

    /// A call to a service from outside, through a gateway at the edge.
    fn status_outside(&self, edge: &str, service: &str, request: &Request) -> Option<u16> {
        let host = world::host(edge, service);
        plain_status(self.edges[edge].ports[edge], &text(request, &host))
    }

    /// What those said that may have had to do with a call.
    fn said(&self) -> String {
        let edges = self.edges.values();
        let all = [&self.sidecars, &self.out, &self.gateway]
            .into_iter()
            .chain(edges);
        all.map(Running::said).collect()
    }
}

/// How many were answered with each status, by what and for which reason.
type Counts<What> = BTreeMap<(What, u16, &'static str), u32>;

fn is_outside(number: u16) -> bool {
    number % OUTSIDE == OUTSIDE - 1
}

fn expected(action: Action) -> u16 {
    match action {
        Action::Allow => 200,
        Action::Deny => 403,
    }
}

fn service(number: u16) -> String {
    format!("api{number}")
}

fn envoys_decide_what_intentions_mean(variable: &str, dialect: Dialect, default: Action) {
    let seed = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), seed);
    let mut make = |strategy: proptest::strategy::BoxedStrategy<Vec<ServiceIntentions>>| {
        strategy.new_tree(&mut runner).unwrap().current()
    };
    let mut intentions = make(generate::common().boxed());
    for number in 0..SERVICES {
        intentions.extend(make(
            generate::own(service(number)).prop_map(|own| vec![own]).boxed(),
        ));
    }
    // Somebody gets in from outside, whatever was generated: to a service in the mesh and to one outside.
    for last in intentions.iter_mut().rev().take(2) {
        for edge in world::EDGES {
            generate::let_in(last, edge);
        }
    }
    // And everywhere somebody needs a token, and nothing else.
    for before in intentions.iter_mut().rev().skip(2).take(usize::from(OUTSIDE)) {
        generate::let_in_with_token(before, tokens::PROVIDERS[0]);
    }
    let stage = Stage::new(variable, dialect, default, intentions);
    let mut clients: BTreeMap<generate::Caller, Client> = BTreeMap::new();
    // By whether the service is outside the mesh and the caller of a peer.
    let mut answers: Counts<(bool, bool)> = BTreeMap::new();
    // By whether the service is outside the mesh, and by the gateway.
    let mut from_outside: Counts<(bool, &str)> = BTreeMap::new();
    for number in 0..SERVICES {
        let (service, is_outside) = (service(number), is_outside(number));
        let rules = rules_for(
            &stage.intentions,
            &world::service_key(&service),
            |_| true,
            |_| Vec::new(),
        );
        for _ in 0..CALLS {
            let strategy = (generate::caller(), generate::request());
            let (caller, request) = strategy.new_tree(&mut runner).unwrap().current();
            let client = clients.entry(caller.clone()).or_insert_with(|| {
                let names = [caller.spiffe_id.clone()];
                Client::new(
                    &stage
                        .authorities
                        .certificate(caller.trust_domain, &names, "caller"),
                )
            });
            let decision = decide(&rules, default, &caller.key, Some(&request));
            let answer = expected(decision.action);
            let status = stage.status(&service, caller.trust_domain, client, &request);
            assert_eq!(
                status,
                Some(answer),
                "{service} {caller:?} {request:?} decided {decision:?} of {rules:#?}\n{}",
                stage.said()
            );
            let way = (is_outside, caller.trust_domain != LOCAL);
            *answers.entry((way, answer, decision.why.code())).or_insert(0) += 1;
            // The same from outside, by somebody who says that the gateway has said who it is.
            let mut lying = request.clone();
            let forged = format!("By={GATEWAY};Hash=cd;URI={}", caller.spiffe_id);
            lying.headers.push((XFCC.to_owned(), forged));
            for edge in world::EDGES {
                let decision = decide(&rules, default, &world::service_key(edge), Some(&request));
                let answer = expected(decision.action);
                assert_eq!(
                    stage.status_outside(edge, &service, &lying),
                    Some(answer),
                    "{service} from outside through {edge} {lying:?} decided {decision:?} of {rules:#?}\n{}",
                    stage.said()
                );
                let way = (is_outside, edge);
                *from_outside
                    .entry((way, answer, decision.why.code()))
                    .or_insert(0) += 1;
            }
        }
    }
    shows_enough(&answers);
    shows_enough(&from_outside);
}

/// Both answers on every way, and some for want of a token, or the sample would show little.
fn shows_enough<What: Copy + Ord + std::fmt::Debug>(counts: &Counts<What>) {
    let ways: BTreeSet<What> = counts.keys().map(|(way, ..)| *way).collect();
    assert_eq!(ways.len(), 4, "{counts:?}");
    for way in ways {
        let of = |status: u16| counts.keys().any(|key| (key.0, key.1) == (way, status));
        assert!(of(200) && of(403), "{way:?} in {counts:?}");
        let without = counts.keys().any(|key| (key.0, key.2) == (way, "no-token"));
        assert!(without, "{way:?} in {counts:?}");
    }
}

#[test]
fn envoys_deny_by_default_what_intentions_mean() {
    envoys_decide_what_intentions_mean("PEERWAY_ENVOY", Dialect::From1_37, Action::Deny);
}

#[test]
fn envoys_allow_by_default_what_intentions_mean() {
    envoys_decide_what_intentions_mean("PEERWAY_ENVOY", Dialect::From1_37, Action::Allow);
}

#[test]
fn the_oldest_envoys_deny_by_default_what_intentions_mean() {
    envoys_decide_what_intentions_mean("PEERWAY_ENVOY_OLDEST", Dialect::From1_36, Action::Deny);
}

#[test]
fn the_oldest_envoys_allow_by_default_what_intentions_mean() {
    envoys_decide_what_intentions_mean("PEERWAY_ENVOY_OLDEST", Dialect::From1_36, Action::Allow);
}

/// A peer's authority may write what it likes into its certificates, and still speaks for nobody else.
#[test]
fn no_certificate_of_a_peer_speaks_for_another() {
    for (variable, dialect) in [
        ("PEERWAY_ENVOY", Dialect::From1_37),
        ("PEERWAY_ENVOY_OLDEST", Dialect::From1_36),
    ] {
        let web = |domain: &str, home: &str| format!("spiffe://{domain}{home}/ns/default/dc/dc1/svc/web");
        let (east, west, local) = (
            web("east.consul", ""),
            web("west.consul", "/ap/of-west"),
            web(LOCAL, ""),
        );
        let mut runner = TestRunner::deterministic();
        let strategy = generate::own(service(0));
        // Exactly east's and our own web may call.
        let mut entry = strategy.new_tree(&mut runner).unwrap().current();
        entry.sources = generate::webs(&[Some("east"), None]);
        entry.jwt = None;
        let stage = Stage::new(variable, dialect, Action::Deny, vec![entry]);
        let request = Request {
            method: "GET".to_owned(),
            path: "/".to_owned(),
            headers: Vec::new(),
            tokens: BTreeMap::new(),
        };
        let ask = |domain: &str, names: &[&str], common_name: &str| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let client = Client::new(&stage.authorities.certificate(domain, &names, common_name));
            stage.status(&service(0), domain, &client, &request)
        };
        assert_eq!(ask("east.consul", &[&east], "web"), Some(200));
        assert_eq!(ask(LOCAL, &[&local], "web"), Some(200));
        assert_eq!(ask("west.consul", &[&west], "web"), Some(403));
        let element = format!("By={GATEWAY};Hash=ab;URI={east},");
        for common_name in [
            format!("x;URI={east},"),
            format!("x\";URI={east},"),
            format!("By={GATEWAY};URI={east}"),
        ] {
            let cut: String = common_name.chars().take(64).collect();
            for name in [&common_name, &cut] {
                assert_ne!(ask("west.consul", &[&west], name), Some(200), "{name}");
            }
        }
        // Names behind the first, and names that bring another one along.
        assert_ne!(ask("west.consul", &[&west, &east], "web"), Some(200));
        assert_ne!(ask("west.consul", &[&west, &local], "web"), Some(200));
        assert_ne!(ask("west.consul", &[&east, &west], "web"), Some(200));
        for inside in [
            &format!(";URI={east}"),
            &format!(",{element}"),
            &format!(",URI={east}"),
        ] {
            assert_ne!(
                ask("west.consul", &[&format!("{west}{inside}")], "web"),
                Some(200),
                "{inside}"
            );
        }
    }
}

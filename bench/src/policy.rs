//! What a long list of callers costs a request: the whole way of a call across peers, and the way within a cluster,
//! through real Envoys, to services that let 1, 100 and 1,000 sources call. They take turns, so that a slow moment of the
//! machine hits all alike, and are compared round by round.

use crate::timing::now;
use anyhow::{Context, Result, bail, ensure};
use peerway_cli::demo::cluster::Cluster;
use peerway_cli::demo::stage::{Stage, free_port, wait_for};
use peerway_cli::demo::story::{self, Scene};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

/// How many sources may call.
const SOURCES: [usize; 3] = [1, 100, 1_000];
/// Rounds that are compared; each has every subject.
const ROUNDS: usize = 30;
/// Turns of each subject in a round.
const TURNS: usize = 10;
/// Requests of one turn, one after the other on one connection.
const REQUESTS: usize = 100;
/// Requests that warm a way up.
const WARM: usize = 500;
/// How long something that travels through control planes and Envoys may take.
const SETTLE: Duration = Duration::from_secs(60);

/// One way to one service.
struct Subject {
    way: &'static str,
    sources: usize,
    connection: BufReader<TcpStream>,
    /// By round.
    rounds: Vec<Round>,
}

#[derive(Default)]
struct Round {
    latencies: Vec<Duration>,
    elapsed: Duration,
}

impl Round {
    fn quantile_us(&self, share: f64) -> f64 {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index among a thousand"
        )]
        let at = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
        sorted.get(at).map_or(0.0, |one| one.as_secs_f64() * 1e6)
    }

    #[expect(clippy::cast_precision_loss, reason = "a count of thousands")]
    fn requests_per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }
}

/// A variable that `cargo xtask bench` sets.
fn set(variable: &str) -> Result<PathBuf> {
    let value = std::env::var_os(variable);
    value
        .map(PathBuf::from)
        .with_context(|| format!("{variable} is not set, run it as `cargo xtask bench policy`"))
}

pub(crate) fn run() -> Result<Value> {
    let dir = std::env::temp_dir().join(format!("peerway-bench-policy-{}", std::process::id()));
    let stage = Stage::new(&dir, &set("PEERWAY_BENCH_BINARY")?, &set("PEERWAY_ENVOY")?)?;
    let measured = measure(&stage);
    stage.stop();
    // What is left tells why it failed.
    if measured.is_ok() {
        let _ = std::fs::remove_dir_all(&dir);
    }
    measured.with_context(|| format!("the logs are in {}", dir.display()))
}

fn measure(stage: &Stage) -> Result<Value> {
    let scene = story::set(stage)?;
    let application = application()?;
    let mut ways: Vec<(&'static str, usize, u16)> = Vec::new();
    let mut exported = Vec::new();
    let mut peered = String::new();
    let mut local = String::new();
    for sources in SOURCES {
        let name = format!("api{sources}");
        offer(&scene.west, &name, sources, application)?;
        let (far, near) = (free_port()?, free_port()?);
        peered.push_str(&format!(
            "{{ destination_name = \"{name}\" destination_peer = \"west\" local_bind_port = {far} }},\n"
        ));
        local.push_str(&format!(
            "{{ destination_name = \"{name}\" local_bind_port = {near} }},\n"
        ));
        exported.push(json!({ "Name": name, "Consumers": [{ "Peer": "east" }] }));
        ways.push(("peered", sources, far));
        ways.push(("local", sources, near));
    }
    put(
        &scene.west,
        &json!({ "Kind": "exported-services", "Name": "default", "Services": exported }),
    )?;
    story::introduce(&scene)?;
    dial(&scene, &scene.east, "caller", &peered)?;
    dial(&scene, &scene.west, "caller", &local)?;
    let mut subjects = Vec::new();
    for (way, sources, port) in ways {
        let answers = || {
            let mut connection = connect(port)?;
            call(&mut connection).map(|()| connection)
        };
        let connection = wait_for(&format!("the {way} way to api{sources}"), SETTLE, answers)?;
        subjects.push(Subject {
            way,
            sources,
            connection,
            rounds: Vec::new(),
        });
    }
    for subject in &mut subjects {
        for _ in 0..WARM {
            call(&mut subject.connection)?;
        }
    }
    for _ in 0..ROUNDS {
        for subject in &mut subjects {
            subject.rounds.push(Round::default());
        }
        for _ in 0..TURNS {
            for subject in &mut subjects {
                turn(subject)?;
            }
        }
    }
    stage.nothing_rejected()?;
    Ok(report(&subjects))
}

/// Registers a service with a sidecar, says that `sources` may call it, and runs its Envoy.
fn offer(west: &Cluster, name: &str, sources: usize, application: u16) -> Result<()> {
    let text = format!(
        "service {{ name = \"{name}\" address = \"127.0.0.1\" port = {application}\n\
         connect {{ sidecar_service {{ port = {} }} }} }}",
        free_port()?
    );
    west.register(&format!("{name}.hcl"), &text)?;
    put(
        west,
        &json!({ "Kind": "service-defaults", "Name": name, "Protocol": "http" }),
    )?;
    // The caller is the last of each list, beside others with names as long as names are.
    let others = (1..sources).map(|number| format!("a-service-of-some-team-{number:04}"));
    let listed = others.chain(std::iter::once("caller".to_owned()));
    let both = listed.flat_map(|caller| {
        [
            json!({ "Name": caller, "Peer": "east", "Action": "allow" }),
            json!({ "Name": caller, "Action": "allow" }),
        ]
    });
    put(
        west,
        &json!({ "Kind": "service-intentions", "Name": name, "Sources": both.collect::<Vec<_>>() }),
    )?;
    west.envoy(name, &format!("-sidecar-for={name}"))?
        .wait_live(SETTLE)
}

fn put(cluster: &Cluster, entry: &Value) -> Result<()> {
    cluster.api()?.put("/v1/config", entry)?.ok().map(|_| ())
}

/// Registers a caller with its upstreams, and runs its Envoy.
fn dial(scene: &Scene, cluster: &Cluster, name: &str, upstreams: &str) -> Result<()> {
    let gateways = match cluster.name == scene.east.name {
        true => "mesh_gateway { mode = \"local\" }",
        false => "",
    };
    let text = format!(
        "service {{ name = \"{name}\" address = \"127.0.0.1\" port = {}\n\
         connect {{ sidecar_service {{ port = {}\n proxy {{ {gateways}\n upstreams = [{upstreams}] }} }} }} }}",
        free_port()?,
        free_port()?
    );
    cluster.register(&format!("{}-{name}.hcl", cluster.name), &text)?;
    cluster
        .envoy(
            &format!("{}-{name}", cluster.name),
            &format!("-sidecar-for={name}"),
        )?
        .wait_live(SETTLE)
}

/// An application that answers every request alike; its port.
fn application() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            std::thread::spawn(move || answer(connection));
        }
    });
    Ok(port)
}

fn answer(connection: TcpStream) -> Option<()> {
    connection.set_nodelay(true).ok()?;
    let mut reader = BufReader::new(connection);
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
            reader.get_mut().write_all(answer).ok()?;
        }
    }
}

fn connect(port: u16) -> Result<BufReader<TcpStream>> {
    let connection = TcpStream::connect(("127.0.0.1", port))?;
    connection.set_nodelay(true)?;
    connection.set_read_timeout(Some(SETTLE))?;
    Ok(BufReader::new(connection))
}

/// One request, which has to be answered with 200.
fn call(connection: &mut BufReader<TcpStream>) -> Result<()> {
    connection
        .get_mut()
        .write_all(b"GET /hello HTTP/1.1\r\nhost: api\r\n\r\n")?;
    let mut line = String::new();
    connection.read_line(&mut line)?;
    ensure!(line.starts_with("HTTP/1.1 200"), "answered {line:?}");
    let mut length = 0;
    loop {
        line.clear();
        if connection.read_line(&mut line)? == 0 {
            bail!("the answer broke off");
        }
        if line == "\r\n" {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse()?;
        }
    }
    let mut body = vec![0; length];
    connection.read_exact(&mut body)?;
    Ok(())
}

fn turn(subject: &mut Subject) -> Result<()> {
    let begun = now();
    for _ in 0..REQUESTS {
        let sent = now();
        call(&mut subject.connection)?;
        if let Some(round) = subject.rounds.last_mut() {
            round.latencies.push(sent.elapsed());
        }
    }
    if let Some(round) = subject.rounds.last_mut() {
        round.elapsed += begun.elapsed();
    }
    Ok(())
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

fn report(subjects: &[Subject]) -> Value {
    let rounded = |value: f64, digits: f64| (value * digits).round() / digits;
    let row = |subject: &Subject| {
        let of = |what: &dyn Fn(&Round) -> f64| middle(subject.rounds.iter().map(what).collect());
        let first = subjects
            .iter()
            .find(|first| first.way == subject.way && first.sources == 1)
            .unwrap_or(subject);
        let ratio = |what: &dyn Fn(&Round) -> f64| {
            let pairs = subject.rounds.iter().zip(&first.rounds);
            middle(pairs.map(|(own, first)| what(own) / what(first)).collect())
        };
        let (p50, p99) = (
            |round: &Round| round.quantile_us(0.5),
            |round: &Round| round.quantile_us(0.99),
        );
        let rps = |round: &Round| round.requests_per_second();
        json!({
            "way": subject.way,
            "sources": subject.sources,
            "p50_us": rounded(of(&p50), 10.0),
            "p99_us": rounded(of(&p99), 10.0),
            "rps": of(&rps).round(),
            "p50_ratio": rounded(ratio(&p50), 1000.0),
            "p99_ratio": rounded(ratio(&p99), 1000.0),
            "rps_ratio": rounded(ratio(&rps), 1000.0),
        })
    };
    let rows: Vec<Value> = subjects.iter().map(row).collect();
    json!({
        "benchmark": "policy",
        "rounds": ROUNDS,
        "requests_per_round": TURNS * REQUESTS,
        "rows": rows,
    })
}

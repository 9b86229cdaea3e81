//! Many changes and no faults: one cluster peers with ten, each exports its services to the other, and all services
//! change all the time. Memory stays flat, and in the end everybody holds what there is.

mod catalog;
mod shop;
mod town;

use crate::ground::Ground;
use crate::memory::{FLAT, Life, Memory};
use crate::options::Options;
use crate::pace::Pace;
use anyhow::{Context, Result, ensure};
use catalog::Sides;
use peerway_cli::client::Client;
use peerway_cli::demo::envoy::Envoy;
use peerway_cli::demo::stage::{free_port, now, wait_for};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use town::{HUB, Town};

/// How long setting up may take.
const SETTLE: Duration = Duration::from_secs(120);
/// Memory is compared with that at this second, or with that after a fifth of a shorter run.
const BASELINE: u64 = 120;
/// A run that is shorter says nothing about memory, in seconds.
const SHORTEST: u64 = 300;
/// The share of the wanted rate that has to be reached for a run to say anything.
const REACHED: f64 = 0.95;
/// Services of each peer that the proxy in the middle dials.
const DIALLED: usize = 2;

/// Runs it; the report.
pub(crate) fn run(ground: &Ground, options: &Options) -> Result<Value> {
    let names: Vec<String> = (0..options.peers).map(|number| format!("p{number}")).collect();
    let mut towns = Vec::new();
    for (number, name) in std::iter::once(HUB)
        .chain(names.iter().map(String::as_str))
        .enumerate()
    {
        let seed = options.seed.wrapping_mul(1_000).wrapping_add(number as u64);
        towns.push(Town::start(&ground.stage, name, options.services, seed)?);
    }
    eprintln!("{} servers run", towns.len());
    fill(&towns, &names, options.services)?;
    peer(&towns)?;
    let envoys = envoys(&towns[0], &names, options.services)?;
    eprintln!("everybody is peered, changes begin");

    let memory = Memory::default();
    for town in &towns {
        memory.watch(&town.cluster.name, &town.cluster.process);
    }
    for envoy in &envoys {
        memory.watch(envoy.process.name(), &envoy.process);
    }
    let stored = |towns: &[Town]| -> BTreeMap<String, u64> {
        let names = towns.iter().map(|town| town.cluster.name.clone());
        names
            .map(|name| (name.clone(), ground.stored_bytes(&name)))
            .collect()
    };
    let stored_before = stored(&towns);
    let went = change(&mut towns, &memory, options)?;
    eprintln!("changes are over, the catalogs are compared");

    let mut violations = went.failures;
    let compared = match settle(&towns, options.services) {
        Ok(compared) => json!(compared),
        Err(error) => {
            violations.push(format!("{error:#}"));
            Value::Null
        }
    };
    let rejected = ground.stage.nothing_rejected();
    violations.extend(rejected.err().map(|error| format!("{error:#}")));
    violations.extend(ground.panics());
    violations.extend(fallen(ground));
    let baseline = usize::try_from(BASELINE.min(options.seconds / 5)).unwrap_or(usize::MAX);
    let lives = memory.lives();
    let reached = went.changes as f64 / went.seconds;
    if options.seconds >= SHORTEST {
        violations.extend(lives.iter().filter_map(|life| grown(life, baseline)));
        if reached < REACHED * f64::from(options.rate) {
            violations.push(format!(
                "only {reached:.1} changes a second were made: nothing is known of memory under {}",
                options.rate
            ));
        }
    }
    Ok(json!({
        "run": "churn",
        "seed": options.seed,
        "seconds": options.seconds,
        "peers": options.peers,
        "services": options.services,
        "violations": violations,
        "changes": went.changes,
        "changes_a_second": (reached * 10.0).round() / 10.0,
        "wanted_a_second": options.rate,
        "states": went.states,
        "compared": compared,
        "updates_rejected": rejected_updates(&envoys),
        "memory_judged": options.seconds >= SHORTEST,
        "memory_from_second": baseline,
        "memory": lives.iter().map(|life| life.report(baseline)).collect::<Vec<_>>(),
        "stored_bytes": { "before": stored_before, "after": stored(&towns) },
    }))
}

fn fill(towns: &[Town], names: &[String], services: usize) -> Result<()> {
    std::thread::scope(|scope| {
        let hub = [HUB.to_owned()];
        let filling: Vec<_> = towns
            .iter()
            .enumerate()
            .map(|(number, town)| {
                let consumers = if number == 0 { names.to_vec() } else { hub.to_vec() };
                // Half of the peers export by a wildcard, and their lists change with every instance.
                scope.spawn(move || town.fill(services, &consumers, number % 2 == 0))
            })
            .collect();
        filling.into_iter().try_for_each(joined)
    })
}

fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    let Ok(result) = thread.join() else {
        anyhow::bail!("a thread of this program panicked");
    };
    result
}

/// Half of the peers dial the cluster in the middle, the other half is dialled by it.
fn peer(towns: &[Town]) -> Result<()> {
    let (hub, peers) = towns.split_first().context("there is no cluster")?;
    for (number, town) in peers.iter().enumerate() {
        let (acceptor, dialer) = if number % 2 == 0 { (hub, town) } else { (town, hub) };
        let name = format!("-name={}", dialer.cluster.name);
        let token = acceptor.cluster.cli(&["peering", "generate-token", &name])?;
        let name = format!("-name={}", acceptor.cluster.name);
        let establish = ["peering", "establish", &name, "-peering-token", &token];
        dialer.cluster.cli(&establish)?;
    }
    for town in towns {
        wait_for("all peerings to be ACTIVE", SETTLE, || {
            let states = town::states(&town.client)?;
            let all = states.iter().all(|state| state == "ACTIVE");
            ensure!(all, "{}: {states:?}", town.cluster.name);
            Ok(())
        })?;
    }
    Ok(())
}

/// A sidecar that dials services of every peer, in the cluster in the middle. No mesh gateway: an Envoy takes minutes
/// until it has the 5,500 Envoy clusters that one would have here.
fn envoys(hub: &Town, names: &[String], services: usize) -> Result<Vec<Envoy>> {
    let mut upstreams = String::new();
    for peer in names {
        for service in 0..DIALLED.min(services) {
            let (name, port) = (shop::name(service), free_port()?);
            write!(
                upstreams,
                "{{ destination_name = \"{name}\" destination_peer = \"{peer}\" local_bind_port = {port} }},"
            )?;
        }
    }
    let text = format!(
        "service {{\n name = \"web\"\n address = \"127.0.0.1\"\n port = {}\n connect {{ sidecar_service {{\n port = {}\n proxy {{\n mesh_gateway {{ mode = \"local\" }}\n upstreams = [{upstreams}]\n }}\n }} }}\n}}",
        free_port()?,
        free_port()?
    );
    hub.cluster.register("web.hcl", &text)?;
    let envoys = vec![hub.cluster.envoy("hub-web", "-sidecar-for=web")?];
    for envoy in &envoys {
        envoy.wait_live(SETTLE)?;
    }
    Ok(envoys)
}

/// What came of the changes.
struct Went {
    changes: u64,
    seconds: f64,
    /// How often each state of a peering was read.
    states: BTreeMap<String, u64>,
    failures: Vec<String>,
}

fn change(towns: &mut [Town], memory: &Memory, options: &Options) -> Result<Went> {
    let done = AtomicBool::new(false);
    let begun = now();
    let every = Duration::from_secs(1)
        .mul_f64(towns.len() as f64)
        .div_f64(f64::from(options.rate));
    let apis = towns
        .iter()
        .map(|town| town.cluster.api())
        .collect::<Result<Vec<_>>>()?;
    let (counts, states) = std::thread::scope(|scope| {
        let done = &done;
        let looking = scope.spawn(move || memory.look_until(done));
        let reading = scope.spawn(move || read_states(&apis, done));
        let changing: Vec<_> = towns
            .iter_mut()
            .map(|town| scope.spawn(move || keep_changing(town, every, done)))
            .collect();
        std::thread::sleep(Duration::from_secs(options.seconds));
        done.store(true, Ordering::Release);
        let counts: Vec<_> = changing.into_iter().map(|thread| thread.join()).collect();
        let (states, _) = (reading.join(), looking.join());
        (counts, states)
    });
    let seconds = begun.elapsed().as_secs_f64();
    let mut went = Went {
        changes: 0,
        seconds,
        states: states.unwrap_or_default(),
        failures: Vec::new(),
    };
    for count in counts {
        match count {
            Ok(Ok(count)) => went.changes += count,
            Ok(Err(error)) => went.failures.push(format!("a change was refused: {error:#}")),
            Err(_) => went.failures.push("a thread of this program panicked".to_owned()),
        }
    }
    Ok(went)
}

fn keep_changing(town: &mut Town, every: Duration, done: &AtomicBool) -> Result<u64> {
    let mut pace = Pace::every(every);
    let mut count = 0;
    while !done.load(Ordering::Acquire) {
        pace.wait();
        let change = town.shop.next();
        town.make(&change)?;
        count += 1;
    }
    Ok(count)
}

/// Reads the states of all peerings once a second; how often each was read.
fn read_states(apis: &[Client], done: &AtomicBool) -> BTreeMap<String, u64> {
    let mut pace = Pace::every(Duration::from_secs(1));
    let mut counts = BTreeMap::new();
    while !done.load(Ordering::Acquire) {
        pace.wait();
        for api in apis {
            for state in town::states(api).unwrap_or_else(|_| vec!["UNREADABLE".to_owned()]) {
                *counts.entry(state).or_default() += 1;
            }
        }
    }
    counts
}

/// Waits until every export is held as it is; how much was compared.
fn settle(towns: &[Town], services: usize) -> Result<BTreeMap<&'static str, usize>> {
    let (hub, peers) = towns.split_first().context("there is no cluster")?;
    let pairs = peers.iter().flat_map(|peer| [(hub, peer), (peer, hub)]);
    let sides: Vec<Sides<'_>> = pairs
        .map(|(exporter, importer)| Sides {
            exporter: (&exporter.cluster.name, &exporter.client),
            importer: (&importer.cluster.name, &importer.client),
            services,
        })
        .collect();
    let all = std::thread::scope(|scope| {
        let comparing: Vec<_> = sides
            .iter()
            .map(|sides| {
                scope.spawn(move || wait_for("the catalogs to be equal", SETTLE, || sides.compare()))
            })
            .collect();
        comparing.into_iter().map(joined).collect::<Result<Vec<_>>>()
    })?;
    Ok(BTreeMap::from([
        ("exports", all.len()),
        ("services", all.iter().map(|(services, _)| services).sum()),
        ("instances", all.iter().map(|(_, instances)| instances).sum()),
    ]))
}

fn fallen(ground: &Ground) -> Vec<String> {
    let fallen = ground.stage.fallen();
    fallen
        .iter()
        .map(|process| format!("{} has ended by itself:\n{}", process.name(), process.tail(5)))
        .collect()
}

fn rejected_updates(envoys: &[Envoy]) -> Value {
    let each = envoys.iter().map(|envoy| {
        let rejected = envoy.sum("update_rejected").ok();
        (envoy.process.name().to_owned(), json!(rejected))
    });
    Value::Object(each.collect())
}

/// What is wrong with the memory of a process.
fn grown(life: &Life, baseline: usize) -> Option<String> {
    match life.growth(baseline) {
        Some(ratio) if ratio <= FLAT => None,
        Some(ratio) => Some(format!(
            "the memory of {} grew by a factor of {ratio:.3}, from {:?} to {:?} KiB",
            life.name,
            life.at(baseline),
            life.end()
        )),
        None => Some(format!("nothing is known of the memory of {}", life.name)),
    }
}

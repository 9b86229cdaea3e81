//! Writes to one cluster, one after the other, each repeated until it is acknowledged.

use super::course::Course;
use super::ledger::{Held, Ledger, Write};
use super::scene::{APP, peers_of};
use crate::pace::Pace;
use anyhow::{Context, Result};
use fastrand::Rng;
use peerway_cli::client::{Answer, Client};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Services that change in each cluster.
const SERVICES: usize = 12;
/// Time between two writes.
const EVERY: Duration = Duration::from_millis(150);
/// Pause before a write is repeated.
const AGAIN: Duration = Duration::from_millis(50);
/// What the names of the services begin with.
const PREFIX: &str = "s-";

fn name(service: usize) -> String {
    format!("{PREFIX}{service:02}")
}

/// The next write.
fn next(random: &mut Rng, cluster: &str, version: u64) -> Write {
    let service = name(random.usize(..SERVICES));
    let id = format!("{service}-{}", random.u8(1..3));
    match random.u8(..100) {
        0..62 => Write::Put { service, id, version },
        62..76 => Write::Delete { id },
        76..86 => exports(random, cluster),
        86..95 => Write::Intend { service, version },
        _ => Write::Forbid { service },
    }
}

/// Each service to each peer, as often as not. The one that is called is always exported.
fn exports(random: &mut Rng, cluster: &str) -> Write {
    let each = peers_of(cluster).map(|peer| {
        let chosen = (0..SERVICES).filter(|_| random.bool()).map(name);
        let services: BTreeSet<String> = std::iter::once(APP.to_owned()).chain(chosen).collect();
        (peer.to_owned(), services)
    });
    Write::Export(each.collect())
}

/// Writes until the run is over and the last write is acknowledged.
pub(crate) fn keep_writing(
    (cluster, http): (&str, &str),
    seed: u64,
    course: &Course,
    ledger: &Mutex<Ledger>,
) -> Result<()> {
    let client = Client::new(http)?;
    let mut random = Rng::with_seed(seed);
    let mut pace = Pace::every(EVERY);
    let mut next_write = Some(exports(&mut random, cluster));
    let mut version = 0;
    while course.goes_on() {
        pace.wait();
        version += 1;
        let write = next_write
            .take()
            .unwrap_or_else(|| next(&mut random, cluster, version));
        lock(ledger).ask(write.clone(), course.clock());
        while let Err(error) = send(&client, &write)? {
            // The server is down; what it refuses ends the run.
            let _ = error;
            std::thread::sleep(AGAIN);
        }
        let now = course.clock();
        lock(ledger).acknowledge(now);
    }
    Ok(())
}

pub(crate) fn lock(ledger: &Mutex<Ledger>) -> std::sync::MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends a write: whether it was acknowledged, or why there was no answer.
///
/// # Errors
/// When it was refused, which none of these may be.
fn send(client: &Client, write: &Write) -> Result<Result<(), anyhow::Error>> {
    let answer = match write {
        Write::Put { service, id, version } => {
            client.put("/v1/agent/service/register", &registration(service, id, *version))
        }
        Write::Delete { id } => client.put(&format!("/v1/agent/service/deregister/{id}"), &Value::Null),
        Write::Export(exports) => client.put("/v1/config", &entry(exports)),
        Write::Intend { service, version } => client.put("/v1/config", &intention(service, *version)),
        Write::Forbid { service } => client.delete(&format!("/v1/config/service-intentions/{service}")),
    };
    let answer: Answer = match answer {
        Ok(answer) => answer,
        Err(error) => return Ok(Err(error)),
    };
    match answer.status {
        // It was not there, or it was deleted the time before.
        404 if matches!(write, Write::Delete { .. } | Write::Forbid { .. }) => Ok(Ok(())),
        200..300 => Ok(Ok(())),
        // The server is starting or stopping.
        500..600 => Ok(answer.ok().map(|_| ())),
        status => {
            let refused = answer.ok().map(|_| ());
            refused.with_context(|| format!("{write:?} was refused with {status}"))?;
            Ok(Ok(()))
        }
    }
}

/// The tag tells in one answer over all services what is held of each instance.
fn registration(service: &str, id: &str, version: u64) -> Value {
    let sidecar = 22_000 + version % 1_000;
    json!({
        "Name": service,
        "ID": id,
        "Address": "10.0.0.1",
        "Port": 8_000 + version % 100,
        "Tags": [format!("{id}@{version}")],
        "Meta": { "version": version.to_string() },
        "Weights": { "Passing": 1 + version % 9, "Warning": 1 },
        "Connect": { "SidecarService": { "Port": sidecar } },
    })
}

fn entry(exports: &BTreeMap<String, BTreeSet<String>>) -> Value {
    let names: BTreeSet<&String> = exports.values().flatten().collect();
    let services: Vec<Value> = names
        .iter()
        .map(|name| {
            let peers = exports.iter().filter(|(_, services)| services.contains(*name));
            let consumers: Vec<Value> = peers.map(|(peer, _)| json!({ "Peer": peer })).collect();
            json!({ "Name": name, "Consumers": consumers })
        })
        .collect();
    json!({ "Kind": "exported-services", "Name": "default", "Services": services })
}

fn intention(service: &str, version: u64) -> Value {
    json!({
        "Kind": "service-intentions",
        "Name": service,
        "Meta": { "version": version.to_string() },
        "Sources": [{ "Name": APP, "Peer": "west", "Action": "allow" }],
    })
}

/// Instances and their versions out of the tags of services.
pub(crate) fn versions<'a>(tags: impl Iterator<Item = &'a str>) -> BTreeMap<String, u64> {
    let pairs = tags.filter_map(|tag| {
        let (id, version) = tag.split_once('@')?;
        Some((id.to_owned(), version.parse().ok()?))
    });
    pairs.collect()
}

/// What a cluster holds of its own.
pub(crate) fn held(client: &Client) -> Result<Held> {
    let services = client.get("/v1/agent/services")?.json()?;
    let services = services.as_object().context("the services are no object")?;
    let mut held = Held::default();
    for (id, service) in services {
        let name = service["Service"].as_str().unwrap_or_default();
        let tags = service["Tags"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str);
        if let Some(version) = versions(tags).get(id).filter(|_| name.starts_with(PREFIX)) {
            held.instances.insert(id.clone(), (name.to_owned(), *version));
        }
    }
    let exports = client.get("/v1/config/exported-services/default")?.json()?;
    for service in exports["Services"].as_array().into_iter().flatten() {
        let name = service["Name"].as_str().unwrap_or_default();
        for consumer in service["Consumers"].as_array().into_iter().flatten() {
            let peer = consumer["Peer"].as_str().unwrap_or_default().to_owned();
            held.exports.entry(peer).or_default().insert(name.to_owned());
        }
    }
    let intentions = client.get("/v1/config/service-intentions")?.json()?;
    for intention in intentions.as_array().into_iter().flatten() {
        let version = intention["Meta"]["version"]
            .as_str()
            .and_then(|text| text.parse().ok());
        if let (Some(name), Some(version)) = (intention["Name"].as_str(), version) {
            held.intentions.insert(name.to_owned(), version);
        }
    }
    Ok(held)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_write_comes_and_the_called_service_stays_exported() {
        let mut random = Rng::with_seed(1);
        let mut counts = [0; 5];
        for version in 0..1_000 {
            let write = next(&mut random, "west", version);
            let kind = match &write {
                Write::Put { .. } => 0,
                Write::Delete { .. } => 1,
                Write::Export(exports) => {
                    assert_eq!(exports.keys().collect::<Vec<_>>(), ["east", "north"]);
                    assert!(exports.values().all(|services| services.contains(APP)));
                    2
                }
                Write::Intend { .. } => 3,
                Write::Forbid { .. } => 4,
            };
            counts[kind] += 1;
        }
        assert!(counts.iter().all(|count| *count > 20), "{counts:?}");
    }

    #[test]
    fn tags_tell_instances_and_versions() {
        let found = versions(["s-01-1@17", "s-01-2@18", "other"].into_iter());
        let expected = [("s-01-1", 17), ("s-01-2", 18)];
        assert_eq!(
            found,
            expected.map(|(id, version)| (id.to_owned(), version)).into()
        );
    }

    #[test]
    fn an_entry_lists_each_service_with_its_peers() {
        let set = |names: &[&str]| {
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<BTreeSet<_>>()
        };
        let exports = BTreeMap::from([
            ("east".to_owned(), set(&["app", "s-01"])),
            ("north".to_owned(), set(&["app"])),
        ]);
        let services = json!([
            { "Name": "app", "Consumers": [{ "Peer": "east" }, { "Peer": "north" }] },
            { "Name": "s-01", "Consumers": [{ "Peer": "east" }] },
        ]);
        assert_eq!(entry(&exports)["Services"], services);
    }
}

//! The services of one cluster and how they change. Pure: what is done about a change is up to its caller.

use fastrand::Rng;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};

/// First port of a sidecar. Nothing listens there; they have to be unlike each other.
const SIDECARS: usize = 20_000;
/// Ports of services.
const PORTS: std::ops::Range<u16> = 8_000..8_100;

/// All services of a cluster. Every second one has two instances, the others have one: what is there does not grow, so
/// memory has no reason to.
pub(crate) struct Shop {
    random: Rng,
    services: Vec<BTreeMap<u8, Instance>>,
    /// What was deregistered and comes back soon, so that about as much is there at any time.
    missing: VecDeque<(usize, u8)>,
    version: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Instance {
    version: u64,
    port: u16,
    weight: u8,
}

/// One request to the API.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Change {
    pub(crate) path: String,
    pub(crate) body: Value,
}

/// The name of a service; the same in every cluster.
pub(crate) fn name(service: usize) -> String {
    format!("s-{service:04}")
}

/// How many instances a service has when none is missing.
fn most(service: usize) -> u8 {
    if service.is_multiple_of(2) { 2 } else { 1 }
}

impl Shop {
    /// Services with all their instances.
    pub(crate) fn new(services: usize, seed: u64) -> Self {
        let first = Instance {
            version: 0,
            port: PORTS.start,
            weight: 1,
        };
        Shop {
            random: Rng::with_seed(seed),
            services: (0..services)
                .map(|service| (1..=most(service)).map(|number| (number, first)).collect())
                .collect(),
            missing: VecDeque::new(),
            version: 0,
        }
    }

    /// The registrations of everything that is there.
    pub(crate) fn all(&self) -> Vec<Change> {
        let each = self.services.iter().enumerate();
        each.flat_map(|(service, instances)| {
            instances
                .iter()
                .map(move |(number, instance)| registration(service, *number, *instance))
        })
        .collect()
    }

    /// The next change: mostly of metadata, sometimes of the port or the weights, and instances come and go.
    pub(crate) fn next(&mut self) -> Change {
        self.version += 1;
        if !self.missing.is_empty()
            && self.random.bool()
            && let Some((service, number)) = self.missing.pop_front()
        {
            return self.put(service, number);
        }
        let service = self.random.usize(..self.services.len());
        let there: Vec<u8> = self.services[service].keys().copied().collect();
        match (self.random.u8(..100), there.as_slice()) {
            (_, []) => {
                self.missing.retain(|missing| *missing != (service, 1));
                self.put(service, 1)
            }
            (0..10, [.., last]) => self.delete(service, *last),
            (_, [.., last]) => self.put(service, *last),
        }
    }

    fn put(&mut self, service: usize, number: u8) -> Change {
        let kind = self.random.u8(..10);
        let (port, weight) = (self.random.u16(PORTS), self.random.u8(1..10));
        let before = self.services[service].get(&number).copied().unwrap_or(Instance {
            version: 0,
            port: PORTS.start,
            weight: 1,
        });
        let instance = match kind {
            0..2 => Instance { port, ..before },
            2..4 => Instance { weight, ..before },
            _ => before,
        };
        let instance = Instance {
            version: self.version,
            ..instance
        };
        self.services[service].insert(number, instance);
        registration(service, number, instance)
    }

    fn delete(&mut self, service: usize, number: u8) -> Change {
        self.services[service].remove(&number);
        self.missing.push_back((service, number));
        Change {
            path: format!("/v1/agent/service/deregister/{}", id(service, number)),
            body: Value::Null,
        }
    }
}

fn id(service: usize, number: u8) -> String {
    format!("{}-{number}", name(service))
}

/// As long for every version, so that memory does not grow by the number of digits.
fn registration(service: usize, number: u8, instance: Instance) -> Change {
    let version = format!("{:08}", instance.version);
    Change {
        path: "/v1/agent/service/register".to_owned(),
        body: json!({
            "Name": name(service),
            "ID": id(service, number),
            "Address": format!("10.0.{number}.1"),
            "Port": instance.port,
            "Tags": [version],
            "Meta": { "version": version },
            "Weights": { "Passing": instance.weight, "Warning": 1 },
            "Connect": { "SidecarService": { "Port": SIDECARS + 2 * service + usize::from(number) } },
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is registered after these changes, by id.
    fn registered(changes: impl IntoIterator<Item = Change>, shop: &Shop) -> BTreeMap<String, Value> {
        let mut there = BTreeMap::new();
        for change in shop.all().into_iter().chain(changes) {
            match change.path.strip_prefix("/v1/agent/service/deregister/") {
                Some(id) => {
                    there.remove(id).expect("only what is there is deregistered");
                }
                None => {
                    there.insert(change.body["ID"].as_str().unwrap().to_owned(), change.body);
                }
            }
        }
        there
    }

    #[test]
    fn changes_lead_to_what_the_shop_says_and_no_service_stays_away() {
        let first = Shop::new(50, 3);
        let mut shop = Shop::new(50, 3);
        let changes: Vec<Change> = (0..5_000).map(|_| shop.next()).collect();
        let removals = changes.iter().filter(|change| change.body.is_null()).count();
        assert!(
            (100..1_000).contains(&removals),
            "{removals} of 5000 are removals"
        );
        let expected: BTreeMap<String, Value> = shop
            .all()
            .into_iter()
            .map(|change| (change.body["ID"].as_str().unwrap().to_owned(), change.body))
            .collect();
        assert_eq!(registered(changes, &first), expected);
        let empty = shop
            .services
            .iter()
            .filter(|instances| instances.is_empty())
            .count();
        assert!(empty <= 5, "{empty} of 50 services have no instance");
        let (at_first, now) = (first.all().len(), expected.len());
        assert!(
            (at_first - 10..=at_first).contains(&now),
            "{now} instances, {at_first} at first"
        );
    }

    #[test]
    fn the_same_seed_makes_the_same_changes() {
        let changes = |seed| {
            let mut shop = Shop::new(9, seed);
            (0..100).map(|_| shop.next()).collect::<Vec<_>>()
        };
        assert_eq!(changes(1), changes(1));
        assert_ne!(changes(1), changes(2));
    }
}

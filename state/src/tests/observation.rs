//! Everything that a reader can learn from a snapshot, sorted by the topic that a reader would depend on.

use super::fixtures::{instance_key, node_key, partition, peer, peering_key, service_key};
use crate::{InstanceHealth, Snapshot, Topic, Versioned, gateways, health_of};
use peerway_model::{ConfigKey, ConfigKind, NodeKey, Origin, Partition, PeeringKey, ServiceKind};
use std::collections::BTreeMap;
use std::fmt::Debug;

pub(super) const NODES: [&str; 2] = ["n1", "n2"];
pub(super) const INSTANCES: [&str; 3] = ["i1", "i2", "i3"];
pub(super) const SERVICES: [&str; 2] = ["web", "api"];
pub(super) const PEERS: [&str; 2] = ["east", "west"];

pub(super) fn partitions() -> [Partition; 2] {
    [Partition::default(), partition("billing")]
}

pub(super) fn origins() -> [Origin; 3] {
    [Origin::Local, peer("east"), peer("west")]
}

pub(super) fn node_keys() -> Vec<NodeKey> {
    let mut keys = Vec::new();
    for origin in origins() {
        for partition in partitions() {
            keys.extend(NODES.map(|name| node_key(&origin, &partition, name)));
        }
    }
    keys
}

pub(super) fn peering_keys() -> Vec<PeeringKey> {
    let mut keys = Vec::new();
    for partition in partitions() {
        keys.extend(PEERS.map(|name| peering_key(&partition, name)));
    }
    keys
}

/// All answers about a topic, as text.
pub(super) type Answers = BTreeMap<Topic, String>;

/// The answers of every read function about every topic of the small world.
pub(super) fn observe(snapshot: &Snapshot) -> Answers {
    let mut answers = Answers::new();
    let mut about = |topic: Topic, answer: String| {
        assert!(answers.insert(topic.clone(), answer).is_none(), "{topic:?} twice");
    };
    about(Topic::Roots, row(snapshot.roots()));
    about(Topic::Peerings, rows(snapshot.peerings()));
    let addressed: Vec<_> = snapshot
        .virtual_addresses()
        .map(|own| (own.row.clone(), snapshot.service_at(own.address).cloned()))
        .collect();
    about(Topic::VirtualAddresses, format!("{addressed:?}"));
    about(Topic::Grants, rows(snapshot.grants()));
    about(Topic::Audit, rows(snapshot.audit()));
    about(Topic::Bundles, rows(snapshot.bundles()));
    for key in peering_keys() {
        let by_id = snapshot.peering_by_id(&format!("id-of-{}-{}", key.partition, key.name));
        about(
            Topic::Peering(key.clone()),
            row(snapshot.peering(&key)) + &row(by_id),
        );
        about(Topic::Grant(key.clone()), row(snapshot.grant(&key)));
        about(Topic::Bundle(key.clone()), row(snapshot.bundle(&key)));
        let secrets = snapshot.secrets(&key).map(|held| {
            let exposed = [&held.establishment, &held.pending_stream, &held.active_stream]
                .map(|secret| secret.as_ref().map(|secret| secret.expose().to_owned()));
            format!("{exposed:?} {} {}", held.create_index, held.modify_index)
        });
        about(Topic::Secrets(key), format!("{secrets:?}"));
    }
    for kind in ConfigKind::ALL {
        about(Topic::ConfigKind(kind), rows(snapshot.configs(kind)));
        for partition in partitions() {
            let key = match kind.has_namespace() {
                true => ConfigKey::new(kind, &partition, "default", "web"),
                false => ConfigKey::singleton(kind, &partition),
            };
            about(Topic::Config(key.clone()), row(snapshot.config(&key)));
        }
    }
    for partition in partitions() {
        for kind in ServiceKind::ALL {
            let mut answer = health(health_of(snapshot, snapshot.instances_of_kind(kind, &partition)));
            if kind == ServiceKind::MeshGateway {
                answer += &health(gateways(snapshot, &partition));
            }
            about(Topic::Kind(kind, partition.clone()), answer);
        }
        for origin in origins() {
            let names: Vec<_> = snapshot.service_names(&origin, &partition).collect();
            about(
                Topic::ServiceNames(origin.clone(), partition.clone()),
                format!("{names:?}"),
            );
            about(
                Topic::Nodes(origin.clone(), partition.clone()),
                rows(snapshot.nodes(&origin, &partition)),
            );
            for name in SERVICES {
                for name in [name.to_owned(), format!("{name}-sidecar-proxy")] {
                    let key = service_key(&origin, &partition, &name);
                    let of = health(health_of(snapshot, snapshot.instances_of(&key)));
                    let proxies = health(health_of(snapshot, snapshot.proxies_of(&key)));
                    about(Topic::Service(key.clone()), of);
                    about(Topic::ProxiesOf(key.clone()), proxies);
                    let own = row(snapshot.virtual_address(&key));
                    about(Topic::VirtualAddress(key), own);
                }
            }
        }
    }
    for node in node_keys() {
        for id in INSTANCES {
            let key = instance_key(&node, id);
            let answer = health(health_of(snapshot, snapshot.instance(&key)));
            about(Topic::Instance(key), answer);
        }
    }
    answers
}

/// What [`observe`] leaves out because no topic stands for it.
pub(super) fn observe_rest(snapshot: &Snapshot) -> String {
    let mut text = format!("revision {}\n", snapshot.revision());
    for id in ["r1", "r2"] {
        if let Some(key) = snapshot.ca_key(id) {
            text += &format!(
                "{id} {} {} {}\n",
                key.pem.expose(),
                key.create_index,
                key.modify_index
            );
        }
    }
    for key in node_keys() {
        text += &row(snapshot.node(&key));
        text += &rows(snapshot.instances_on(&key));
        text += &rows(snapshot.checks_on(&key));
    }
    text
}

fn row<T: Debug>(row: Option<&Versioned<T>>) -> String {
    rows(row)
}

fn rows<'a, T: Debug + 'a>(rows: impl IntoIterator<Item = &'a Versioned<T>>) -> String {
    rows.into_iter().map(|row| format!("{row:?}\n")).collect()
}

fn health(found: Vec<InstanceHealth>) -> String {
    found
        .into_iter()
        .map(|found| {
            let InstanceHealth {
                instance,
                node,
                checks,
            } = &found;
            format!("{instance:?} {node:?} {checks:?} {:?}\n", found.status())
        })
        .collect()
}

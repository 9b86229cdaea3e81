//! Generated histories: what must hold after any of them.

use super::fixtures::{
    World, bundle, ca_key, check, check_key, entries, event, grants, instance, instance_key, node, peering,
    roots, secrets, service_key, sidecar,
};
use super::observation::{
    INSTANCES, SERVICES, node_keys, observe, observe_rest, origins, partitions, peering_keys,
};
use crate::{Expect, Op, Row, RowKey, Snapshot, Transaction, gateways_before};
use peerway_model::{
    CheckStatus, ConfigKey, ConfigKind, Instance, NodeKey, PeeringKey, PeeringState, ServiceKind,
};
use proptest::prelude::*;
use proptest::sample::select;
use std::sync::Arc;

const CHECKS: [&str; 3] = ["c1", "c2", "_node_maintenance"];

fn any_node() -> impl Strategy<Value = NodeKey> {
    // Two of three rows live on local nodes, so that histories become dense.
    let all = node_keys();
    let local: Vec<_> = all.iter().filter(|key| key.origin.is_local()).cloned().collect();
    prop_oneof![2 => select(local), 1 => select(all)]
}

fn any_peering() -> impl Strategy<Value = PeeringKey> {
    select(peering_keys())
}

fn any_instance() -> impl Strategy<Value = Instance> {
    (
        any_node(),
        select(&INSTANCES[..]),
        select(&SERVICES[..]),
        0_u8..5,
        0_u16..2,
    )
        .prop_map(|(node, id, service, shape, port)| {
            let made = match shape {
                0 | 1 => instance(&node, id, service),
                2 => sidecar(&node, id, service),
                shape => Instance {
                    kind: match shape {
                        3 => ServiceKind::MeshGateway,
                        _ => ServiceKind::TerminatingGateway,
                    },
                    ..instance(&node, id, service)
                },
            };
            Instance { port, ..made }
        })
}

fn any_state() -> impl Strategy<Value = PeeringState> {
    prop_oneof![
        6 => Just(PeeringState::Establishing),
        1 => Just(PeeringState::Deleting),
        1 => Just(PeeringState::Terminated),
    ]
}

fn any_row() -> impl Strategy<Value = Row> {
    let status = select(vec![
        CheckStatus::Passing,
        CheckStatus::Warning,
        CheckStatus::Critical,
    ]);
    let of = proptest::option::of(select(&INSTANCES[..]));
    let secret = || proptest::option::of(select(vec!["s1", "s2"]));
    prop_oneof![
        4 => (any_node(), 0_u8..2).prop_map(|(key, n)| node(&key, &format!("10.0.0.{n}")).into()),
        8 => any_instance().prop_map(Row::from),
        6 => (any_node(), select(&CHECKS[..]), of, status)
            .prop_map(|(node, id, of, status)| check(&node, id, of, status).into()),
        3 => (any_peering(), any_state()).prop_map(|(key, state)| peering(&key, state).into()),
        2 => (any_peering(), secret(), secret())
            .prop_map(|(key, one, two)| Row::Secrets(key, Arc::new(secrets(one, two)))),
        2 => (any_peering(), select(vec!["a", "b"])).prop_map(|(key, accessor)| grants(&key, accessor).into()),
        2 => (any_peering(), select(vec!["one", "two"])).prop_map(|(key, root)| bundle(&key, root).into()),
        1 => select(vec!["a", "b"]).prop_map(|id| roots(id).into()),
        1 => (select(vec!["r1", "r2"]), select(vec!["k1", "k2"]))
            .prop_map(|(id, pem)| ca_key(id, pem).into()),
        2 => (select(partitions().to_vec()), 0_u8..2, 0_usize..6)
            .prop_map(|(partition, variant, kind)| entries(&partition, variant)[kind].clone().into()),
    ]
}

fn any_key() -> impl Strategy<Value = RowKey> {
    prop_oneof![
        4 => any_row().prop_map(|row| row.key()),
        2 => (any_node(), select(&INSTANCES[..]))
            .prop_map(|(node, id)| RowKey::Instance(instance_key(&node, id))),
        2 => (any_node(), select(&CHECKS[..])).prop_map(|(node, id)| RowKey::Check(check_key(&node, id))),
    ]
}

fn any_transaction() -> impl Strategy<Value = Transaction> {
    let op = prop_oneof![
        12 => any_row().prop_map(Op::Put),
        3 => any_key().prop_map(Op::Delete),
        1 => any_peering().prop_map(Op::ForgetImports),
        1 => any_peering().prop_map(|key| Op::Record(event(&key, "a"))),
    ];
    let expect = prop_oneof![
        any_key().prop_map(Expect::Absent),
        any_key().prop_map(Expect::Present),
        (any_key(), 0_u64..20).prop_map(|(key, index)| Expect::Modified(key, index)),
    ];
    let expects = prop_oneof![
        4 => Just(Vec::new()),
        1 => proptest::collection::vec(expect, 1..2),
    ];
    (expects, proptest::collection::vec(op, 1..4)).prop_map(|(expects, ops)| Transaction { expects, ops })
}

/// Rows that let most of a history be accepted: all nodes that need no peering, and some peerings.
fn beginning() -> World {
    let nodes = node_keys()
        .into_iter()
        .filter(|key| key.origin.is_local())
        .map(|key| node(&key, "10.0.0.1").into());
    let peerings = peering_keys()
        .into_iter()
        .map(|key| peering(&key, PeeringState::Establishing).into());
    let imported = node_keys()
        .into_iter()
        .filter(|key| !key.origin.is_local())
        .map(|key| node(&key, "10.1.0.1").into());
    World::of(nodes.chain(peerings).chain(imported))
}

/// Services have a virtual address from when they are in the mesh, and keep it no longer than somebody speaks of them.
fn addressed_as_they_should_be(snapshot: &Snapshot) {
    for partition in partitions() {
        for origin in origins() {
            for name in SERVICES {
                let key = service_key(&origin, &partition, name);
                let stands =
                    snapshot.proxies_of(&key).next().is_some() || !gateways_before(snapshot, &key).is_empty();
                let defaults =
                    ConfigKey::of_service(ConfigKind::ServiceDefaults, &partition, &key.namespace, &key.name);
                let kept = key.origin.is_local() && snapshot.config(&defaults).is_some();
                let has = snapshot.virtual_address(&key).is_some();
                assert!(has || !stands, "{key} has no virtual address");
                assert!(!has || stands || kept, "{key} still has a virtual address");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn every_commit_is_whole_touches_what_it_changes_and_survives_a_restart(
        history in proptest::collection::vec(any_transaction(), 1..40)
    ) {
        let mut world = beginning();
        let mut before = observe(&world.snapshot);
        let mut before_rest = observe_rest(&world.snapshot);
        for transaction in history {
            let old = world.snapshot.clone();
            let result = world.commit(&transaction);
            addressed_as_they_should_be(&world.snapshot);
            let after = observe(&world.snapshot);
            let after_rest = observe_rest(&world.snapshot);
            // A snapshot that somebody holds never changes.
            prop_assert_eq!(&observe(&old), &before);
            match result {
                Err(_) => {
                    prop_assert_eq!(&before, &after);
                    prop_assert_eq!(&before_rest, &after_rest);
                }
                Ok(applied) if applied.rows.is_empty() => {
                    prop_assert!(applied.changes.is_empty());
                    prop_assert_eq!(&before, &after);
                    prop_assert_eq!(&before_rest, &after_rest);
                }
                Ok(applied) => {
                    prop_assert_eq!(world.snapshot.revision(), old.revision() + 1);
                    for (topic, answer) in &after {
                        if before.get(topic) != Some(answer) {
                            prop_assert!(
                                applied.changes.touches(topic),
                                "{:?} changed untouched\nby {:?}\nfrom {:?}\nto {}",
                                topic, transaction, before.get(topic), answer
                            );
                        }
                    }
                }
            }
            (before, before_rest) = (after, after_rest);
        }
        let restarted = world.restarted();
        prop_assert_eq!(observe(&restarted), before);
        prop_assert_eq!(observe_rest(&restarted), before_rest);
    }

    #[test]
    fn putting_back_every_row_that_is_there_changes_nothing(
        history in proptest::collection::vec(any_transaction(), 1..30)
    ) {
        let mut world = beginning();
        for transaction in history {
            // Refusals are part of a history.
            let _ = world.commit(&transaction);
        }
        let before = observe_rest(&world.snapshot);
        for row in world.writable() {
            let applied = world.commit(&Transaction::new().put(row)).unwrap();
            prop_assert!(applied.rows.is_empty() && applied.changes.is_empty());
        }
        prop_assert_eq!(observe_rest(&world.snapshot), before);
    }

    #[test]
    fn deleting_every_row_leaves_nothing(history in proptest::collection::vec(any_transaction(), 1..30)) {
        let mut world = beginning();
        for transaction in history {
            let _ = world.commit(&transaction);
        }
        let all = world.keys().into_iter().fold(Transaction::new(), Transaction::delete);
        world.commit(&all).unwrap();
        prop_assert!(world.keys().is_empty());
        prop_assert_eq!(observe(&world.snapshot), observe(&crate::Snapshot::default()));
    }
}

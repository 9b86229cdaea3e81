//! Deleting a row takes along what hangs on it, and nothing else.

use super::fixtures::{
    World, bundle, check, check_key, event, grants, instance, instance_key, local, node, node_key, partition,
    peer, peering, peering_key, secrets, service_key, sidecar, west,
};
use crate::{MAX_AUDIT_RECORDS, Op, Row, RowKey, Transaction};
use peerway_model::{CheckStatus, Partition, PeeringKey, PeeringState};
use std::collections::BTreeSet;
use std::sync::Arc;

const PASSING: CheckStatus = CheckStatus::Passing;

/// A node with instances and checks, at `key`.
fn inhabited(key: &peerway_model::NodeKey) -> Vec<Row> {
    vec![
        node(key, "10.0.0.1").into(),
        instance(key, "i1", "web").into(),
        sidecar(key, "i2", "web").into(),
        check(key, "of-node", None, PASSING).into(),
        check(key, "of-i1", Some("i1"), PASSING).into(),
        check(key, "of-i2", Some("i2"), PASSING).into(),
    ]
}

fn peered(key: &PeeringKey) -> Vec<Row> {
    vec![
        peering(key, PeeringState::Establishing).into(),
        Row::Secrets(key.clone(), Arc::new(secrets(Some("s"), None))),
        grants(key, "a").into(),
        bundle(key, "root").into(),
    ]
}

/// Two peers in two partitions with the same node names everywhere, and the same locally.
fn full() -> World {
    let mut rows = inhabited(&local("n1"));
    rows.extend(inhabited(&local("n10")));
    for name in ["west", "east"] {
        for partition in [Partition::default(), partition("billing")] {
            rows.extend(peered(&peering_key(&partition, name)));
            rows.extend(inhabited(&node_key(&peer(name), &partition, "n1")));
        }
    }
    World::of(rows)
}

/// The keys that `op` removes from [`full`].
fn removed_by(op: Op) -> BTreeSet<RowKey> {
    let mut world = full();
    let before: BTreeSet<RowKey> = world.keys().into_iter().collect();
    world.commit(&Transaction::new().op(op)).unwrap();
    let after: BTreeSet<RowKey> = world.keys().into_iter().collect();
    assert!(after.is_subset(&before));
    before.difference(&after).cloned().collect()
}

/// The virtual address of west's web, which goes with its last sidecar.
fn address_of_web() -> RowKey {
    RowKey::VirtualAddress(service_key(&peer("west"), &Partition::default(), "web"))
}

fn keys(rows: Vec<Row>) -> BTreeSet<RowKey> {
    rows.iter().map(Row::key).collect()
}

#[test]
fn an_instance_takes_its_checks() {
    let n1 = local("n1");
    assert_eq!(
        removed_by(Op::Delete(RowKey::Instance(instance_key(&n1, "i1")))),
        BTreeSet::from([
            RowKey::Instance(instance_key(&n1, "i1")),
            RowKey::Check(check_key(&n1, "of-i1")),
        ])
    );
}

#[test]
fn a_node_takes_its_instances_and_all_checks_but_not_those_of_a_longer_name() {
    assert_eq!(
        removed_by(Op::Delete(RowKey::Node(local("n1")))),
        keys(inhabited(&local("n1")))
    );
}

#[test]
fn a_peering_takes_its_secrets_its_grants_its_bundle_and_its_imports() {
    let key = peering_key(&Partition::default(), "west");
    let mut all = peered(&key);
    all.extend(inhabited(&west("n1")));
    let mut removed = keys(all);
    removed.insert(address_of_web());
    assert_eq!(removed_by(Op::Delete(RowKey::Peering(key))), removed);
}

#[test]
fn forgetting_imports_keeps_the_peering_and_its_secrets() {
    let key = peering_key(&Partition::default(), "west");
    let mut all = inhabited(&west("n1"));
    all.push(bundle(&key, "root").into());
    let mut removed = keys(all);
    removed.insert(address_of_web());
    assert_eq!(removed_by(Op::ForgetImports(key)), removed);
}

#[test]
fn single_rows_go_alone() {
    let key = peering_key(&Partition::default(), "west");
    for alone in [
        RowKey::Secrets(key.clone()),
        RowKey::Grants(key.clone()),
        RowKey::Bundle(key),
        RowKey::Check(check_key(&local("n1"), "of-node")),
    ] {
        assert_eq!(removed_by(Op::Delete(alone.clone())), BTreeSet::from([alone]));
    }
}

#[test]
fn imports_of_a_peering_that_is_being_deleted_can_still_be_forgotten() {
    let key = peering_key(&Partition::default(), "west");
    let mut world = full();
    let transaction = Transaction::new()
        .put(peering(&key, PeeringState::Deleting).into())
        .op(Op::ForgetImports(key.clone()));
    world.commit(&transaction).unwrap();
    assert!(world.snapshot.node(&west("n1")).is_none());
    assert!(world.snapshot.bundle(&key).is_none());
    assert!(world.snapshot.secrets(&key).is_some());
}

#[test]
fn only_so_many_audit_records_are_kept_and_numbers_go_on() {
    let key = peering_key(&Partition::default(), "west");
    let mut world = full();
    let add = |world: &mut World, count: usize| {
        let transaction = (0..count).fold(Transaction::new(), |transaction, number| {
            transaction.op(Op::Record(event(&key, &number.to_string())))
        });
        world.commit(&transaction).unwrap();
    };
    add(&mut world, 2);
    add(&mut world, MAX_AUDIT_RECORDS - 1);
    let numbers: Vec<u64> = world.restarted().audit().map(|record| record.number).collect();
    assert_eq!(numbers.len(), MAX_AUDIT_RECORDS);
    let newest = u64::try_from(MAX_AUDIT_RECORDS).unwrap() + 1;
    assert_eq!((numbers.first(), numbers.last()), (Some(&newest), Some(&2)));
    // They are not of the peering: what was done to it must be known when it is gone.
    world
        .commit(&Transaction::new().delete(RowKey::Peering(key.clone())))
        .unwrap();
    assert_eq!(world.snapshot.audit().count(), MAX_AUDIT_RECORDS);
}

//! Who has a virtual address, from when and until when.

use super::fixtures::{
    World, instance, instance_key, local, node, node_key, peer, peering, peering_key, sidecar,
};
use crate::{Op, Row, RowKey, Transaction};
use peerway_model::config::{ConfigEntry, Protocol, ServiceDefaults};
use peerway_model::{Namespace, Origin, Partition, PeeringState, ServiceKey, ServiceName, VirtualAddress};
use std::net::Ipv4Addr;
use std::sync::Arc;

fn key(origin: Origin, name: &str) -> ServiceKey {
    ServiceKey {
        origin,
        partition: Partition::default(),
        namespace: Namespace::default(),
        name: ServiceName::new(name).unwrap(),
    }
}

fn address(world: &World, origin: Origin, name: &str) -> Option<Ipv4Addr> {
    let own = world.snapshot.virtual_address(&key(origin, name))?;
    assert_eq!(world.snapshot.service_at(own.address), Some(&own.service));
    Some(own.address)
}

fn put<const N: usize>(world: &mut World, rows: [Row; N]) {
    let transaction = rows.into_iter().fold(Transaction::new(), Transaction::put);
    world.commit(&transaction).unwrap();
}

fn defaults(name: &str) -> Row {
    ConfigEntry::ServiceDefaults(ServiceDefaults {
        name: ServiceName::new(name).unwrap(),
        namespace: Namespace::default(),
        partition: Partition::default(),
        protocol: Some(Protocol::Http),
        mesh_gateway: None,
        inbound: Default::default(),
        upstreams: Default::default(),
        sidecar: Default::default(),
        meta: Default::default(),
    })
    .into()
}

#[test]
fn a_service_has_one_from_its_first_sidecar_to_its_last() {
    let n1 = local("n1");
    let mut world = World::of([node(&n1, "10.0.0.1").into(), instance(&n1, "web", "web").into()]);
    assert_eq!(
        address(&world, Origin::Local, "web"),
        None,
        "it is not in the mesh"
    );
    put(
        &mut world,
        [sidecar(&n1, "p1", "web").into(), sidecar(&n1, "p2", "web").into()],
    );
    let own = address(&world, Origin::Local, "web").unwrap();
    assert!(VirtualAddress::is_in_range(own));
    world
        .commit(&Transaction::new().delete(RowKey::Instance(instance_key(&n1, "p1"))))
        .unwrap();
    assert_eq!(address(&world, Origin::Local, "web"), Some(own));
    world
        .commit(&Transaction::new().delete(RowKey::Instance(instance_key(&n1, "p2"))))
        .unwrap();
    assert_eq!(address(&world, Origin::Local, "web"), None);
    assert_eq!(world.snapshot.service_at(own), None);
    put(&mut world, [sidecar(&n1, "p3", "web").into()]);
    assert_eq!(
        address(&world, Origin::Local, "web"),
        Some(own),
        "the same as before"
    );
}

#[test]
fn a_replacement_in_one_commit_leaves_it_alone() {
    let n1 = local("n1");
    let mut world = World::of([node(&n1, "10.0.0.1").into(), sidecar(&n1, "p1", "web").into()]);
    let before = world
        .snapshot
        .virtual_address(&key(Origin::Local, "web"))
        .unwrap()
        .clone();
    let replace = Transaction::new()
        .delete(RowKey::Instance(instance_key(&n1, "p1")))
        .put(sidecar(&n1, "p2", "web").into());
    world.commit(&replace).unwrap();
    let after = world
        .snapshot
        .virtual_address(&key(Origin::Local, "web"))
        .unwrap();
    assert_eq!(
        (before.address, before.create_index, before.modify_index),
        (after.address, after.create_index, after.modify_index)
    );
}

#[test]
fn settings_of_the_service_keep_it_while_no_instance_runs() {
    let n1 = local("n1");
    let mut world = World::of([
        node(&n1, "10.0.0.1").into(),
        sidecar(&n1, "p1", "web").into(),
        defaults("web"),
    ]);
    let own = address(&world, Origin::Local, "web");
    world
        .commit(&Transaction::new().delete(RowKey::Instance(instance_key(&n1, "p1"))))
        .unwrap();
    assert_eq!(address(&world, Origin::Local, "web"), own);
    let Row::Config(entry) = defaults("web") else {
        unreachable!()
    };
    world
        .commit(&Transaction::new().delete(RowKey::Config(entry.key())))
        .unwrap();
    assert_eq!(address(&world, Origin::Local, "web"), None);
}

#[test]
fn services_of_the_same_name_have_their_own_and_a_peers_go_with_the_peering() {
    let (n1, west) = (local("n1"), node_key(&peer("west"), &Partition::default(), "n1"));
    let peering_of_west = peering_key(&Partition::default(), "west");
    let mut world = World::of([
        node(&n1, "10.0.0.1").into(),
        sidecar(&n1, "p1", "web").into(),
        peering(&peering_of_west, PeeringState::Establishing).into(),
        node(&west, "10.1.0.1").into(),
        sidecar(&west, "p1", "web").into(),
    ]);
    let own = address(&world, Origin::Local, "web").unwrap();
    let theirs = address(&world, peer("west"), "web").unwrap();
    assert_ne!(own, theirs);
    world
        .commit(&Transaction::new().op(Op::ForgetImports(peering_of_west)))
        .unwrap();
    assert_eq!(address(&world, peer("west"), "web"), None);
    assert_eq!(address(&world, Origin::Local, "web"), Some(own));
}

#[test]
fn whoever_comes_second_for_an_address_gets_another() {
    let n1 = local("n1");
    let wanted = VirtualAddress::candidate(&key(Origin::Local, "web"), 0);
    let squatter = Row::VirtualAddress(Arc::new(VirtualAddress {
        service: key(Origin::Local, "api"),
        address: wanted,
    }));
    let mut world = World::of([node(&n1, "10.0.0.1").into(), squatter]);
    put(&mut world, [sidecar(&n1, "p1", "web").into()]);
    let own = address(&world, Origin::Local, "web");
    assert_eq!(
        own,
        Some(VirtualAddress::candidate(&key(Origin::Local, "web"), 1))
    );
    let taken = Row::VirtualAddress(Arc::new(VirtualAddress {
        service: key(Origin::Local, "db"),
        address: wanted,
    }));
    let refused = world.commit(&Transaction::new().put(taken)).unwrap_err();
    assert!(
        refused.to_string().contains("belongs to another service"),
        "{refused}"
    );
}

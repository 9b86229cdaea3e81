//! What is refused, and that nothing of it is applied.

use super::fixtures::{
    World, bundle, check, entries, instance, instance_key, local, node, peering, peering_key, secrets, west,
};
use super::observation::{observe, observe_rest};
use crate::{Expect, MAX_OPAQUE_DEPTH, Refused, Row, RowKey, Transaction};
use peerway_model::instance::Opaque;
use peerway_model::{CheckStatus, ConfigEntry, Instance, Node, Partition, PeeringState};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Commits a node together with `rest` and checks that not even the node stays.
fn refused(world: &mut World, rest: Transaction) -> Refused {
    let before = (observe(&world.snapshot), observe_rest(&world.snapshot));
    let mut transaction = Transaction::new().put(node(&local("n2"), "10.0.0.2").into());
    transaction.expects.extend(rest.expects);
    transaction.ops.extend(rest.ops);
    let refused = world.commit(&transaction).unwrap_err();
    assert_eq!((observe(&world.snapshot), observe_rest(&world.snapshot)), before);
    refused
}

fn one_node() -> World {
    World::of([node(&local("n1"), "10.0.0.1").into()])
}

fn put(row: impl Into<Row>) -> Transaction {
    Transaction::new().put(row.into())
}

#[test]
fn conditions_are_checked_before_anything_is_applied() {
    let key = RowKey::Node(local("n1"));
    for (expect, found) in [
        (Expect::Absent(key.clone()), Some(1)),
        (Expect::Modified(key.clone(), 2), Some(1)),
        (Expect::Modified(RowKey::Roots, 1), None),
        (Expect::Present(RowKey::Roots), None),
        // Not even one that the transaction itself would bring about.
        (Expect::Present(RowKey::Node(local("n2"))), None),
    ] {
        let failed = match &expect {
            Expect::Absent(key) | Expect::Present(key) | Expect::Modified(key, _) => key.clone(),
        };
        assert_eq!(
            refused(&mut one_node(), Transaction::new().expect(expect)),
            Refused::Conflict {
                key: Box::new(failed),
                found
            }
        );
    }
    let mut world = one_node();
    let all_hold = put(node(&local("n1"), "10.0.0.9"))
        .expect(Expect::Modified(key.clone(), 1))
        .expect(Expect::Present(key.clone()))
        .expect(Expect::Absent(RowKey::Roots));
    world.commit(&all_hold).unwrap();
    // The same once more loses against itself: the row has a new index.
    assert!(matches!(
        world.commit(&all_hold),
        Err(Refused::Conflict { found: Some(2), .. })
    ));
}

#[test]
fn indexes_tell_creation_from_change() {
    let mut world = one_node();
    world.commit(&put(node(&local("n1"), "10.0.0.9"))).unwrap();
    let held = world.snapshot.node(&local("n1")).unwrap();
    assert_eq!((held.create_index, held.modify_index), (1, 2));
    world
        .commit(&Transaction::new().delete(RowKey::Node(local("n1"))))
        .unwrap();
    world.commit(&put(node(&local("n1"), "10.0.0.9"))).unwrap();
    let held = world.snapshot.node(&local("n1")).unwrap();
    assert_eq!((held.create_index, held.modify_index), (4, 4));
}

#[test]
fn a_row_without_what_it_hangs_on_is_refused() {
    let lost = local("lost");
    let key = peering_key(&Partition::default(), "west");
    let dangling: [(Row, RowKey); 5] = [
        (instance(&lost, "i1", "web").into(), RowKey::Node(lost.clone())),
        (
            check(&lost, "c1", None, CheckStatus::Passing).into(),
            RowKey::Node(lost.clone()),
        ),
        (
            check(&local("n1"), "c1", Some("i9"), CheckStatus::Passing).into(),
            RowKey::Instance(instance_key(&local("n1"), "i9")),
        ),
        (
            Row::Secrets(key.clone(), Arc::new(secrets(None, None))),
            RowKey::Peering(key.clone()),
        ),
        (bundle(&key, "root").into(), RowKey::Peering(key.clone())),
    ];
    for (row, needs) in dangling {
        assert_eq!(
            refused(&mut one_node(), put(row.clone())),
            Refused::Dangling {
                key: Box::new(row.key()),
                needs: Box::new(needs)
            }
        );
    }
}

#[test]
fn what_a_row_hangs_on_may_come_earlier_in_the_same_transaction_but_not_later() {
    let (of_node, on_it): (Row, Row) = (
        node(&local("n1"), "10.0.0.1").into(),
        instance(&local("n1"), "i1", "web").into(),
    );
    let mut world = World::default();
    world.commit(&put(of_node.clone()).put(on_it.clone())).unwrap();
    let mut world = World::default();
    assert!(world.commit(&put(on_it).put(of_node)).is_err());
    assert!(world.keys().is_empty());
}

#[test]
fn imports_need_a_live_peering() {
    let key = peering_key(&Partition::default(), "west");
    let gone = Refused::PeeringGone {
        peer: "west".to_owned(),
    };
    assert_eq!(refused(&mut one_node(), put(node(&west("n1"), "10.1.0.1"))), gone);
    // A peering of the same name in another partition is another peering.
    let billing = peering_key(&super::fixtures::partition("billing"), "west");
    let mut world = World::of([peering(&billing, PeeringState::Establishing).into()]);
    assert_eq!(refused(&mut world, put(node(&west("n1"), "10.1.0.1"))), gone);

    for state in [PeeringState::Deleting, PeeringState::Terminated] {
        let mut world = World::of([
            peering(&key, PeeringState::Establishing).into(),
            node(&west("n1"), "10.1.0.1").into(),
            instance(&west("n1"), "i1", "web").into(),
            bundle(&key, "root").into(),
        ]);
        world.commit(&put(peering(&key, state))).unwrap();
        let late: [Row; 4] = [
            node(&west("n1"), "10.1.0.2").into(),
            instance(&west("n1"), "i2", "web").into(),
            check(&west("n1"), "c1", None, CheckStatus::Critical).into(),
            bundle(&key, "new root").into(),
        ];
        for row in late {
            assert_eq!(refused(&mut world, put(row)), gone);
        }
        // What was there stays until it is forgotten, over a restart too.
        assert_eq!(observe(&world.restarted()), observe(&world.snapshot));
        assert!(world.snapshot.node(&west("n1")).is_some());
    }
}

#[test]
fn invalid_entries_are_refused() {
    let [exports, ..] = entries(&Partition::default(), 0);
    let ConfigEntry::ExportedServices(mut exports) = exports else {
        unreachable!("the first kind of the fixture");
    };
    exports.services[0].consumers.clear();
    let Refused::Invalid(invalid) = refused(&mut one_node(), put(ConfigEntry::ExportedServices(exports)))
    else {
        unreachable!("anything else is another reason");
    };
    assert_eq!(invalid.path, "Services[0].Consumers");
}

fn nested(levels: usize) -> BTreeMap<String, Opaque> {
    let mut value = Opaque::Null;
    for level in 1..levels {
        value = if level % 2 == 0 {
            Opaque::List(vec![Opaque::Null, value])
        } else {
            Opaque::Map(BTreeMap::from([("in".to_owned(), value)]))
        };
    }
    BTreeMap::from([("deep".to_owned(), value)])
}

#[test]
fn configuration_deeper_than_a_storage_can_keep_is_refused() {
    let with = |levels| -> [Row; 3] {
        let defaults = peerway_model::config::ProxyDefaults {
            config: nested(levels),
            ..Default::default()
        };
        let mut proxy = super::fixtures::sidecar(&local("n1"), "i1", "web");
        proxy.proxy.as_mut().unwrap().config = nested(levels);
        [
            ConfigEntry::ProxyDefaults(defaults).into(),
            proxy.into(),
            Instance {
                gateway_config: nested(levels),
                ..instance(&local("n1"), "i2", "gateway")
            }
            .into(),
        ]
    };
    for row in with(MAX_OPAQUE_DEPTH) {
        one_node().commit(&put(row)).unwrap();
    }
    for row in with(MAX_OPAQUE_DEPTH + 1) {
        let Refused::Invalid(invalid) = refused(&mut one_node(), put(row)) else {
            unreachable!("anything else is another reason");
        };
        assert!(invalid.path.ends_with("Config.deep"), "{invalid}");
    }
}

#[test]
fn secrets_that_are_put_again_change_nothing() {
    let key = peering_key(&Partition::default(), "west");
    let held = |one, two| Row::Secrets(key.clone(), Arc::new(secrets(one, two)));
    let mut world = World::of([
        peering(&key, PeeringState::Pending).into(),
        held(Some("a"), None),
        super::fixtures::ca_key("r1", "k1").into(),
    ]);
    let again = put(held(Some("a"), None)).put(super::fixtures::ca_key("r1", "k1").into());
    assert!(world.commit(&again).unwrap().rows.is_empty());
    for other in [held(Some("b"), None), held(None, None), held(None, Some("a"))] {
        assert_eq!(world.commit(&put(other)).unwrap().rows.len(), 1);
    }
    assert_eq!(
        world
            .commit(&put(super::fixtures::ca_key("r1", "k2")))
            .unwrap()
            .rows
            .len(),
        1
    );
}

#[test]
fn loading_refuses_rows_that_have_lost_others() {
    let orphan: Row = instance(&local("n1"), "i1", "web").into();
    let stored = crate::StoredRow {
        row: orphan,
        create_index: 1,
        modify_index: 1,
    };
    assert!(matches!(crate::load([stored], 1), Err(Refused::Dangling { .. })));
}

#[test]
fn deleting_what_is_not_there_changes_nothing() {
    let mut world = one_node();
    let absent = Transaction::new()
        .delete(RowKey::Roots)
        .delete(RowKey::Node(local("n9")))
        .delete(RowKey::Peering(peering_key(&Partition::default(), "west")));
    let applied = world.commit(&absent).unwrap();
    assert!(applied.rows.is_empty() && applied.changes.is_empty());
    assert_eq!(world.snapshot.revision(), 1);
    let same: Node = (*world.snapshot.node(&local("n1")).unwrap().row).clone();
    assert!(world.commit(&put(same)).unwrap().rows.is_empty());
}
